"""The tags that a tagger knows, in the order of its scores, and how the chosen ones are written."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captiv.catalog.tagging import OFF, folded
from captiv.errors import ModelError
from captiv.wire import Tagging

_CATEGORIES = {
    "0": "general",
    "1": "artist",
    "3": "copyright",
    "4": "character",
    "5": "meta",
    "9": "rating",
}
"""Danbooru's numbers; 9 is WD's own."""
_WORD = re.compile(r"[^\W_]{2}")
_BRACKET = re.compile(r"([()])")


@dataclass(frozen=True, slots=True)
class Labels:
    """Names and categories of all tags, in the order of the scores."""

    names: tuple[str, ...]
    categories: tuple[str, ...]


def read_labels(file: Path) -> Labels:
    """Return the tags of a tagger: `selected_tags.csv`, or Camie's metadata.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        rows = _described(file) if file.suffix == ".json" else _listed(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"The list of tags in {file} cannot be read ({type(error).__name__}).",
            hint="The copy is damaged or of another model: fetch it again.",
        ) from error
    return Labels(tuple(name for name, _ in rows), tuple(category for _, category in rows))


def _listed(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return [
            (row["name"], _CATEGORIES.get(row["category"], row["category"]))
            for row in csv.DictReader(opened)
        ]


def _described(file: Path) -> list[tuple[str, str]]:
    info: Any = json.loads(file.read_text(encoding="utf-8"))
    mapping = info["dataset_info"]["tag_mapping"]
    names, categories = mapping["idx_to_tag"], mapping["tag_to_category"]
    return [
        (names[str(number)], categories.get(names[str(number)], "general"))
        for number in range(len(names))
    ]


def limits(labels: Labels, tagging: Tagging) -> list[float]:
    """Return the score that each tag has to exceed."""
    excluded = {folded(name) for name in tagging.exclude}
    by_category = {c: tagging.thresholds.get(c, OFF) for c in set(labels.categories)}
    found = [by_category[category] for category in labels.categories]
    if excluded:
        names = enumerate(labels.names)
        for number in [n for n, name in names if folded(name) in excluded]:
            found[number] = OFF
    return found


def written(names: Sequence[str], tagging: Tagging) -> str:
    """Return tags as a caption."""
    return ", ".join(_spelled(name, tagging) for name in names)


def _spelled(name: str, tagging: Tagging) -> str:
    """Return one tag; a face such as ^_^ or o_o keeps its underscore, for it has no words."""
    if not tagging.underscores and _WORD.search(name):
        name = name.replace("_", " ")
    return _BRACKET.sub(r"\\\1", name) if tagging.escape else name
