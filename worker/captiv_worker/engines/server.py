"""A server that an engine owns: a child process in a group of its own, that never outlives it.

Three hold its end together. The launcher ends it when the worker is gone, by the pipe between them;
the kernel ends it when the launcher is gone; and the thread that waits for the launcher kills what
is left of the group, before the group's number can be another's.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from captiv_worker.engines import launch

_log = logging.getLogger(__name__)

_LAST_LINES = 200
_LAUNCHER = str(Path(launch.__file__))


class Server:
    """One process group, its lines and its end."""

    def __init__(self, name: str, seen: Callable[[str], None]) -> None:
        """Args: `seen` is told each line that it prints, on a thread."""
        self._name = name
        self._seen = seen
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        """What it printed last."""
        self.ended = threading.Event()
        """Set when no process of the group is left."""
        self.code: int | None = None

    def start(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: the system has no room for another process.
        """
        process = self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _LAUNCHER, *command],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        _log.info("server_started name=%s pid=%d", self._name, process.pid)
        for target in (self._read, self._bury):
            thread = threading.Thread(target=target, args=(process,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End it, and return when nothing of it is left."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()  # the launcher ends it softly, then by force
        if not self.ended.wait(2 * launch.GRACE_S):
            os.killpg(self._process.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                said = line.rstrip()
                self.lines.append(said)
                _log.info("%s line=%r", self._name, said)
                self._seen(said)

    def _bury(self, process: "subprocess.Popen[str]") -> None:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped: the number is still its own
        self.code = process.wait()
        self._threads[0].join()  # its last lines say why
        self.ended.set()
        _log.info("server_ended name=%s code=%d", self._name, self.code)
