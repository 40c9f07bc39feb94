"""Sets written by hand: glitches that are known from chat models, and what is near them."""

import tomllib
from pathlib import Path
from typing import Any

from .sample import Sample

FAMILIES = Path(__file__).with_name("families.toml")
GLITCHES = Path(__file__).with_name("glitches.toml")
TRANSCRIPTS = Path(__file__).with_name("transcripts.toml")


def read(file: Path) -> tuple[Sample, ...]:
    """Return the answers of such a file, each with what was asked."""
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    usual = {"prompt": read["prompt"], "system": read["system"]}
    return tuple(
        Sample(kind["name"], kind["label"], **(usual | _fields(answer)))
        for kind in read["kinds"]
        for answer in kind["answers"]
    )


def read_families() -> tuple[Sample, ...]:
    """Return the answers of `families.toml`: captions, each under the name of its family."""
    read = tomllib.loads(FAMILIES.read_text(encoding="utf-8"))
    return tuple(
        Sample(
            family["name"],
            "good",
            text,
            prompt=family.get("prompt", ""),
            system=family.get("system", ""),
        )
        for family in read["families"]
        for text in family["answers"]
    )


def _fields(answer: str | dict[str, str]) -> dict[str, Any]:
    return {"text": answer} if isinstance(answer, str) else dict(answer)
