"""What a guard is told by its environment. However wrong that is, the guard starts."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from captiv_worker.guard import ending
from captiv_worker.guard.ending import Ending
from captiv_worker.guard.rules import Limits

_log = logging.getLogger(__name__)

IDLE_S = 900.0
STARTUP_S = 900.0
RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a guard is told."""

    limits: Limits
    ending: Ending
    retry_s: float = RETRY_S
    """How far attempts to end the pod lie apart, more or less."""
    folder: Path | None = None
    folder_name: str = "captiv-guard-pod"
    """What the folder is called where none is given."""


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings; what cannot be understood is logged and left at its default."""
    limits = Limits(
        startup_s=_seconds(environ, "CAPTIV_GUARD_STARTUP_S", STARTUP_S),
        idle_s=_seconds(environ, "CAPTIV_GUARD_IDLE_S", IDLE_S),
        deadline=_number(environ, "CAPTIV_GUARD_DEADLINE"),
    )
    folder = environ.get("CAPTIV_GUARD_FOLDER")
    return Settings(
        limits=limits,
        ending=ending.read(environ),
        retry_s=_seconds(environ, "CAPTIV_GUARD_RETRY_S", RETRY_S),
        folder=Path(folder) if folder else None,
        folder_name=_folder_name(environ),
    )


def _folder_name(environ: Mapping[str, str]) -> str:
    """Return a name that is another one for each pod, as its token is."""
    digest = re.match(r"[0-9a-fA-F]{16}", environ.get("CAPTIV_WORKER_TOKEN_SHA256", "").strip())
    return f"captiv-guard-{digest[0] if digest else 'pod'}"


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = _number(environ, name)
    if value is None or value > 0:
        return default if value is None else value
    _log.error("setting_refused name=%s reason=not_above_0 used=%g", name, default)
    return default


def _number(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    _log.error("setting_refused name=%s reason=no_number", name)
    return None
