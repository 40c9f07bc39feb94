"""The one clock: what time it is, and how much of it has passed.

Moments that are kept or compared with another machine's are wall time, in integer milliseconds
since 1970. Durations are taken from the monotonic clock, which no correction of the wall clock
moves. Durations that mean hours of the calendar, such as the time between two looks at a pod's
deadline, are `steady_s` and `waiting_s`.

A test may let the calendar run fast: the variable `CAPTIV_TEST_CLOCK` names a file that says how
fast (`captiv.testing.clock` writes it), and every process that has the variable goes by it. Its
wall time and `steady_s` then run at that rate, `monotonic_s` does not.

The guard of a pod goes by this module, too: it is the standard library alone.
"""

import os
import time
from dataclasses import dataclass

_AHEAD_S = float(os.environ.get("CAPTIV_TEST_CLOCK_AHEAD_S", "0"))
"""For tests: a machine whose clock is wrong."""
_FILE = os.environ.get("CAPTIV_TEST_CLOCK", "")
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the calendar of a test runs: at one rate before a moment, at another after it."""

    at_s: float
    """The moment, in monotonic seconds."""
    epoch_s: float
    """The wall time at that moment."""
    before: float
    rate: float
    """Calendar seconds in one real second."""

    def epoch(self, mono_s: float) -> float:
        """Return the wall time at a moment of the monotonic clock."""
        passed_s = mono_s - self.at_s
        return self.epoch_s + passed_s * (self.before if passed_s < 0 else self.rate)


def read_pace(path: str | os.PathLike[str]) -> Pace:
    """Return what the file of a test's clock says: four numbers, as `Pace` has them."""
    with open(path, encoding="ascii") as file:
        return Pace(*map(float, file.read().split()))


def now_ms() -> int:
    """Return the wall time in integer milliseconds since 1970."""
    return int(now_s() * 1000)


def now_s() -> float:
    """Return the wall time in seconds since 1970."""
    return (steady_s() if _FILE else time.time()) + _AHEAD_S


def monotonic_s() -> float:
    """Return seconds since some moment of this machine's; only differences mean anything."""
    return time.monotonic()


def steady_s() -> float:
    """Return calendar seconds since some moment, which no correction of the wall clock moves."""
    mono_s = time.monotonic()
    return read_pace(_FILE).epoch(mono_s) if _FILE else mono_s


def waiting_s(calendar_s: float) -> float:
    """Return how long to sleep, at most, until so many seconds of the calendar have passed.

    Whoever waits looks at `steady_s` then: the rate of a test's calendar may change meanwhile.
    """
    return min(_LOOK_S, calendar_s / read_pace(_FILE).rate) if _FILE else calendar_s
