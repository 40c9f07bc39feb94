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

_FENCE: Final = "```"
_BLANK: Final = " \t\r\n"
"""What JSON takes for blank; a `str.strip()` would take more."""
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},:]|[^ \t\r\n"\[\]{},:]+', re.DOTALL
)
_MAX_DEPTH: Final = 64
_LONGEST: Final = 300
"""Characters of a reason: it is told to the model and to a person."""

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
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the answer"


class _Broken(Exception):
    """Says why a text is no JSON."""


def _read(text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        mended = _without_last_commas(text)
        if mended == text:
            raise _broken(error) from error
    try:
        return _strict(mended)
    except ValueError as error:
        raise _broken(error) from error


def _broken(error: ValueError) -> _Broken:
    return _Broken(f"it is no JSON ({str(error)[:120]})")


def _strict(text: str) -> Any:
    """Read JSON by the letter: each name once, and only numbers that are some."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} is there twice")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is no number that fits")
    return value


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
        raise _Broken("it holds half a character") from error
    if "\\u0000" in text and "\0" in _texts(value):
        raise _Broken("it holds a character of no meaning (\\u0000)")


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
            return f"{where} has no {missing!r}"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            extra = next((name for name in found if name not in known), "something")
            return f"{where} has {extra!r}, which the schema doesn't name"
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
    bound = "at least" if rule.startswith("min") else "at most"
    return f"{where} has {count} {what}, and must have {asked} {bound}"


def _bounded(rule: str) -> str:
    return {
        "minimum": "must be at least",
        "exclusiveMinimum": "must be more than",
        "maximum": "must be at most",
        "exclusiveMaximum": "must be less than",
    }[rule]
