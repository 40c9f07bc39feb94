"""What happens to a job after an error. Policy lives here and nowhere else.

An image is charged only for what is plainly its own: an unreadable file fails at once; an engine
that breaks on it, after the worker has bisected its batch, is tried once more; a process that dies
of it, alone, twice, ends it. An answer that is no caption is tried again as often as the run says,
sampled and from another seed, for the same settings would only give it again. Whatever is the
worker's fault costs the image nothing.

Charged tries are never forgotten: their number names the next one. A round of tries ends whenever
as many were charged as it has, and `captiv queue retry` begins another round.

A later command meets the failures of earlier ones. Those that time may mend are tried again; the
others only if the image or what is asked of it has changed, or if a person says so.
"""

import hashlib
from enum import Enum

from captiv.core.jobs import Job, PastFailure, Stamp
from captiv.errors import (
    AnswerError,
    CaptivError,
    EngineFailed,
    Fault,
    ImageCrashes,
    ImageError,
    ImageRefused,
    ImageTooLarge,
    ImageUnreadable,
    NoBalance,
    WorkerError,
)
from captiv.wire import Generation

MAX_TRIES = 2
"""How often an engine may break on one image before the image fails."""

AGAIN_TEMPERATURE = 0.6
AGAIN_TOP_P = 0.9
"""JoyCaption's own; a lower temperature than this would often find the same loop again."""

CRASH_LIMIT = 4
"""Sum of crash weights at which a suspect, tried alone, fails."""

WORKER_CRASHES = 3
"""Crashes with no caption between them after which a worker is given up."""

BARREN_FAILURES = 8
"""Engine failures in a row, none of them plainly an image's own, that are the engine's own."""


_LASTING = frozenset(
    cls.code for cls in (ImageUnreadable, ImageTooLarge, ImageCrashes, ImageRefused, AnswerError)
)
"""Codes of failures that the same ask of the same file ends in again."""
REFUSALS = 3
"""Different images refused in a row, with no answer between them, that are the request's fault."""


def passing(error: CaptivError) -> bool:
    """Whether no worker was to be had for a reason that may pass: an outage, empty stock, credit.

    What was asked for, set up or allowed wrongly stays wrong, on every worker and tomorrow.
    """
    return error.fault not in (Fault.PERSON, Fault.MODEL) or isinstance(error, NoBalance)


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
    HUNG = "hung"
    """By captiv: it answered and gave no caption any more."""

    @property
    def weight(self) -> int:
        """How much it counts against the image that was worked on alone.

        Two crashes or hangs end a suspect. A SIGKILL may have nothing to do with the image: it
        takes four.
        """
        return 1 if self is Death.KILLED else 2


def verdict(error: CaptivError, job: Job, retries: int) -> Verdict:
    """Return what becomes of a job after `error`; answers are tried again `retries` times."""
    if isinstance(error, ImageError):
        return Verdict.FAIL
    if isinstance(error, AnswerError):
        return _round(job.misses, retries + 1)
    if isinstance(error, EngineFailed) or type(error) is WorkerError:
        return _round(job.tries - job.misses, MAX_TRIES)
    return Verdict.RELEASE


def _round(charged: int, tries: int) -> Verdict:
    return Verdict.TRY_AGAIN if (charged + 1) % tries else Verdict.FAIL


def lasting(code: str) -> bool:
    """Tell whether only a change of the image, or of what is asked of it, mends such a failure.

    Not so what time may mend: a file that is missing or may not be read, a worker that breaks. Nor
    what the scan refuses (a shared sidecar): it looks each time, at no cost.
    """
    return code in _LASTING


def again(failure: PastFailure, file: Stamp | None, asked: str) -> bool:
    """Tell whether an image that failed before is to be tried again.

    Args:
        failure: how it failed.
        file: what the image is now; None if nobody can tell.
        asked: `RunSpec.asked` of what is asked for now.
    """
    same = file is not None and failure.file == file and failure.asked == asked
    return not (lasting(failure.code) and same)


def asked_with(generation: Generation, job: Job) -> Generation:
    """Return the settings of this job's next try, the same ones whenever it is asked for.

    After an answer that was no caption they sample, from a seed that follows from the person's
    seed or, without one, from the job.
    """
    if not job.misses:
        return generation
    origin = f"job {job.id}" if generation.seed is None else f"seed {generation.seed}"
    digest = hashlib.sha256(f"{origin} try {job.tries}".encode()).digest()
    return generation.model_copy(
        update={
            "temperature": max(generation.temperature or 0.0, AGAIN_TEMPERATURE),
            "top_p": AGAIN_TOP_P if generation.top_p is None else generation.top_p,
            "num_beams": 1,
            "seed": int.from_bytes(digest[:8], "big") >> 1,
        }
    )
