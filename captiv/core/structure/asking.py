"""How a model is asked for an object, and asked again after an answer that is none. Pure."""

import json
from functools import lru_cache
from typing import Any, Final

from captiv.core.structure.boxes import WHOLE
from captiv.core.structure.schemas import BOX, Schema

_ASK: Final = (
    "Answer with one JSON object and nothing else: no introduction, no explanation and no code "
    "fence. It must fit this JSON Schema:"
)
_BOXES: Final = (
    f"A box is [left, top, right, bottom], in thousandths of the picture's width and height: 0 is "
    f"its left or upper edge, {WHOLE} its right or lower one."
)


def asked_for(prompt: str | None, schema: Schema) -> str:
    """Return the prompt with the object that is asked for.

    It stands in every prompt, also where the engine is held to the schema: a model that isn't told
    fills in the form, but with worse words.
    """
    parts = [prompt or "", f"{_ASK}\n{schema.text}", _BOXES if schema.has_boxes else ""]
    return "\n\n".join(filter(None, parts))


def asked_again(prompt: str | None, why: str) -> str:
    """Return the prompt with what was wrong with the answer before."""
    return f"{prompt or ''}\n\nAn earlier answer was refused: {why}. Answer with the whole object."


@lru_cache(maxsize=16)
def bare(text: str) -> str:
    """Return a run's schema for an engine: without notes, and a box as any list of numbers."""
    return json.dumps(_bared(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _bared(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("$schema", "$comment", "default", "examples"):
            continue
        if key == "format" and value == BOX:
            continue
        if key in ("properties", "$defs", "definitions"):
            kept[key] = {name: _bared(each) for name, each in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            kept[key] = [_bared(each) for each in value]
        else:
            kept[key] = _bared(value) if key in ("items", "additionalProperties") else value
    return kept
