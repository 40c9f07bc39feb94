"""Builds the text that a model is asked with."""

from collections.abc import Mapping, Sequence

from captiv.catalog.model import Family
from captiv.errors import UsageError


def build_prompt(
    family: Family,
    *,
    mode: str | None = None,
    prompt: str | None = None,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> str | None:
    """Return the finished prompt, or None where the family is asked without one.

    A `prompt` of the user's own replaces the mode's. Options are joined by one space, as the models
    were trained. Only `{name}` of a variable that is given is replaced, so braces in a text stay.

    Raises:
        UsageError: no such mode or option, no prompt taken, or a variable is missing.
    """
    values = dict(variables or {})
    text = _own(family, prompt) if prompt is not None else _moded(family, mode or "default")
    sentences = [_option(family, key) for key in options]
    _require(family, sentences, values)
    known = {f"{{{key}}}": value for key, value in values.items()}
    parts = [part for part in (text, *sentences) if part]
    joined = " ".join(parts)
    for placeholder, value in known.items():
        joined = joined.replace(placeholder, value)
    return joined or None


def _own(family: Family, prompt: str) -> str:
    if not family.takes_prompt:
        raise UsageError(f"{family.name} takes no prompt.", hint=_modes_hint(family))
    return prompt.strip()


def _moded(family: Family, name: str) -> str | None:
    mode = family.mode(name)
    if mode is None:
        raise UsageError(f"{family.name} has no mode {name!r}.", hint=_modes_hint(family))
    return mode.prompt


def _option(family: Family, key: str) -> str:
    text = next((o.text for o in family.options if o.key == key), None)
    if text is None:
        have = ", ".join(o.key for o in family.options) or "none"
        raise UsageError(f"{family.name} has no prompt option {key!r}.", hint=f"It has: {have}.")
    return text


def _require(family: Family, sentences: Sequence[str], values: Mapping[str, str]) -> None:
    """Refuse an option whose variable is missing: the model would read the braces."""
    for sentence in sentences:
        for option in family.options:
            if option.text == sentence and "{name}" in sentence and not values.get("name"):
                raise UsageError(
                    f"The option {option.key!r} needs a name.",
                    hint="Give it with --prompt-variables name=VALUE.",
                )


def _modes_hint(family: Family) -> str:
    return f"Its modes: {', '.join(m.name for m in family.modes)}."
