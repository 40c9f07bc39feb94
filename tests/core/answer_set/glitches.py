"""A sixth set, written by hand: glitches that are known from chat models, and what is near them."""

import tomllib
from pathlib import Path
from typing import Any

from .sample import Sample

FILE = Path(__file__).with_name("glitches.toml")


def read() -> tuple[Sample, ...]:
    """Return the answers of `glitches.toml`, each with what was asked."""
    read = tomllib.loads(FILE.read_text(encoding="utf-8"))
    usual = {"prompt": read["prompt"], "system": read["system"]}
    return tuple(
        Sample(kind["name"], kind["label"], **(usual | _fields(answer)))
        for kind in read["kinds"]
        for answer in kind["answers"]
    )


def _fields(answer: str | dict[str, str]) -> dict[str, Any]:
    return {"text": answer} if isinstance(answer, str) else dict(answer)
