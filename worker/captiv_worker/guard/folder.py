"""The folder that a guard and its worker share. Standard library only.

Signs go from the worker to the guard: empty files whose modification time is renewed. It is the
change of that time that counts, never its value, so no jump of the clock can be taken for life.
The limits and the model that somebody asked for are kept here too, so that they outlast the worker
(and, where the disk does, the container), as does the worker's batch file.
"""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

_MEMORY = Path("/dev/shm")
"""Where a folder can be had though no disk can be written."""

_EVERY_S = 1.0
"""No sign is renewed more often."""


class Sign(StrEnum):
    """What a worker tells its guard."""

    ALIVE = "alive"
    """A request came with the token."""
    READY = "ready"
    """A model is loaded."""
    CAPTIONED = "captioned"
    """An image got its caption."""


class GuardFolder:
    """Signs, limits, model and batch file. `clock` gives monotonic seconds."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.batch_file = path / "batch.json"
        self._clock = clock
        self._given_s: dict[Sign, float] = {}

    def give(self, sign: Sign) -> None:
        """Renew this sign, at most once a second; a folder that is gone changes nothing else."""
        now_s = self._clock()
        if now_s - self._given_s.get(sign, -math.inf) < _EVERY_S:
            return
        self._given_s[sign] = now_s
        try:
            os.utime(self.path / sign)
        except OSError:
            return  # the guard will end the pod: better than a worker that fails on every request

    def stamp(self, sign: Sign) -> int | None:
        """Return what changes whenever this sign is renewed, or None if it cannot be seen."""
        try:
            return (self.path / sign).stat().st_mtime_ns
        except OSError:
            return None

    def write_limits(self, idle_s: float, deadline: float | None) -> None:
        """Keep these limits; OSError if they cannot be kept."""
        _write(self.path / "limits.json", {"idle_s": idle_s, "deadline": deadline})

    def limits(self) -> tuple[float, float | None] | None:
        """Return idle limit and deadline that somebody asked for, or None."""
        kept = _read(self.path / "limits.json")
        idle_s, deadline = _number(kept.get("idle_s")), _number(kept.get("deadline"))
        return None if idle_s is None else (idle_s, deadline)

    def write_model(self, change: Mapping[str, Any]) -> None:
        """Keep which model was asked for; OSError if it cannot be kept."""
        _write(self.path / "model.json", change)

    def model(self) -> dict[str, Any]:
        """Return which model was asked for; empty if none was."""
        return _read(self.path / "model.json")


def prepare(path: Path | None, name: str) -> GuardFolder:
    """Return a folder that can be written: `path`, or one of this name where one can be had.

    Without any, the folder returned shows no signs, and the guard ends its pod when it is idle.
    """
    places = [path] if path is not None else [_temporary() / name, _MEMORY / name]
    for place in places:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for sign in Sign:
                (place / sign).touch()
        except OSError:
            continue
        return GuardFolder(place)
    return GuardFolder(places[0])


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return _MEMORY


def _write(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
