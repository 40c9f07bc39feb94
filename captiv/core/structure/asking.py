"""How a model is asked for an object, and asked again after an answer that isn't one. Pure."""

import json
from functools import lru_cache
from typing import Any, Final

from captiv.core.structure.boxes import WHOLE
from captiv.core.structure.schemas import Schema

_ASK: Final = (
    "Answer with one JSON object and nothing else: no introduction, no explanation and no code "
    "fence. It must fit this JSON Schema:"
)
_BOXES: Final = (
    f"A box is [left, top, right, bottom], in thousandths of the picture's width and height: 0 is "
    f"its left or upper edge, {WHOLE} its right or lower one."
)

_UNTOLD: Final = frozenset(
    {
        *("$schema", "$comment", "default", "examples"),
        *("format", "uniqueItems", "minProperties", "maxProperties"),
    }
)
"""Notes, and rules that an engine may refuse a whole request for: captiv checks them itself."""


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
    """Return a run's schema for an engine: it takes all that the schema takes, and maybe more."""
    return json.dumps(_bared(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _bared(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in _UNTOLD:
            continue
        if key in ("properties", "$defs", "definitions"):
            kept[key] = {name: _bared(each) for name, each in value.items()}
        elif key == "oneOf":  # an engine may take it only where it can prove that two never fit
            if "anyOf" not in node:
                kept["anyOf"] = [_bared(each) for each in value]
        elif key in ("anyOf", "allOf", "prefixItems"):
            kept[key] = [_bared(each) for each in value]
        else:
            kept[key] = _bared(value) if key in ("items", "additionalProperties") else value
    return kept
