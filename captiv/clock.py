"""The one clock: what time it is, and how much of it has passed.

Moments that are kept or compared with another machine's are wall time, in integer milliseconds
since 1970. Durations are taken from the monotonic clock, which no correction of the wall clock
moves.
"""

import os
import time

_AHEAD_MS = round(float(os.environ.get("CAPTIV_TEST_CLOCK_AHEAD_S", "0")) * 1000)
"""For tests: a machine whose clock is wrong."""


def now_ms() -> int:
    """Return the wall time in integer milliseconds since 1970."""
    return time.time_ns() // 1_000_000 + _AHEAD_MS


def now_s() -> float:
    """Return the wall time in seconds since 1970."""
    return time.time() + _AHEAD_MS / 1000


def monotonic_s() -> float:
    """Return seconds since some moment of this machine's; only differences mean anything."""
    return time.monotonic()
