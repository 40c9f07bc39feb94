"""The worker as a child of process 1, which also buries everybody else's orphans."""

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

_log = logging.getLogger(__name__)


class Child:
    """One worker at a time. Its standard input is a pipe that closes when the guard is gone."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._arguments = tuple(arguments)
        self._environ = dict(environ)
        self._pid: int | None = None
        self._pipe: int | None = None

    def start(self, *more: str) -> None:
        """Start a worker with these arguments besides its own.

        Raises:
            OSError: the system has no room for another process.
        """
        read, self._pipe = os.pipe()
        line = [sys.executable, "-m", "captiv_worker", *self._arguments, *more]
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                line,
                self._environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)],
                setsigmask=(),  # the guard blocks signals to wait for them
            )
        except OSError:
            self._forget()
            raise
        finally:
            os.close(read)
        _log.info("worker_started pid=%d %s", self._pid, " ".join(more))

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal; it has not been reaped, so the number is still its own."""
        if self._pid is not None:
            os.kill(self._pid, number)

    def reap(self) -> int | None:
        """Bury every child that has ended; return the worker's exit code if it is one of them."""
        code: int | None = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid, status = 0, 0
            if pid == 0:
                return code
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self._forget()

    def _forget(self) -> None:
        self._pid = None
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
