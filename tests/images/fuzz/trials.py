"""Many mutants, tried in processes that are started anew behind each that was killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

from .mutants import mutant
from .seeds import seeds
from .trial import GOOD, READY, Ending, Limits, Trial

ROOT: Final = Path(__file__).parents[3]
WAITING_S: Final = 60.0
"""Longer than a mutant may take of a processor: one that waits for nothing."""
_TRIAL: Final = [sys.executable, "-m", f"{__package__}.trial"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Which mutants are tried, and how."""

    name: str = "0"
    """Mutants of another name are others."""
    count: int = 200_000
    first: int = 0
    processes: int = 2
    limits: Limits = field(default_factory=Limits)
    folders: tuple[Path, ...] = ()


def tried(draw: Draw, tell: Callable[[Trial], None] = lambda trial: None) -> list[Trial]:
    """Try every mutant of a draw; `tell` hears of each at once."""
    telling = threading.Lock()

    def one(process: int) -> list[Trial]:
        found = []
        for trial in _share(draw, process):
            with telling:
                tell(trial)
            found.append(trial)
        return found

    with ThreadPoolExecutor(draw.processes) as threads:
        return [trial for share in threads.map(one, range(draw.processes)) for trial in share]


def kept(trial: Trial, draw: Draw, folder: Path) -> Path:
    """Write a mutant, and beside it how it was met, into a folder; return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{draw.name}-{trial.number}.{trial.kind.lower().replace(' ', '')}"
    path.write_bytes(mutant(trial.number, seeds(*draw.folders), draw.name).data)
    about = asdict(trial)
    words = about.pop("words")
    path.with_name(path.name + ".txt").write_text(f"{json.dumps(about, indent=1)}\n{words}\n")
    return path


def table(trials: Sequence[Trial]) -> Iterator[str]:
    """Yield a line a kind: how many were tried, shown and refused, the slowest, the largest."""
    yield (
        f"{'kind':8} {'tried':>8} {'shown':>8} {'refused':>8} {'bad':>5} "
        f"{'slowest':>8} {'peak':>8}  refused as"
    )
    for kind in (*sorted({trial.kind for trial in trials}), "all"):
        some = [trial for trial in trials if kind in (trial.kind, "all")]
        endings = Counter(trial.ending for trial in some)
        codes = Counter(trial.code for trial in some if trial.ending is Ending.REFUSED)
        yield (
            f"{kind:8} {len(some):8,} {endings[Ending.SHOWN]:8,} {endings[Ending.REFUSED]:8,} "
            f"{sum(trial.ending not in GOOD for trial in some):5} "
            f"{max((trial.cpu_s for trial in some), default=0):6.2f} s "
            f"{max((trial.peak_mb for trial in some), default=0):5.0f} MB  "
            + ", ".join(f"{code} {number:,}" for code, number in codes.most_common())
        )


def _share(draw: Draw, process: int) -> Iterator[Trial]:
    """Try the part of a draw that falls to one process, and to its successors."""
    at, stop = draw.first + process, draw.first + draw.count
    while at < stop:
        with tempfile.TemporaryFile("w+b") as said:
            child = _started(draw, at, stop, said)
            for trial in _lines(child):
                yield trial
                at = trial.number + draw.processes
            if at < stop:
                yield _killed(draw, at, child, said)
                at += draw.processes


def _started(draw: Draw, first: int, stop: int, said: IO[bytes]) -> subprocess.Popen[str]:
    about = {
        "draw": draw.name,
        "first": first,
        "stop": stop,
        "step": draw.processes,
        "limits": asdict(draw.limits),
        "folders": [str(folder) for folder in draw.folders],
    }
    child = subprocess.Popen(
        [*_TRIAL, json.dumps(about)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert child.stdout is not None
    if child.stdout.readline().strip() != READY:
        said.seek(0)
        raise RuntimeError(said.read().decode(errors="replace"))
    return child


def _lines(child: subprocess.Popen[str]) -> Iterator[Trial]:
    """Yield what a process tells; it is killed if it tells nothing for long."""
    assert child.stdout is not None
    with child.stdout:
        while True:
            waiting = threading.Timer(WAITING_S, child.kill)
            waiting.start()
            line = child.stdout.readline()
            waiting.cancel()
            if not line.endswith("\n"):
                break
            told = json.loads(line)
            yield Trial(**told | {"ending": Ending(told["ending"])})
    child.wait()


def _killed(draw: Draw, number: int, child: subprocess.Popen[str], said: IO[bytes]) -> Trial:
    """Return how the mutant was met that ended a process."""
    seed = mutant(number, seeds(*draw.folders), draw.name).seed
    slow = child.returncode in (-signal.SIGPROF, -signal.SIGKILL)
    said.seek(0)
    words = f"exit {child.returncode}\n{said.read().decode(errors='replace')}"
    ending = Ending.SLOW if slow else Ending.CRASH
    return Trial(number, seed.kind, seed.name, ending, words=words)
