"""Builds the text that a model is asked with."""

import re
from collections.abc import Mapping, Sequence

from captiv.catalog.model import Family, Option, variables_in
from captiv.errors import UsageError

ANY_LENGTH = "any"
"""Leaves the length to the model: the mode's plain text."""

MAX_WORDS = 1000
_COUNT, _LENGTH = "word_count", "length"


def build_prompt(
    family: Family,
    *,
    mode: str | None = None,
    length: str | None = None,
    prompt: str | None = None,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> str | None:
    """Return the finished prompt, or None where the family is asked without one.

    A `prompt` of the user's own replaces the mode's. Options follow in the order given, each once
    and after one space, as the models were trained. Only `{name}` of a variable that is given is
    replaced, so other braces stay; a variable may also go by the key of its option.

    Raises:
        UsageError: the family has no such mode, length or option, takes no prompt, or a variable
            is missing.
    """
    size = choose_length(family, length)
    text = _own(family, prompt, size) if prompt is not None else _moded(family, mode, size)
    added = [_option(family, key) for key in dict.fromkeys(options)]
    values = _values(added, size, variables or {})
    parts = [part for part in (text, *(option.text for option in added)) if part]
    return _filled(" ".join(parts), values) or None


def choose_length(family: Family, length: str | None) -> str | None:
    """Return a length as the family writes it; None is none given.

    Raises:
        UsageError: the family has none, or not this one.
    """
    if length is None:
        return None
    if not family.lengths:
        raise UsageError(
            f"{family.name} has no lengths.", hint="--max-new-tokens says how long a caption gets."
        )
    wanted = _folded(length)
    if wanted.isdecimal() and wanted.isascii() and 1 <= int(wanted) <= MAX_WORDS:
        return str(int(wanted))
    for known in family.lengths:
        if _folded(known) == wanted:
            return known
    raise UsageError(
        f"{family.name} has no length {length!r}.", hint=f"It has: {lengths_in_words(family)}."
    )


def lengths_in_words(family: Family) -> str:
    """Return the family's lengths for a person to read; empty where it has none."""
    words = [length for length in family.lengths if not length.isdecimal()]
    counts = [int(length) for length in family.lengths if length.isdecimal()]
    if counts:
        words.append(f"or a number of words (trained: {min(counts)} to {max(counts)})")
    return ", ".join(words)


def contradictions(family: Family, mode: str, options: Sequence[str]) -> list[str]:
    """Return a sentence for each option that asks for the contrary of another, or of the mode."""
    asked = {mode, *options}
    return [
        f"{option.key} and {other} ask for the contrary of each other."
        for option in family.options
        for other in option.against
        if option.key in options and other in asked
    ]


def idle_variables(
    family: Family,
    variables: Mapping[str, str],
    *,
    mode: str,
    prompt: str | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """Return a sentence for each variable that is given and fills nothing."""
    asked = family.mode(mode)
    forms = (asked.prompt, asked.by_count, asked.by_length) if asked else ()
    added = [option for option in family.options if option.key in options]
    text = prompt if prompt is not None else " ".join(form for form in forms if form)
    there = {*variables_in(text), *(key for o in added for key in (o.key, *o.variables))}
    return [
        f"The variable {name} fills nothing: there is no {{{name}}} in the prompt."
        for name in variables
        if name not in there
    ]


def _own(family: Family, prompt: str, length: str | None) -> str:
    if not family.takes_prompt:
        raise UsageError(f"{family.name} takes no prompt.", hint=_modes_hint(family))
    if length not in (None, ANY_LENGTH) and f"{{{_slot(length)}}}" not in prompt:
        raise UsageError(
            "--length has no place in a prompt of your own.",
            hint=f"Write {{{_slot(length)}}} where it belongs, or leave --length out.",
        )
    return prompt.strip()


def _moded(family: Family, name: str | None, length: str | None) -> str | None:
    mode = family.mode(name or family.default_mode)
    if mode is None:
        raise UsageError(f"{family.name} has no mode {name!r}.", hint=_modes_hint(family))
    if length in (None, ANY_LENGTH):
        return mode.prompt
    sized = mode.by_count if _slot(length) == _COUNT else mode.by_length
    if sized is None:
        have = ", ".join(m.name for m in family.modes if m.has_lengths)
        raise UsageError(
            f"The mode {mode.name} of {family.name} has no lengths.", hint=f"These have: {have}."
        )
    return sized


def _slot(length: str | None) -> str:
    return _COUNT if length is not None and length.isdecimal() else _LENGTH


def _folded(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.strip().lower()))


def _option(family: Family, key: str) -> Option:
    found = next((o for o in family.options if o.key == key), None)
    if found is None:
        have = ", ".join(o.key for o in family.options) or "none"
        raise UsageError(f"{family.name} has no prompt option {key!r}.", hint=f"It has: {have}.")
    return found


def _values(
    options: Sequence[Option], length: str | None, given: Mapping[str, str]
) -> Mapping[str, str]:
    """Return what fills which variable; the model would read braces that stay in an option."""
    values = dict(given)
    if length not in (None, ANY_LENGTH):
        values[_slot(length)] = str(length)
    for option in options:
        for variable in option.variables:
            value = values.get(variable) or values.get(option.key)
            if not value:
                raise UsageError(
                    f"The option {option.key!r} needs a {variable}.",
                    hint=f"Give it with --prompt-variables {variable}=VALUE.",
                )
            values[variable] = value
    return values


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Fill all variables at once: what one is filled with is never looked at again."""
    if not values:
        return text
    known = "|".join(re.escape(name) for name in values)
    return re.sub(rf"\{{({known})\}}", lambda found: values[found[1]], text)


def _modes_hint(family: Family) -> str:
    return f"Its modes: {', '.join(m.name for m in family.modes)}."
