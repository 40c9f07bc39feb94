"""The names of the settings: what each takes, how it is checked, what was probably meant."""

import difflib
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import SecretStr, ValidationError

from captiv.settings.schema import Section, Settings

SECTIONS: dict[str, type[Section]] = {
    name: field.annotation  # type: ignore[misc]  # every field of Settings is a Section
    for name, field in Settings.model_fields.items()
}

OTHER_VARIABLES = {("runpod", "api_key"): ("RUNPOD_API_KEY",)}
"""Environment variables that other programs gave their names."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting by name."""

    section: str
    name: str
    description: str
    default: Any
    secret: bool
    choices: tuple[str, ...]
    """Empty where the values are not a short list."""
    takes: str
    """What it takes, to be read after "must be"."""
    unused: str = ""
    """Why it is kept and not used, of a key of earlier versions."""
    empty: bool = False
    """Whether an empty value says something, so that an empty variable is not none."""

    def __str__(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the strongest first."""
        own = f"CAPTIV_{self.section}_{self.name}".upper()
        return (own, *OTHER_VARIABLES.get((self.section, self.name), ()))

    def parse(self, value: object) -> Any:
        """Return `value` as this setting's type; text as the command line gives it is understood.

        Raises:
            ValueError: in words that follow the key's name, never with the value of a secret.
        """
        try:
            checked = SECTIONS[self.section].model_validate({self.name: value})
        except ValidationError as error:
            raise ValueError(self._complaint(value, error)) from None
        return getattr(checked, self.name)

    def plain(self, value: Any) -> Any:
        """Return a value of this setting as TOML and JSON hold it; a secret is laid open."""
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    def shown(self, value: Any) -> Any:
        """Return a value of this setting as it may be printed: a secret as stars."""
        if isinstance(value, SecretStr):
            return "********"
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _complaint(self, value: object, error: ValidationError) -> str:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "value_error":
            what = "this" if self.secret else repr(value)
            return f"cannot be {what}: {first['ctx']['error']}"
        got = "" if self.secret else f", not {value!r}"
        return f"must be {self.takes}{got}"


@cache
def all_keys() -> tuple[Key, ...]:
    """Return every setting, in the order of the schema."""
    return tuple(key for name, section in SECTIONS.items() for key in _keys_of(name, section))


def keys_of(section: str) -> tuple[Key, ...]:
    """Return the settings of one section; none if there is no such section."""
    return tuple(key for key in all_keys() if key.section == section)


def find_key(section: str, name: str) -> Key | None:
    """Return the setting of that name, or None."""
    return next((k for k in all_keys() if (k.section, k.name) == (section, name)), None)


def suggestion(section: str, name: str = "") -> str:
    """Return a sentence about what was probably meant, with the choices."""
    if section not in SECTIONS:
        return _nearest_section(section, name)
    names = [k.name for k in keys_of(section)]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    meant = f"Did you mean {section}.{near[0]}? " if near else ""
    return f"{meant}[{section}] has: {', '.join(names)}."


def _nearest_section(section: str, name: str) -> str:
    elsewhere = [str(k) for k in all_keys() if k.name in (name, section)]
    near = elsewhere or difflib.get_close_matches(section, SECTIONS, n=1, cutoff=0.6)
    meant = f"Did you mean {near[0]}? " if near else ""
    return f"{meant}The sections: {', '.join(SECTIONS)}."


def _keys_of(section: str, model: type[Section]) -> list[Key]:
    shapes = model.model_json_schema()["properties"]
    return [
        Key(
            section=section,
            name=name,
            description=field.description or "",
            default=field.default,
            secret=shape.get("format") == "password",
            choices=tuple(shape.get("enum", ())),
            takes=takes(shape, field.description or ""),
            unused=shapes[name].get("unused", ""),
            empty=shapes[name].get("empty", False),
        )
        for name, field in model.model_fields.items()
        for shape in [_without_null(shapes[name])]
    ]


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value; a word that it may be instead is `or` in it."""
    kinds = [kind for kind in shape.get("anyOf", [shape]) if kind.get("type") != "null"]
    words = [kind["const"] for kind in kinds[1:] if "const" in kind]
    return {**kinds[0], **({"or": words[0]} if words else {})}


def takes(shape: dict[str, Any], description: str = "") -> str:
    """Return what a value of this JSON schema must be, to be read after "must be"."""
    if "enum" in shape:
        return f"one of {', '.join(shape['enum'])}"
    kind = shape.get("type")
    if kind == "boolean":
        return "true or false"
    if kind in ("integer", "number"):
        word = f", or {shape['or']}" if "or" in shape else ""
        return ("a whole number" if kind == "integer" else "a number") + _bounds(shape) + word
    if "pattern" in shape:
        return description.rstrip(".")
    return "text that is not empty" if shape.get("minLength") else "text"


def _bounds(shape: dict[str, Any]) -> str:
    low = shape.get("minimum")
    above = shape.get("exclusiveMinimum")
    start = f" from {low}" if low is not None else f" above {above}" if above is not None else ""
    high = shape.get("maximum", shape.get("exclusiveMaximum"))
    if high is None:
        return start
    return f"{start} to {high if high <= 10**6 else '2^63'}"
