"""From an answer to the object that it is, or to why it is none. Pure.

Only what loses nothing is repaired: a fence around the whole answer, and a comma after the last
item. Nothing is completed or guessed, so an answer that was cut off is never an object.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from captiv.core.structure.misfit import Misfit
from captiv.core.structure.schemas import Schema
from captiv.core.structure.strict import strict

_FENCE: Final = "```"
_BLANK: Final = " \t\r\n"
"""What JSON takes for blank; a `str.strip()` would take more."""
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},:]|[^ \t\r\n"\[\]{},:]+', re.DOTALL
)
_MAX_DEPTH: Final = 64
_LONGEST: Final = 300
"""Characters of a reason: it is told to the model and to a person."""
_LONGEST_NAME: Final = 40
_LONGEST_PATH: Final = 120

Path = tuple[str | int, ...]

_KINDS: Final = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def parsed(answer: str, schema: Schema) -> dict[str, Any] | Misfit:
    """Return the object that this answer is, if it fits the schema."""
    try:
        value = _read(_unfenced(answer))
        if _depth(value) > _MAX_DEPTH:
            return Misfit("it is nested too deeply")
        if not isinstance(value, dict):
            return Misfit("it is no JSON object")
        _check_text(value)
        return _misfit(value, schema) or value
    except RecursionError:
        return Misfit("it is nested too deeply")
    except _Broken as error:
        return Misfit(str(error))


def written(value: Mapping[str, Any]) -> str:
    """Return the JSON text of an object, as its file holds it: one line."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def spelt(path: Sequence[str | int]) -> str:
    """Return a place in an object as a person writes it: `objects[1].label`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in path]
    text = "".join(parts).removeprefix(".") or "the answer"
    return text if len(text) <= _LONGEST_PATH else f"…{text[-_LONGEST_PATH:]}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


class _Broken(Exception):
    """Says why a text is no JSON."""


def _read(text: str) -> Any:
    try:
        return strict(text)
    except ValueError as error:
        mended = _without_last_commas(text)
        if mended == text:
            raise _broken(error) from error
    try:
        return strict(mended)
    except ValueError as error:
        raise _broken(error) from error


def _broken(error: ValueError) -> _Broken:
    return _Broken(f"it is no JSON ({str(error)[:120]})")


def _unfenced(answer: str) -> str:
    """Return an answer without the fence around all of it, if it has one."""
    text = answer.strip(_BLANK)
    if not (text.startswith(_FENCE) and text.endswith(_FENCE) and len(text) >= 2 * len(_FENCE)):
        return text
    inside = text[len(_FENCE) : -len(_FENCE)]
    if inside[:4].lower() == "json":
        inside = inside[4:]
    return inside.strip(_BLANK)


def _without_last_commas(text: str) -> str:
    """Return JSON without the commas that stand between a value and the end of its list."""
    kept: list[str] = []
    start, before, comma = 0, "", -1
    for found in _TOKEN.finditer(text):
        token = found[0]
        if comma >= 0 and token in "]}":
            kept.append(text[start:comma])
            start = comma + 1
        comma = found.start() if token == "," and before not in ("", ",", "[", "{", ":") else -1
        before = token
    return "".join((*kept, text[start:]))


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _check_text(value: Mapping[str, Any]) -> None:
    """Refuse what no text file can hold."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Broken("it holds an unpaired surrogate") from error
    if "\\u0000" in text and "\0" in _texts(value):
        raise _Broken("it holds a NUL character")


def _texts(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(map(_texts, (*value, *value.values())))
    return "".join(map(_texts, value)) if isinstance(value, list) else ""


# -- against the schema ------------------------------------------------------------------------


def _misfit(value: Mapping[str, Any], schema: Schema) -> Misfit | None:
    from jsonschema.exceptions import best_match

    error = best_match(schema.validator.iter_errors(value))
    return None if error is None else Misfit(_said(error)[:_LONGEST])


def _said(error: Any) -> str:
    """Say what jsonschema found in words that a model and a person understand."""
    where, asked, found = spelt(tuple(error.absolute_path)), error.validator_value, error.instance
    match error.validator:
        case "required":
            missing = next(name for name in asked if name not in found)
            return f"{where} has no {_short(missing)!r}"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            extra = next((name for name in found if name not in known), "something")
            return f"{where} has {_short(extra)!r}, which the schema doesn't name"
        case "type":
            kinds = [asked] if isinstance(asked, str) else asked
            return f"{where} must be {' or '.join(_KINDS[kind] for kind in kinds)}"
        case "enum":
            return f"{where} must be one of {', '.join(map(json.dumps, asked))}"
        case "const":
            return f"{where} must be {json.dumps(asked)}"
        case "uniqueItems":
            return f"{where} has the same item twice"
        case "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties":
            return _counted(where, error.validator, asked, len(found))
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            return f"{where} is {found!s:.40}, and {_bounded(error.validator)} {asked}"
        case _:
            return f"{where} isn't what the schema allows there"


def _counted(where: str, rule: str, asked: int, count: int) -> str:
    what = {"Items": "items", "Length": "characters", "Properties": "properties"}[rule[3:]]
    be = "is" if asked == 1 else "are"
    bound = (
        f"at least {asked} {be} needed" if rule[:3] == "min" else f"at most {asked} {be} allowed"
    )
    return f"{where} has {count} {what}; {bound}"


def _bounded(rule: str) -> str:
    return {
        "minimum": "must be at least",
        "exclusiveMinimum": "must be more than",
        "maximum": "must be at most",
        "exclusiveMaximum": "must be less than",
    }[rule]
