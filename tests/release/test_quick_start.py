"""The quick starts, typed by a stranger: an empty folder, and captiv from the built wheel alone.

The first block of each page installs captiv; it is run as it stands, with this tree's wheel in the
place of the one on PyPI. Then the transcripts are run line by line, and what comes is compared with
what they show. Times, dates, sums and the ids of pods are left open.
"""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from captiv.testing.cloud import running
from tests.docs.pages import DOCS, blocks

from .conftest import PINS, Release, checked, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_OPEN = (
    (
        r"(?m)^\d+( of \d+)? images\b.*\n",
        "",
    ),  # said every 10 s, where no terminal is: a slow machine
    (r"/\S*?/(?=pictures)", ".../"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
    (r"\d+(?=\tDATE)", "ID"),  # of a caption: those of one batch are kept in any order
    (r"\d+(\.\d+)? s\b", "N s"),
    (r"Pod \w{14}", "Pod ID"),
    (r"(cost|/h\):) \$[\d.]+", r"\1 $N"),
)


def transcript(page: str) -> list[tuple[str, str]]:
    """Return the lines that were typed on a page, each with what it showed."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(r"<!-- transcript.*?-->\n```console\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None
    parts = re.split(r"^\$ (.*)\n", found[1], flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def compared(shown: str) -> str:
    for pattern, instead in _OPEN:
        shown = re.sub(pattern, instead, shown)
    return shown.strip()


def typed(lines: list[tuple[str, str]], cwd: Path, env: dict[str, str]) -> None:
    """Type the lines one after the other, and hold what comes against the page."""
    for line, shown in lines:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert compared(done.stdout) == compared(shown), line
        assert done.returncode == 0, line


def begun(page: str, folder: Path, wheel: Path) -> dict[str, str]:
    """Run the lines that install captiv, in this folder; return what a reader then has around."""
    env = clean_environment(folder) | {"COLUMNS": "200", "CAPTIV_HOME": str(folder / "home")}
    env |= {"PIP_CONSTRAINT": str(PINS), "PIP_QUIET": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env["PIP_FIND_LINKS"] = f"{wheel.parent} {known_places(env)}".strip()
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    lines = next(block for block in blocks(DOCS / page) if block.language == "sh").text
    assert "pip install" in lines
    if "venv" not in lines:  # the other quick start tells how to make one
        lines = f"python3 -m venv .venv\n. .venv/bin/activate\n{lines}"
    checked(["bash", "-ec", lines], folder, env)
    assert is_from(wheel, folder / ".venv")
    return env | {"PATH": f"{folder}/.venv/bin{os.pathsep}{env['PATH']}"}


def known_places(env: dict[str, str]) -> str:
    """Return where pip looks for files on this machine anyhow."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    told = subprocess.run(pip, env=env, capture_output=True, text=True, check=False).stdout
    return env.get("PIP_FIND_LINKS") or told.strip()


def is_from(wheel: Path, environment: Path) -> bool:
    """Whether what is installed there as captiv are the files of this wheel, to the byte."""
    (record,) = environment.glob("lib/python3.*/site-packages/captiv-*.dist-info/RECORD")
    with zipfile.ZipFile(wheel) as files:
        named = files.read(f"{record.parent.name}/RECORD").decode().splitlines()
    hashed = {line for line in named if line.startswith("captiv") and ".data/" not in line}
    return hashed - {f"{record.parent.name}/RECORD,,"} <= set(record.read_text().splitlines())


def test_the_quick_start_on_this_machine(tmp_path: Path, release: Release) -> None:
    lines = transcript("quick-start.md")
    env = begun("quick-start.md", tmp_path, release.wheel)
    frozen = checked(["python", "-m", "pip", "freeze"], tmp_path, env)
    assert "torch==" in frozen
    assert "nvidia-" not in frozen
    (tmp_path / "try").mkdir()

    typed(lines, tmp_path / "try", env)

    assert len(lines) >= 8
    assert (tmp_path / "try/pictures/scene-0001.txt").read_text() == "four red balls"


def test_the_quick_start_on_a_rented_gpu(tmp_path: Path, release: Release) -> None:
    lines = transcript("quick-start-runpod.md")
    env = begun("quick-start-runpod.md", tmp_path, release.wheel)
    assert "torch==" not in checked(["python", "-m", "pip", "freeze"], tmp_path, env)
    (tmp_path / "try").mkdir()
    with running() as cloud:
        env |= dict(cloud.environment) | {"CAPTIV_RUNPOD_IMAGE": "captiv/worker:try"}

        typed(lines, tmp_path / "try", env)

        assert len(cloud.pods()) == 1
        assert cloud.pods_alive() == []
