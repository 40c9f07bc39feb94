"""Which tags are asked for, and how a folder with a tagger in it is known."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from captiv.catalog.model import Family
from captiv.errors import UsageError

TAGGER: Final = "tagger"
"""Engine of the families that write tags."""

WD: Final = "wd-tagger"
PIXAI: Final = "pixai-tagger"
CAMIE: Final = "camie-tagger"
"""What stands for `model_type` in a checkpoint that has no config.json of transformers'."""

LISTED: Final = ("model.onnx", "selected_tags.csv")
"""The files of a tagger whose list of tags is a table."""
CAMIE_FILES: Final = ("camie-tagger-v2.onnx", "camie-tagger-v2-metadata.json")
"""Those of Camie's."""
_SERIES: Final = "ips"
"""A column that PixAI's table has, and WD's has not."""

OFF: Final = 1.0
"""A threshold that no score exceeds."""
EVERY: Final = "every"
"""Stands for every category that is written by default."""


def thresholds_in(text: str) -> dict[str, float]:
    """Return `0.35` or `general=0.35,character=0.85` by category; a bare number is for `EVERY`.

    Raises:
        ValueError: it is neither; in words that follow the name of an option or setting.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, score = part.rpartition("=")
        category = name.strip() if equals else EVERY
        if not category or category in found:
            raise ValueError(f"takes one score, or CATEGORY=SCORE with commas between: {part!r}")
        found[category] = _score(score)
    return found


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise ValueError(f"takes scores from 0 to 1, not {text.strip()!r}")
    return score


def with_thresholds(
    family: Family, own: Mapping[str, float], given: Mapping[str, float]
) -> dict[str, float]:
    """Return the thresholds `own` of a family with those that are given.

    Raises:
        UsageError: the family has no such category.
    """
    unknown = [name for name in given if name not in own and name != EVERY]
    if unknown:
        raise UsageError(
            f"{family.name} has no tags of the category {unknown[0]!r}.",
            hint=f"It has: {', '.join(own)}.",
        )
    every = given.get(EVERY)
    found = {name: score if every is None or score >= OFF else every for name, score in own.items()}
    return found | {name: score for name, score in given.items() if name != EVERY}


def tag_names(text: str) -> tuple[str, ...]:
    """Return `a,b c,d_e` as names of tags."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def folded(name: str) -> str:
    """Return a tag as it is compared: whatever its case, with spaces, brackets unescaped."""
    return name.replace("\\", "").replace("_", " ").strip().casefold()


def taggers(families: Sequence[Family]) -> str:
    """Return the names of those that write tags, for a person."""
    return ", ".join(family.name for family in families if family.tagging is not None)


def config_of(names: Collection[str], header: str) -> dict[str, Any] | None:
    """Return what a folder's config.json would say of the tagger in it; None if it holds none.

    Args:
        names: the names of its files.
        header: the first line of its selected_tags.csv; empty if there is none.
    """
    if set(CAMIE_FILES) <= set(names):
        return {"model_type": CAMIE}
    if not set(LISTED) <= set(names):
        return None
    columns = [column.strip().strip('"') for column in header.split(",")]
    return {"model_type": PIXAI if _SERIES in columns else WD}


def tagger_in(folder: Path) -> dict[str, Any] | None:
    """Return what a config.json would say of the tagger in this folder; None if it has none."""
    try:
        names = {file.name for file in folder.iterdir() if file.exists()}
        table = folder / LISTED[1]
        header = _first_line(table) if table.name in names else ""
    except (OSError, ValueError):
        return None
    return config_of(names, header)


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        return opened.readline()
