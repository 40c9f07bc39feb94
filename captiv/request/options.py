"""What a person can ask for, as the command line and the page give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captiv.core.spec import Overwrite
from captiv.errors import UsageError


@dataclass(frozen=True, slots=True)
class Options:
    """What a person gave; None is not given, and the settings decide."""

    paths: Sequence[Path] = ()
    recursive: bool = False
    overwrite: Overwrite = "no"
    limit: int | None = None
    model: str | None = None
    variant: str | None = None
    mode: str | None = None
    length: str | None = None
    prompt: str | None = None
    prompt_options: Sequence[str] = ()
    prompt_variables: Mapping[str, str] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    retries: int | None = None
    dtype: str | None = None
    device: str | None = None
    batch_size: str | None = None
    """A number, or `auto`."""
    save: bool = True
    extension: str | None = None
    sidecar_name: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    worker: str | None = None
    protocol: str | None = None
    insecure: bool = False
    runpod: bool = False
    gpu_type: str | None = None
    pods: int = 1
    max_cost: str | None = None
    fallback: str | None = None
    terminate: bool = False


def pairs(text: str | None, flag: str) -> dict[str, str]:
    """Return `a=b,c=d` as a mapping."""
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{flag} takes name=value, separated by commas; {part!r} is none.")
        found[name.strip()] = value.strip()
    return found


def words(text: str | None) -> tuple[str, ...]:
    """Return `a,b` as a tuple."""
    return tuple(filter(None, (part.strip() for part in (text or "").split(","))))
