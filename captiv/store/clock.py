"""The time as the store keeps it."""

import time


def now_ms() -> int:
    """Return the time in integer milliseconds since 1970."""
    return time.time_ns() // 1_000_000
