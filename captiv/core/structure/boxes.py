"""Boxes around what a picture shows: from what a model answers to pixels. Pure.

A model sees the picture upright, and of another size than its file. So it is asked for thousandths
of the width and height, as its makers train it to answer whatever the size. What is kept are pixels
of the whole picture, upright, as every viewer shows it: [left, top, right, bottom], whole numbers,
0 to the width or height.
"""

from collections.abc import Iterator
from math import ceil, floor
from typing import Any, Final

from captiv.core.structure.misfit import Misfit
from captiv.core.structure.objects import Path, spelt
from captiv.core.structure.schemas import BOX, Node, Schema

WHOLE: Final = 1_000
"""What the far edge of a picture is, in what a model answers."""


def boxes(value: Any, schema: Schema) -> frozenset[Path]:
    """Return where in an object that fits the schema its boxes are."""
    return frozenset(_found(value, schema.document, schema, ()))


def in_pixels(
    value: Any, places: frozenset[Path], width_px: int, height_px: int, path: Path = ()
) -> Any:
    """Return an object with its boxes in pixels: all that they touch, clamped to the picture."""
    if path in places:
        left, top, right, bottom = map(_clamped, value)
        return [
            floor(left * width_px / WHOLE),
            floor(top * height_px / WHOLE),
            ceil(right * width_px / WHOLE),
            ceil(bottom * height_px / WHOLE),
        ]
    if isinstance(value, dict):
        return {
            key: in_pixels(each, places, width_px, height_px, (*path, key))
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            in_pixels(each, places, width_px, height_px, (*path, at))
            for at, each in enumerate(value)
        ]
    return value


def empty_box(value: Any, places: frozenset[Path]) -> Misfit | None:
    """Say which box, in thousandths, has nothing of the picture in it; None if each has some."""
    for path in sorted(places, key=str):
        left, top, right, bottom = (_clamped(each) for each in _at(value, path))
        if left >= right or top >= bottom:
            return Misfit(f"the box at {spelt(path)} is empty or lies outside the picture")
    return None


def _found(value: Any, node: Any, schema: Schema, path: Path) -> Iterator[Path]:
    if not isinstance(node, dict):
        return
    if node.get("format") == BOX:
        if _is_box(value):
            yield path
        return
    for inner in (*_branches(node), *_referred(node, schema)):
        yield from _found(value, inner, schema, path)
    if isinstance(value, dict):
        known = node.get("properties", {})
        for key, each in value.items():
            inner = known.get(key, node.get("additionalProperties"))
            yield from _found(each, inner, schema, (*path, key))
    if isinstance(value, list):
        first = node.get("prefixItems", [])
        for at, each in enumerate(value):
            inner = first[at] if at < len(first) else node.get("items")
            yield from _found(each, inner, schema, (*path, at))


def _is_box(value: Any) -> bool:
    """Whether this is four numbers; another branch of the schema may allow something else there."""
    return isinstance(value, list) and [type(each) in (int, float) for each in value] == [True] * 4


def _branches(node: Node) -> Iterator[Any]:
    for key in ("anyOf", "oneOf", "allOf"):
        yield from node.get(key, [])


def _referred(node: Node, schema: Schema) -> Iterator[Any]:
    if "$ref" in node:
        yield schema.target(node["$ref"])


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _clamped(thousandths: float) -> float:
    return min(max(thousandths, 0), WHOLE)
