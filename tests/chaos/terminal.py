"""A terminal with one command in it, which can be closed as a person closes a window."""

import fcntl
import os
import pty
import resource
import select
import subprocess
import termios
import threading
from collections.abc import Mapping
from pathlib import Path


class Terminal:
    """One command, the leader of a session on a pseudo-terminal of its own."""

    def __init__(
        self,
        command: list[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        limits: Mapping[int, int] | None = None,
        gone: bool = False,
    ) -> None:
        """Args: `limits` are what the command may use: values by `resource.RLIMIT_…`.

        With `gone` the terminal is closed before the command begins: it is told nothing, and every
        write fails.
        """
        self.said = b""
        self.read = True
        """Whether anybody reads what the command prints; a terminal that is not read fills."""
        self._master, slave = pty.openpty()
        self._closing = threading.Event()
        if gone:
            self._closing.set()
            os.close(self._master)

        def begin() -> None:
            if not gone:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for which, most in (limits or {}).items():
                resource.setrlimit(which, (most, most))

        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=begin,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    @property
    def code(self) -> int | None:
        """The exit code, None while the command runs."""
        return self.process.poll()

    def close(self) -> None:
        """Close the terminal: the kernel sends SIGHUP, and every later write fails."""
        if not self._closing.is_set():
            self._closing.set()
            self._reader.join()
            os.close(self._master)

    def kill(self) -> None:
        """End the command with SIGKILL."""
        self.process.kill()

    def wait(self, timeout_s: float) -> int:
        """Wait for the end of the command, and return its exit code."""
        try:
            return self.process.wait(timeout_s)
        finally:
            self.close()

    def _follow(self) -> None:
        while not self._closing.is_set():
            if not self.read:
                self._closing.wait(0.05)
                continue
            try:
                if select.select([self._master], [], [], 0.05)[0]:
                    self.said += os.read(self._master, 65536)
            except OSError:  # nobody has the other side open any more
                self._closing.wait(0.05)
