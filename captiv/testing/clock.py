"""A calendar that runs fast, so that a test sees days go by: the same one for every process.

The wall time of captiv, of its guards and of the simulated cloud's bill goes by it. What a process
does (a request, a batch, a silence) takes the real seconds that it takes, and therefore hours while
the calendar is fast: a test slows it down for whatever must not last for hours.

>>> clock = FastClock(folder / "clock")
>>> with running(clock=clock, env=clock.environment) as cloud:
...     clock.run(1200)  # an hour in three seconds
"""

import time
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

from captiv.clock import Pace

_SOON_S = 0.02
"""A change is known to all before it happens, so that nobody's time goes back over it."""


class FastClock:
    """Decides how fast the calendar runs. Called, it tells the wall time in seconds since 1970."""

    def __init__(self, path: Path, *, rate: float = 1.0) -> None:
        """Begin with the real time of day."""
        self._path = path
        self._paces = [Pace(time.monotonic(), time.time(), rate, rate)]
        self._write()

    def __call__(self) -> float:
        """Return the wall time."""
        return self._paces[-1].epoch(time.monotonic())

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a process go by it."""
        return {"CAPTIV_TEST_CLOCK": str(self._path)}

    def run(self, rate: float) -> None:
        """Run at this rate, in calendar seconds a second, from now on."""
        last = self._paces[-1]
        if rate == last.rate:
            return
        at_s = max(time.monotonic(), last.at_s) + _SOON_S
        self._paces.append(Pace(at_s, last.epoch(at_s), last.rate, rate))
        self._write()

    def real_s(self, epoch_s: float) -> float:
        """Return the real time of day, in seconds since 1970, at which it was this wall time."""
        begun = bisect_right(self._paces, epoch_s, key=lambda pace: pace.epoch_s)
        pace = self._paces[max(0, begun - 1)]
        mono_s = pace.at_s + (epoch_s - pace.epoch_s) / pace.rate
        return time.time() - time.monotonic() + mono_s

    def _write(self) -> None:
        last = self._paces[-1]
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text(
            f"{last.at_s!r} {last.epoch_s!r} {last.before!r} {last.rate!r}\n", encoding="ascii"
        )
        part.replace(self._path)
