"""What a stranger does first: install, and run the demo, on a machine that has nothing."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def clean_environment(home: Path) -> dict[str, str]:
    keep = ("PATH", "LANG", "TMPDIR", "PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY")
    env = {k: v for k, v in os.environ.items() if k.startswith(keep)}
    return env | {"HOME": os.environ.get("HOME", str(home)), "CAPTIV_HOME": str(home / "captiv")}


def checked(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a clean clone, as a release would."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = folder / "clone"
    env = clean_environment(folder)
    checked(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], folder, env)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    checked([*pip, "--no-deps", "-w", str(folder), str(clone)], folder, env)
    return next(folder.glob("*.whl"))


def test_the_core_installs_without_torch_and_says_what_a_local_run_needs(
    tmp_path: Path, wheel: Path
) -> None:
    env = clean_environment(tmp_path)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    captiv = str(python.parent / "captiv")
    checked([str(python), "-m", "pip", "install", "--quiet", str(wheel)], tmp_path, env)

    listed = checked([str(python), "-m", "pip", "list"], tmp_path, env)
    version = checked([captiv, "--version"], tmp_path, env)
    models = checked([captiv, "model", "list"], tmp_path, env)
    queue = checked([captiv, "queue", "status"], tmp_path, env)
    checked(
        [str(python), "-m", "captiv.testing.scenes", "pictures", "--seed", "1", "--count", "2"],
        tmp_path,
        env,
    )
    local = subprocess.run(
        [captiv, "caption", "generate", "pictures", "--model", "shapes"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert not re.search(r"^(torch|transformers) ", listed, re.MULTILINE)
    assert version.startswith("captiv ")
    assert "blip" in models
    assert "no runs" in queue.lower()
    assert local.returncode == 4
    assert "pip install 'captiv[local]'" in local.stderr
    assert "Traceback" not in local.stderr


def test_the_demo_of_a_clean_clone_reads_its_pictures(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    checked(["git", "clone", "--quiet", str(REPOSITORY), "clone"], tmp_path, env)

    shown = checked(["scripts/demo", str(tmp_path / "demo")], tmp_path / "clone", env)

    score = re.search(r"(\d+) of (\d+) captions are exact", shown)
    assert score is not None, shown
    right, of = map(int, score.groups())
    assert of >= 12
    assert right / of >= 0.95
    names = sorted(p.name for p in (tmp_path / "demo" / "pictures").glob("*.png"))
    assert all(name in shown for name in names)
    frozen = checked(["clone/.venv/bin/python", "-m", "pip", "freeze"], tmp_path, env)
    assert "nvidia-" not in frozen, "a demo fetched gigabytes of CUDA"
