"""Runs a program that must not outlive who started it: `python -m captiv.gui.keeper PROGRAM ...`.

Its standard input is a pipe that only captiv holds. When that closes, captiv has ended, by whatever
kill, and the program is ended. On Linux the program also ends when this process is killed.
"""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

_SOFTLY_S = 3
_PR_SET_PDEATHSIG = 1


def main(command: Sequence[str]) -> int:
    """Run a program until it ends or standard input closes; return its exit code."""
    with_us = _die_with_parent if sys.platform == "linux" else None
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=with_us)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    return child.wait()


def _watch(child: "subprocess.Popen[Any]") -> None:
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    child.terminate()
    try:
        child.wait(_SOFTLY_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
