"""The wheel of this tree, as a release would have it, and those that a pod's worker needs."""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

REPOSITORY = Path(__file__).parents[1]


def clean_environment(home: Path) -> dict[str, str]:
    keep = ("PATH", "LANG", "TMPDIR", "PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY")
    env = {k: v for k, v in os.environ.items() if k.startswith(keep)}
    return env | {"HOME": os.environ.get("HOME", str(home)), "CAPTIV_HOME": str(home / "captiv")}


def checked(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wheel_in(folder: Path) -> Path:
    """Return the wheel in this folder; whichever process comes first builds it, from a clone."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "building.lock"):
        if not (built := list(folder.glob("*.whl"))):
            clone = folder / "clone"
            env = clean_environment(folder)
            checked(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], folder, env)
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
            checked([*pip, "--no-deps", "-w", str(folder), str(clone)], folder, env)
            built = list(folder.glob("*.whl"))
    (wheel,) = built
    return wheel


def worker_wheels_in(folder: Path) -> Path:
    """Return this folder, with the wheels of the lock; whichever process comes first fetches."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "fetching.lock"):
        if not list(folder.glob("*.whl")):
            locks = REPOSITORY / "captiv" / "rental" / "locks"
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
            wanted = ["--quiet", "--no-deps", "--require-hashes", "-d", str(folder)]
            env = clean_environment(folder)
            for extra in ("local", "vllm"):
                lock = locks / f"{extra}-{sys.version_info.major}.{sys.version_info.minor}.txt"
                checked([*pip, *wanted, "-r", str(lock)], folder, env)
    return folder
