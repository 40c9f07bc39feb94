"""Is this answer the object that was asked for? Pure: the answer in, two texts or a fault out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from captiv.core.answers.refusals import refuses
from captiv.core.loops import brief_loop_in, loop_in
from captiv.core.structure.boxes import boxes, empty_box, in_pixels
from captiv.core.structure.misfit import Misfit
from captiv.core.structure.objects import parsed, written
from captiv.core.structure.prose import prose
from captiv.core.structure.schemas import Schema


@dataclass(frozen=True, slots=True)
class Structured:
    """An answer as it is kept."""

    object: str
    """JSON, its boxes in pixels of the upright picture."""
    text: str
    """What the object says, in one line; never blank."""


def structured(
    answer: str,
    schema: Schema,
    finish: Literal["stop", "length"],
    *,
    width_px: int,
    height_px: int,
) -> Structured | Misfit:
    """Return an answer as it is kept, or why it isn't.

    An answer that the limit of new tokens ended is an object only if it was whole by then: nothing
    is completed, whoever set the limit.

    Args:
        answer: what the model said.
        schema: what it was asked for.
        finish: `length` if the limit of new tokens ended it.
        width_px: of the upright picture in its file.
        height_px: as width_px.
    """
    value = parsed(answer, schema)
    if isinstance(value, Misfit):
        return Misfit("it was cut off by the limit of new tokens") if finish == "length" else value
    places = boxes(value, schema)
    text = prose(value, places)
    why = empty_box(value, places) or _fault(value, text)
    if why is not None:
        return why
    kept = written(in_pixels(value, places, width_px, height_px))
    return Structured(kept, text or kept.strip())


def _fault(value: Any, text: str) -> Misfit | None:
    """Return what is wrong with the words of an object that fits its schema.

    A field may hold a question, half a sentence or nothing: what belongs there only its schema
    knows. Of several persons each may be a `person`: a list is no loop.
    """
    for words in _texts(value):
        if loop_in(words) is not None or brief_loop_in(words) is not None:
            return Misfit("it repeats itself without end")
        if refuses(words):
            return Misfit("the model declines to describe the image")
    if not text and any(_texts(value)):
        return Misfit("its texts are blank")
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
