"""What a guard is told by its environment. However wrong that is, the guard starts."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from captiv_worker.guard.rules import Limits

_log = logging.getLogger(__name__)

API_KEY = "RUNPOD_API_KEY"
API_URL = "https://api.runpod.io"

IDLE_S = 900.0
STARTUP_S = 900.0
RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a guard is told."""

    limits: Limits
    pod_id: str
    api_key: str = field(repr=False)
    api_url: str = API_URL
    retry_s: float = RETRY_S
    """How far attempts to end the pod lie apart, more or less."""
    folder: Path | None = None

    @property
    def folder_name(self) -> str:
        """What a folder of this pod is called."""
        return "captiv-guard-" + (re.sub(r"[^\w-]", "_", self.pod_id) or "pod")


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
        pod_id=environ.get("RUNPOD_POD_ID", "").strip(),
        api_key=environ.get(API_KEY, "").strip(),
        api_url=environ.get("CAPTIV_RUNPOD_API_URL", "").strip().rstrip("/") or API_URL,
        retry_s=_seconds(environ, "CAPTIV_GUARD_RETRY_S", RETRY_S),
        folder=Path(folder) if folder else None,
    )


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
