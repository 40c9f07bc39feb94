"""How many bytes of decoded pictures a process holds at the same time, whoever decodes them.

Pixels are no measure: a scan of a drawing takes one byte for each of them, a photograph on a
transparent ground four, and as much again while that is painted. All threads of a process share
one budget; who finds it used up waits for its turn.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from captiv.catalog.model import IMAGE_MEMORY_MB
from captiv.errors import ImageTooLarge

_MB: Final = 1024 * 1024


class Budget:
    """Bytes that may be taken, in the order in which they are asked for."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def taken(self, size: tuple[int, int], wanted_bytes: int) -> Iterator[None]:
        """Hold so many bytes while the context is open, for a picture of that size in pixels.

        Raises: ImageTooLarge if there will never be as many.
        """
        if wanted_bytes > self.limit_bytes:
            raise ImageTooLarge(
                f"the picture has {size[0]:,} x {size[1]:,} pixels, which take"
                f" {wanted_bytes / _MB:,.0f} MB to decode; captiv takes up to"
                f" {self.limit_bytes / _MB:,.0f} MB (images.memory_mb)"
            )
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._fits(ticket, wanted_bytes))
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            self._used += wanted_bytes
        try:
            yield
        finally:
            with self._changed:
                self._used -= wanted_bytes
                self._changed.notify_all()

    def _fits(self, ticket: object, wanted_bytes: int) -> bool:
        return self._waiting[0] is ticket and self._used + wanted_bytes <= self.limit_bytes


DECODED: Final = Budget(IMAGE_MEMORY_MB * _MB)
"""Of this process."""


def allow(limit_mb: int) -> None:
    """Set how many MB of decoded pictures this process may hold; for whoever starts it."""
    DECODED.limit_bytes = limit_mb * _MB
