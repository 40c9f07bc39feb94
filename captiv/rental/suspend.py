"""Whether this machine slept: wall time passed, and the clock of the loop stood still.

A laptop that is closed over a run says nothing to its pods, and their guards end them. On Windows
that clock goes on while the machine sleeps, and nothing is noticed.
"""

from collections.abc import Callable

from captiv.clock import steady_s

_SLEPT_S = 60.0
"""Clocks that are set drift by less."""
_RECENTLY_S = 300.0
"""What a sleep was the reason for is found out by then."""


class SleepWatch:
    """Compares both clocks from look to look."""

    def __init__(self, now_ms: Callable[[], int], clock_s: Callable[[], float] = steady_s) -> None:
        self._now_ms = now_ms
        self._clock_s = clock_s
        self._seen: tuple[int, float] | None = None
        self._fell_ms: int | None = None
        self._woke_s = 0.0

    def look(self) -> int | None:
        """Return when the machine fell asleep at the latest, if it woke a moment ago."""
        now_ms, now_s = self._now_ms(), self._clock_s()
        if self._seen is not None:
            then_ms, then_s = self._seen
            slept_s = (now_ms - then_ms) / 1000 - (now_s - then_s)
            if slept_s > _SLEPT_S:
                self._fell_ms, self._woke_s = now_ms - round(slept_s * 1000), now_s
        self._seen = now_ms, now_s
        return self._fell_ms if now_s - self._woke_s < _RECENTLY_S else None
