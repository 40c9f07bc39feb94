"""A pod's log: what its container wrote, and what its host said of it."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import anyio

from captiv.testing.cloud.bill import rfc3339

Source = Literal["container", "system"]

SOURCES: tuple[Source, Source] = ("container", "system")

_KEPT = 5000
"""RunPod lets nobody ask for more."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, with the number that tells lines of the same moment apart."""

    at: float
    number: int
    source: Source
    text: str

    @property
    def ts(self) -> str:
        """The moment, as RunPod writes it."""
        return rfc3339(self.at)

    @property
    def id(self) -> str:
        """What a reader gives as `Last-Event-ID` to go on after this line."""
        return f"{self.ts}/{self.number:012}"


class PodLog:
    """Keeps the last lines and tells readers of new ones."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=_KEPT)
        self._count = 0
        self._changed = anyio.Event()
        self._closed = False

    def system(self, text: str) -> None:
        """Add what the host says."""
        self.add("system", text)

    def add(self, source: Source, text: str) -> None:
        """Add a line."""
        self._count += 1
        self._lines.append(Line(self._clock(), self._count, source, text))
        self._tell()

    def close(self) -> None:
        """End every reader: the pod is gone."""
        self._closed = True
        self._tell()

    def texts(self, source: Source | None = None) -> list[str]:
        """Return the texts kept, of one source or of both."""
        return [line.text for line in self.lines(source)]

    def lines(self, source: Source | None = None) -> list[Line]:
        """Return the lines kept, of one source or of both; from any thread."""
        return [line for line in list(self._lines) if source in (None, line.source)]

    def after_tail(self, tail: int, source: Source | None) -> int:
        """Return the number after which the last `tail` lines of a source begin."""
        wanted = [line.number for line in self._lines if source in (None, line.source)]
        return wanted[-tail] - 1 if 0 < tail <= len(wanted) else 0 if tail else self._count

    def after_time(self, since: datetime) -> int:
        """Return the number after which the lines from this moment on begin."""
        earlier = [line.number for line in self._lines if line.at < since.timestamp()]
        return max(earlier, default=0)

    async def follow(self, after: int, source: Source | None) -> AsyncIterator[Line]:
        """Yield lines after this number, then new ones as they come, until the pod is gone."""
        while True:
            changed = self._changed
            for line in [line for line in self._lines if line.number > after]:
                after = line.number
                if source in (None, line.source):
                    yield line
            if self._closed and after == self._count:
                return
            if changed is self._changed:
                await changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
