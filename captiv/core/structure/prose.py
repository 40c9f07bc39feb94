"""The text of an object, for trainers that read a `.txt`. Pure.

Everything is told in the order in which it stands, in one line: texts as they are, lists with
commas between, numbers and flags with their name. Boxes, null and false are left out.
"""

from collections.abc import Iterator
from typing import Any

from captiv.core.structure.objects import Path

_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001


def prose(value: Any, boxes: frozenset[Path]) -> str:
    """Return what an object says; its boxes are left out."""
    said = ""
    for part in _parts(value, boxes, ()):
        joint = "" if not said else " " if said.endswith(_ENDS) else ", "
        said += joint + part
    return said


def _parts(value: Any, boxes: frozenset[Path], path: Path) -> Iterator[str]:
    if path in boxes or value is None or value is False:
        return
    if isinstance(value, str):
        text = " ".join(value.split())
        if text:
            yield text
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _parts(each, boxes, (*path, key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _parts(each, boxes, (*path, at))
    else:
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        words = name.replace("_", " ")
        yield words if value is True else f"{words}: {value}"
