"""What happens to a job after an error. Policy lives here and nowhere else.

An image is charged only for what is plainly its own: an unreadable file fails at once; an engine
that breaks on it, after the worker has bisected its batch, is tried once more; a process that dies
of it, alone, twice, ends it. Whatever is the worker's fault costs the image nothing.
"""

from enum import Enum

from captiv.errors import (
    AnswerError,
    CaptivError,
    EngineFailed,
    ImageError,
    WorkerError,
)

MAX_TRIES = 2
"""How often an engine may break on one image before the image fails."""

CRASH_LIMIT = 4
"""Sum of crash weights at which a suspect, tried alone, fails."""

WORKER_CRASHES = 3
"""Crashes with no caption between them after which a worker is given up."""

BARREN_FAILURES = 8
"""Engine failures in a row, none of them plainly an image's own, that are the engine's own."""


class Verdict(Enum):
    """What to do with the job."""

    FAIL = "fail"
    TRY_AGAIN = "try again, charged"
    RELEASE = "release, uncharged"


class Death(Enum):
    """How a process ended."""

    CRASHED = "crashed"
    """By a signal of its own making, or an error exit."""
    KILLED = "killed"
    """By SIGKILL: the kernel short of memory, or somebody from outside."""

    @property
    def weight(self) -> int:
        """How much it counts against the image that was worked on alone.

        Two crashes end a suspect. A SIGKILL may have nothing to do with the image: it takes four.
        """
        return 2 if self is Death.CRASHED else 1


def verdict(error: CaptivError, tries: int) -> Verdict:
    """Return what becomes of a job after `error`, having been charged `tries` times before."""
    if isinstance(error, ImageError | AnswerError):
        return Verdict.FAIL
    if isinstance(error, EngineFailed) or type(error) is WorkerError:
        return Verdict.TRY_AGAIN if tries + 1 < MAX_TRIES else Verdict.FAIL
    return Verdict.RELEASE
