"""The text of an object, for trainers that read a `.txt`. Pure.

Everything is told in the order in which it stands, in one line: texts as they are, lists with
commas between, numbers and flags with their name. Boxes, null and false are left out, except where
nothing else is there.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from captiv.core.structure.objects import Path

_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ufeff]")
"""Control characters and byte order marks, which are no words."""


def prose(value: Any, boxes: frozenset[Path]) -> str:
    """Return what an object says; its boxes are left out. Empty if it says nothing."""
    return _joined(_parts(value, boxes, ())) or _joined(_denied(value, ()))


def _joined(parts: Iterable[str]) -> str:
    said = ""
    for part in parts:
        joint = "" if not said else " " if said.endswith(_ENDS) else ", "
        said += joint + part
    return said


def _parts(value: Any, boxes: frozenset[Path], path: Path) -> Iterator[str]:
    if path in boxes or value is None or value is False:
        return
    if isinstance(value, str):
        text = " ".join(_UNSEEN.sub(" ", value).split())
        if text:
            yield text
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _parts(each, boxes, (*path, key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _parts(each, boxes, (*path, at))
    else:
        words = _named(path)
        yield words if value is True else f"{words}: {value}"


def _denied(value: Any, path: Path) -> Iterator[str]:
    """Yield what an object denies."""
    if value is False:
        yield f"{_named(path)}: no"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _denied(each, (*path, key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _denied(each, (*path, at))


def _named(path: Path) -> str:
    """Return the name under which a value stands, in words."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return " ".join(_UNSEEN.sub(" ", name).replace("_", " ").split())
