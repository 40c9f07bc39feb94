"""Standard output and error of a run: what they lead to may be slow, full or gone.

Each `Outlet` writes from a thread of its own, so no write ever ends or delays the run, whatever
becomes of the terminal, file or pipe behind it: closed, full, stopped with Ctrl-S, or read by
nobody. Text for a person (`Outlet.shown`) is dropped where it cannot be written in time. Text for a
program (`Outlet.data`) waits for its reader however slow that is; `close` gives up on a reader that
has taken nothing for a minute, and `missing` says what became of the rest.
"""

import contextlib
import errno
import io
import os
import sys
import threading
from collections import deque
from typing import Final, TextIO

from captiv.clock import monotonic_s

_PIECE_BYTES: Final = 4096
"""At most so much is written at once: what a pipe takes whole, so that progress is seen."""
_SHOWN_BYTES: Final = 1_000_000
_DATA_BYTES: Final = 256_000_000
"""Some million lines that a reader has not taken; what is more than that is missing at the end."""
_SHOWN_PATIENCE_S: Final = 5.0
_DATA_PATIENCE_S: Final = 60.0


class Outlet(io.TextIOBase):
    """A stream that takes text at once and writes it when it can."""

    def __init__(self, stream: TextIO, *, bound_bytes: int, patience_s: float) -> None:
        """Args: `patience_s` is how long `close` waits while nothing is taken."""
        super().__init__()
        self.left = False
        """Whether the reader has gone: a pipe is closed at its far end, or a terminal."""
        self.failure: OSError | None = None
        """Why the last text could not be written."""
        self._stream = stream
        self._bound_bytes = bound_bytes
        self._patience_s = patience_s
        self._descriptor = _descriptor(stream)
        self._terminal = _is_terminal(stream)
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._lost = 0
        self._written = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ending = False

    @classmethod
    def shown(cls, stream: TextIO, *, patience_s: float = _SHOWN_PATIENCE_S) -> "Outlet":
        """Return an outlet for what a person sees, which may be dropped."""
        return cls(stream, bound_bytes=_SHOWN_BYTES, patience_s=patience_s)

    @classmethod
    def data(cls, stream: TextIO, *, patience_s: float = _DATA_PATIENCE_S) -> "Outlet":
        """Return an outlet for what a program reads, which is kept for it."""
        return cls(stream, bound_bytes=_DATA_BYTES, patience_s=patience_s)

    @property
    def gone(self) -> bool:
        """Whether nobody gets what is written from now on."""
        return self.left or self.failure is not None

    @property
    def missing(self) -> str | None:
        """What kept text from a reader who was there, after `close`; None if nothing did."""
        if self.left:
            return None
        if self.failure is not None:
            return f"it cannot be written: {self.failure.strerror}"
        if self._lost or self._held_bytes:
            return "its reader takes nothing any more"
        return None

    def write(self, text: str) -> int:
        """Take text, and write it later. Never waits, never fails."""
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._stream.write(text)
            return len(text)
        data = text.encode(self.encoding, "backslashreplace")
        with self._changed:
            if self.left or self._held_bytes + len(data) > self._bound_bytes:
                self._lost += 1
                return len(text)
            self._held_bytes += len(data)
            self._pieces += [
                data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)
            ]
            self._changed.notify_all()
        self._begin()
        return len(text)

    def flush(self) -> None:
        """Do nothing: text is written as soon as it can be."""
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._stream.flush()

    def close(self) -> None:
        """Wait until everything is written, or nothing was for as long as the patience lasts."""
        if self.closed:
            return
        try:
            self._wait()
        finally:
            super().close()

    def _wait(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            seen, since_s = self._written, monotonic_s()
            while self._held_bytes and self._thread is not None:
                if not self._changed.wait(0.1) and monotonic_s() - since_s > self._patience_s:
                    return
                if self._written != seen:
                    seen, since_s = self._written, monotonic_s()

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Whether a person looked at it when it was opened."""
        return self._terminal

    def fileno(self) -> int:
        """Return the descriptor of the stream behind it.

        Raises:
            OSError: it has none.
        """
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What the stream behind it has; what that cannot show is escaped."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _begin(self) -> None:
        if self._thread is not None or self._descriptor is None:
            return
        thread = threading.Thread(target=self._run, args=(self._descriptor,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this machine has no thread to spare; the next write tries again
            return
        self._thread = thread

    def _run(self, descriptor: int) -> None:
        while True:
            with self._changed:
                while not self._pieces:
                    if self._ending:
                        return
                    self._changed.wait()
                piece = self._pieces[0]
            # Unbuffered: a lock of a buffer would be held for as long as a terminal is stopped.
            done = self._put(descriptor, piece)
            with self._changed:
                self._written += 1
                self._held_bytes -= done
                self._pieces[0] = piece[done:]
                if not self._pieces[0]:
                    self._pieces.popleft()
                if self.left:
                    self._lost += len(self._pieces)
                    self._pieces.clear()
                    self._held_bytes = 0
                self._changed.notify_all()

    def _put(self, descriptor: int, piece: bytes) -> int:
        """Write some of it; return how much is done with, written or lost."""
        try:
            return os.write(descriptor, piece)
        except BlockingIOError:  # somebody else has made the descriptor one that does not wait
            threading.Event().wait(0.05)
            return 0
        except OSError as error:
            gone = error.errno in (errno.EPIPE, errno.EBADF)
            self.left = self.left or gone or (self._terminal and error.errno == errno.EIO)
            if not self.left:
                self.failure = error
            return len(piece)


def unhindered(*, out: bool = False) -> None:
    """From now on let nothing that is said on standard error end or delay the command.

    Args: `out`: nor what is said on standard output, which is for a person, too.
    """
    if not isinstance(sys.stderr, Outlet):
        sys.stderr = Outlet.shown(sys.stderr)
    if out and not isinstance(sys.stdout, Outlet):
        sys.stdout = Outlet.shown(sys.stdout)


def _descriptor(stream: TextIO) -> int | None:
    """Return what the system knows the stream by.

    None for one that is only in memory; and on Windows, whose consoles take no bytes: there a write
    that fails is harmless, and one that waits is waited for.
    """
    if sys.platform == "win32":
        return None
    try:
        with contextlib.suppress(OSError):
            stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False
