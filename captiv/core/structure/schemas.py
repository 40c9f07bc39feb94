"""Which JSON Schemas captiv takes: checked before anything is asked. Pure.

A schema may come with data that somebody downloaded. So only keywords are taken that describe a
value, look nothing up, and are checked in little time: no `pattern`, whose expression may take for
ever, no reference to anywhere else, and none that leads back to itself. `format` is a note to the
model, except for `box`: four numbers that captiv turns into pixels (`boxes`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from captiv.core.structure.strict import strict
from captiv.errors import UsageError

MAX_FILE_BYTES: Final = 64 * 1024
MAX_TOLD_CHARS: Final = 8 * 1024
"""Of the schema as it stands in the prompt: some 2,500 tokens, read again for each image."""

BOX: Final = "box"

_MAX_DEPTH: Final = 16
_MAX_NODES: Final = 1_000
"""Schemas in a schema, each reference counted with what it leads to."""

_NOTES: Final = frozenset({"title", "description", "default", "examples", "$schema", "$comment"})
_VALUES: Final = frozenset(
    {
        *("type", "enum", "const", "required", "format"),
        *("minItems", "maxItems", "uniqueItems", "minLength", "maxLength"),
        *("minProperties", "maxProperties"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)
_NAMING: Final = ("properties", "$defs", "definitions")
"""Keywords with a schema by each name."""
_LISTING: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords with a list of schemas."""
_HOLDING: Final = ("items", "additionalProperties")
"""Keywords with one schema, or true or false."""
_KNOWN: Final = _NOTES | _VALUES | {*_NAMING, *_LISTING, *_HOLDING, "$ref"}

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that has passed every check."""

    text: str
    """Compact JSON, its keys in the order in which a person wrote them."""
    document: Node
    validator: Any
    """jsonschema's; with no reference to elsewhere it looks nothing up."""

    def target(self, reference: str) -> Node:
        """Return what a `$ref` leads to."""
        found = _target(self.document, reference)
        assert found is not None, reference
        return found

    @property
    def has_boxes(self) -> bool:
        """Whether anything in it is a box."""
        return any(node.get("format") == BOX for node in _nodes(self.document))


def checked(text: str, name: str) -> Schema:
    """Return the schema in this JSON text.

    Args: `name` is what a person knows it by.

    Raises:
        UsageError: it is no schema that captiv takes, and why.
    """
    try:
        document = strict(text)
        compact = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise _refused(name, f"it isn't JSON: {error}") from error
    if not isinstance(document, dict) or document.get("type") != "object":
        raise _refused(name, 'it must describe an object: add "type": "object" at its top')
    why = _long(compact) or _against(document)
    if why is not None:
        raise _refused(name, why)
    return _validated(document, compact, name)


@lru_cache(maxsize=16)
def schema_of(text: str) -> Schema:
    """Return the schema that a run keeps; it was checked when the run was asked for."""
    return checked(text, "of the run")


def _refused(name: str, why: str) -> UsageError:
    return UsageError(
        f"captiv doesn't take the schema {name}: {why}.",
        hint="docs/captioning.md lists what a schema may have.",
    )


def _long(text: str) -> str | None:
    """Say so of a schema that is too long: to weigh one takes longer than its length allows."""
    if len(text) <= MAX_TOLD_CHARS:
        return None
    return f"it has {len(text):,} characters, and the model is told up to {MAX_TOLD_CHARS:,}"


def _validated(document: dict[str, Any], text: str, name: str) -> Schema:
    # A third of a second on a slow machine, and most commands need none of it.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        where = "".join(f"/{part}" for part in error.absolute_path) or "its top level"
        raise _refused(name, f"{where}: {error.message[:200]}") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refused(name, "it isn't text in UTF-8") from error
    return Schema(text, document, Draft202012Validator(document))


def _against(document: Node) -> str | None:
    """Return what captiv doesn't take of a schema; None if it takes all of it."""
    try:
        _weighed(document, document, 1, ())
        for part in ("$defs", "definitions"):
            for node in _named(document, part):
                _weighed(document, node, 1, ())
    except _Untaken as error:
        return str(error)
    return None


class _Untaken(Exception):
    """Says what captiv doesn't take of a schema."""


def _weighed(document: Node, node: Any, depth: int, through: tuple[str, ...]) -> int:
    """Return how many schemas this one is, references followed; `through` leads to it."""
    if isinstance(node, bool):
        return 1
    if not isinstance(node, dict):
        raise _Untaken("a schema in it is no JSON object")
    if depth > _MAX_DEPTH:
        raise _Untaken(f"it is more than {_MAX_DEPTH} schemas deep")
    _check_keywords(node)
    total = 1
    for inner in _inner(node):
        total = _within(total + _weighed(document, inner, depth + 1, through))
    if "$ref" in node:
        reference = node["$ref"]
        target = _target(document, reference)
        if target is None:
            raise _Untaken(f"$ref is a #/$defs/NAME that is there, not {str(reference)[:80]!r}")
        if reference in through:
            raise _Untaken(f"{reference} leads back to itself")
        total = _within(total + _weighed(document, target, depth + 1, (*through, reference)))
    return total


def _within(total: int) -> int:
    if total > _MAX_NODES:
        raise _Untaken(f"it is more than {_MAX_NODES:,} schemas, its references followed")
    return total


def _check_keywords(node: Node) -> None:
    unknown = next((key for key in node if key not in _KNOWN), None)
    if unknown is not None:
        raise _Untaken(f"{unknown[:40]!r} is no keyword that captiv checks")
    if node.get("format") == BOX and not _is_box(node):
        raise _Untaken(
            'a "format": "box" is an array of numbers with minItems and maxItems 4, and has no '
            "other bounds"
        )


def _is_box(node: Node) -> bool:
    described = {key: value for key, value in node.items() if key not in _NOTES}
    items = described.pop("items", None)
    shape = {"type": "array", "minItems": 4, "maxItems": 4, "format": BOX}
    return described == shape and items in ({"type": "number"}, {"type": "integer"})


def _inner(node: Node) -> Iterator[Any]:
    """Yield the schemas right inside this one; definitions are met where they are referred to."""
    yield from _named(node, "properties")
    for key in _LISTING:
        each = node.get(key, [])
        if not isinstance(each, list):
            raise _Untaken(f"{key} is no list")
        yield from each
    for key in _HOLDING:
        if key in node:
            yield node[key]


def _named(node: Node, key: str) -> Iterator[Any]:
    each = node.get(key, {})
    if not isinstance(each, dict):
        raise _Untaken(f"{key} is no JSON object")
    yield from each.values()


def _target(document: Node, reference: Any) -> Node | None:
    """Return what a reference within the document leads to; None if there is nothing.

    A name with a ~ or % in it stands there escaped, and validators don't agree how: it is refused.
    """
    parts = str(reference).split("/")
    if len(parts) != 3 or parts[0] != "#" or parts[1] not in ("$defs", "definitions"):
        return None
    if "~" in parts[2] or "%" in parts[2]:
        return None
    named = document.get(parts[1])
    target = named.get(parts[2]) if isinstance(named, dict) else None
    return target if isinstance(target, dict) else None


def _nodes(node: Any) -> Iterator[Node]:
    """Yield a schema and all that are written in it."""
    if not isinstance(node, dict):
        return
    yield node
    for inner in _inner(node):
        yield from _nodes(inner)
    for part in ("$defs", "definitions"):
        for inner in _named(node, part):
            yield from _nodes(inner)
