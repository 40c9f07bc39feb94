"""The process in which mutants are tried, under limits; it writes one line a mutant.

It may be killed by any of them: whoever started it knows by the lines which one that was, and
starts another behind it. Only Linux tells the memory that one mutant took; elsewhere the most that
any has taken so far counts.
"""

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from captiv.catalog.model import ImagePolicy
from captiv.errors import ImageError, MachineShort
from captiv.images.prepare import decode, prepare

from .mutants import Mutant, mutant
from .seeds import seeds

POLICIES: Final = (
    ImagePolicy(16),
    ImagePolicy(384),
    ImagePolicy(24, "long"),
    ImagePolicy(2048, "long"),
    ImagePolicy(20, "area"),
    ImagePolicy(1024, "area"),
)
READY: Final = "ready"
MB: Final = 1024 * 1024
_STATUS: Final = Path("/proc/self/status")
_FORGET_PEAK: Final = Path("/proc/self/clear_refs")


class Ending(StrEnum):
    """What became of a mutant."""

    SHOWN = "shown"
    REFUSED = "refused"
    MEMORY = "too much memory"
    OTHER_ERROR = "another error than an ImageError"
    WRONG = "a wrong answer"
    NOISE = "words on standard error"
    CRASH = "a crash"
    SLOW = "too slow"


GOOD: Final = frozenset({Ending.SHOWN, Ending.REFUSED})


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mutant was met."""

    number: int
    kind: str
    seed: str
    ending: Ending
    code: str = ""
    """Of the error that refused it."""
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    words: str = ""
    """What is to be known of one that did not end well."""


class _NotWhole(Exception):
    """What came out is no picture, or what was said no sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one mutant may take."""

    cpu_s: float = 5.0
    memory_mb: int = 1024


def attempt(tried: Mutant, limits: Limits) -> Trial:
    """Prepare a mutant, and decode it whole, in this process."""
    chance = random.Random(tried.number)
    _forget_peak()
    before_s = time.process_time()
    code, words = "", ""
    try:
        code = _look(tried.data, chance.choice(POLICIES))
        ending = Ending.REFUSED if code else Ending.SHOWN
    except (MemoryError, MachineShort):
        ending, words = Ending.MEMORY, traceback.format_exc()
    except _NotWhole as error:
        ending, words = Ending.WRONG, str(error)
    except Exception:
        ending, words = Ending.OTHER_ERROR, traceback.format_exc()
    took_s, peak = time.process_time() - before_s, _peak_mb()
    if took_s >= limits.cpu_s:  # the signal comes with a tick of the system, or the next one
        ending = Ending.SLOW
    if peak > limits.memory_mb:
        ending = Ending.MEMORY
    if noise := _noise():
        ending, words = Ending.NOISE, noise
    seed = tried.seed
    return Trial(tried.number, seed.kind, seed.name, ending, code, took_s, peak, words)


def _look(data: bytes, policy: ImagePolicy) -> str:
    """Prepare and decode; return the code of the ImageError of `prepare`, or else of `decode`.

    No error is kept: its traceback would keep a picture, which the next one would be charged with.

    Raises: _NotWhole; whatever must not be.
    """
    refused = ""
    try:
        prepared = prepare(data, policy)
        with Image.open(BytesIO(prepared.data)) as shown:
            mode = shown.convert("RGB").mode if shown.mode == "P" else shown.mode
            shown.load()
            about = shown.size, mode, f"image/{(shown.format or '').lower()}"
        if about != ((prepared.width_px, prepared.height_px), "RGB", prepared.media_type):
            raise _NotWhole(f"prepared as {about}")
    except ImageError as error:
        refused = _in_words(error)
    try:
        image = decode(data)
        if image.mode != "RGB" or min(image.size) < 1:
            raise _NotWhole(f"decoded as {image}")
    except ImageError as error:
        refused = refused or _in_words(error)
    return refused


def _in_words(error: ImageError) -> str:
    """Return an error's code if it says something."""
    if not error.message.startswith(("the file ", "the picture ")) or not error.message.isascii():
        raise _NotWhole(error.message)
    return str(error.code)


def _forget_peak() -> None:
    try:
        _FORGET_PEAK.write_text("5")
    except OSError:
        return


def _peak_mb() -> float:
    if _STATUS.exists():
        return _told_mb("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def _told_mb(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def _noise() -> str:
    """Return and forget what was written to standard error, which is a file."""
    size = os.fstat(2).st_size
    if not size:
        return ""
    said = os.pread(2, size, 0).decode(errors="replace")
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
    return said


def limit(memory_mb: int) -> None:
    """Let this process hold so much, beside what it has reserved and doesn't use."""
    unused_mb = _told_mb("VmSize") - _told_mb("VmRSS") if _STATUS.exists() else 0
    most = int((memory_mb + unused_mb) * MB)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(
    draw: str, first: int, stop: int, step: int, limits: Limits, folders: Sequence[Path]
) -> None:
    """Try the mutants of these numbers."""
    faulthandler.enable()
    whole = seeds(*folders)
    for seed in whole:  # what is loaded and kept from now on is no mutant's
        attempt(Mutant(-1, seed, seed.data), limits)
    limit(limits.memory_mb)
    print(READY, flush=True)
    for number in range(first, stop, step):
        # CPU time: another program that is busy makes no picture slow. The signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
        tried = attempt(mutant(number, whole, draw), limits)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(asdict(tried)), flush=True)


if __name__ == "__main__":
    about = json.loads(sys.argv[1])
    main(
        about["draw"],
        about["first"],
        about["stop"],
        about["step"],
        Limits(**about["limits"]),
        [Path(folder) for folder in about["folders"]],
    )
