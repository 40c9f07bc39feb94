"""An installation of its own in a temporary folder, driven through the installed command."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from captiv.testing.scenes import write_scenes

SCRIPTED = "captiv.testing.engine:ScriptedEngine"
DEADLINE_S = 60.0
DRAINING = "stops at once"
"""What a command says when it has heard the first signal."""


def until(
    holds: Callable[[], bool],
    what: str = "the condition",
    *,
    every_s: float = 0.01,
    within_s: float = DEADLINE_S,
) -> None:
    """Return as soon as a condition holds; fail if it never does."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} never held"
        time.sleep(every_s)


class Home:
    """A folder with pictures and everything that captiv keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        self.data = folder / "home"
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CAPTIV_", "RUNPOD_", "HF_"))
        } | {
            "CAPTIV_HOME": str(self.data),
            "NO_COLOR": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hf"),
            "COLUMNS": "200",
        }

    def scripted(self, **options: Any) -> "Home":
        """Caption with the torch-free engine from now on."""
        self.env |= {"CAPTIV_ENGINE": SCRIPTED, "CAPTIV_ENGINE_OPTIONS": json.dumps(options)}
        return self

    def held(self) -> Path:
        """Make the file while which exists an engine is held that was told of it (`hold`)."""
        hold = self.folder / "hold"
        hold.touch()
        return hold

    def scenes(self, count: int, *, seed: int = 1, nested: bool = True) -> dict[str, str]:
        """Draw scenes; return each picture's path below `pictures` with its true caption."""
        return write_scenes(self.pictures, seed, count, nested=nested)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "captiv", *arguments]

    def run(self, *arguments: str, stdin: str = "", timeout: float = 120, **env: str) -> "Ended":
        """Run a captiv command to its end."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.env | env,
            cwd=self.pictures,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def generate(self, *arguments: str, timeout: float = 120, **env: str) -> "Ended":
        """Run `caption generate` with the built-in model over the pictures."""
        return self.run(
            "caption",
            "generate",
            "--model",
            "shapes",
            "-r",
            str(self.pictures),
            *arguments,
            timeout=timeout,
            **env,
        )

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Start a captiv command in a session of its own; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env | env,
            cwd=self.pictures,
            start_new_session=True,
        )

    def start_generate(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Start `caption generate` with the built-in model over the pictures."""
        return self.start(
            "caption", "generate", "--model", "shapes", "-r", str(self.pictures), *arguments, **env
        )

    def captions(self, pattern: str = "**/*.txt") -> dict[str, str]:
        """Return every sidecar by its path below `pictures`."""
        return {
            str(path.relative_to(self.pictures)): path.read_text()
            for path in sorted(self.pictures.glob(pattern))
        }

    def sidecar(self, picture: str) -> Path:
        """Return where the caption of a picture lies, below `pictures`."""
        return Path(picture).with_suffix(".txt")

    def worker_keys(self) -> list[str]:
        """Return the keys of every image that a worker captioned, in order."""
        log = self.data / "log" / "worker.log"
        return re.findall(r" caption key=(\S+)", log.read_text()) if log.exists() else []

    def workers(self) -> list[int]:
        """Return the process ids of this installation's local workers that are alive."""
        return [
            pid
            for pid in _processes()
            if "captiv_worker" in (line := _cmdline(pid)) and str(self.data) in line
        ]


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Ended:
    """Wait for a started command."""
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def told(process: subprocess.Popen[str], words: str) -> None:
    """Wait until a started command says this on standard error; `finish` has what comes after."""
    assert process.stderr is not None
    assert any(words in line for line in process.stderr), f"it ended without {words!r}"


def kill(pids: Sequence[int]) -> None:
    """Kill processes that may be gone already."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]
    except OSError:
        return False


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _cmdline(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""
