"""A terminal of a test's own, on which a command runs until somebody closes it."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import Home, kill

if sys.platform != "win32":
    import fcntl
    import termios

_XOFF = b"\x13"
_XON = b"\x11"


class Terminal:
    """The far side of a pseudo-terminal, and the command that has it as its terminal."""

    def __init__(
        self, home: Home, command: Sequence[str], *, reads: bool = True, **streams: Any
    ) -> None:
        """Start a command on it; `streams` (stdout, stderr) lead elsewhere than to the terminal."""
        self.said = b""
        self._master, slave = pty.openpty()
        self._closed = False
        self.process = subprocess.Popen(
            command,
            **{"stdin": slave, "stdout": slave, "stderr": slave} | streams,
            env=home.env,
            cwd=home.pictures,
            start_new_session=True,
            preexec_fn=lambda: _take(slave),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        if reads:
            self._reader.start()

    def close(self) -> None:
        """Close it: every write fails from now on, and the kernel hangs up."""
        if not self._closed:
            self._closed = True
            os.close(self._master)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def wait_for(self, words: bytes, times: int = 1, timeout_s: float = 60) -> None:
        """Return once it says these words for so many times."""
        until_s = time.monotonic() + timeout_s
        while self.said.count(words) < times:
            assert time.monotonic() < until_s, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.02)

    def stop(self) -> None:
        """Press Ctrl-S: writes to it wait from now on."""
        os.write(self._master, _XOFF)

    def go_on(self) -> None:
        """Press Ctrl-Q."""
        os.write(self._master, _XON)

    def ended(self, timeout_s: float = 90) -> int:
        """Wait for the command; return its exit code."""
        return self.process.wait(timeout_s)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65_536):
                self.said += data


@contextmanager
def terminal(
    home: Home, command: Sequence[str], *, reads: bool = True, **streams: Any
) -> Iterator[Terminal]:
    """Run a command on a terminal; both are gone at the end."""
    opened = Terminal(home, command, reads=reads, **streams)
    try:
        yield opened
    finally:
        kill([opened.process.pid])
        opened.process.wait(30)
        opened.close()


def generating(home: Home, *arguments: str) -> list[str]:
    """Return the command that captions the pictures."""
    return home.command(
        "caption", "generate", "--model", "shapes", "-r", str(home.pictures), *arguments
    )


def under_a_shell(home: Home, code_file: Path, *arguments: str) -> str:
    """Return the line that has a shell run the command and leave its exit code in a file.

    What waits for the command outlives the hang-up, and does not hand that on: captiv hears of it
    from the kernel, as the foreground of the terminal, and from the shell, as one of its jobs.
    """
    waiting = (
        "import signal, subprocess, sys, pathlib;"
        "signal.signal(signal.SIGHUP, lambda *_: None);"
        "pathlib.Path(sys.argv[1]).write_text(str(subprocess.call(sys.argv[2:])))"
    )
    words = [sys.executable, "-c", waiting, str(code_file), *generating(home, *arguments)]
    return " ".join(f"'{word}'" for word in words) + "\n"


def _take(slave: int) -> None:
    """Make the terminal the one that controls this session."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
