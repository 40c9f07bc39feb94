"""Settings as a person changes them, on the command line or the page: checked, then written.

What is refused here would otherwise be found when a run begins: a typo is cheapest now.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from captiv.catalog import choose, choose_length, family_named
from captiv.catalog.families import FAMILIES
from captiv.errors import UsageError
from captiv.settings.file import set_value, unset_value
from captiv.settings.keys import Key, find_key, suggestion


def known(section: str, name: str) -> Key:
    """Return the setting of that name.

    Raises:
        UsageError: there is none; says what was probably meant.
    """
    key = find_key(section, name)
    if key is None:
        raise UsageError(f"There is no setting {section}.{name}.", hint=suggestion(section, name))
    return key


def change(file: Path, key: Key, text: str) -> None:
    """Put what a person typed into the configuration file.

    Raises:
        UsageError: the setting does not take it; a secret is not repeated.
        ConfigurationError: the file is malformed, locked, or cannot be written; it is unchanged.
    """
    try:
        value = key.parse(text)
    except ValueError as error:
        raise UsageError(f"{key} {error}.", hint=key.description) from error
    _check_model(key, text)
    set_value(file, key.section, key.name, key.plain(value))


def take_out(file: Path, key: Key) -> bool:
    """Take a setting out of the file; return whether it was there. Errors as `set_value`."""
    return unset_value(file, key.section, key.name)


def overriding(key: Key, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the environment variable that goes before the file, if one is set."""
    found = os.environ if environ is None else environ
    return next((variable for variable in key.variables if found.get(variable)), None)


def _check_model(key: Key, text: str) -> None:
    """Refuse a model, variant or mode that the catalog has not."""
    if str(key) == "model.default_model":
        looks_elsewhere = "/" in text or "\\" in text or text.startswith((".", "~"))
        if not looks_elsewhere and choose(text) is None:
            names = ", ".join(f.name for f in FAMILIES)
            hint = f"The models: {names}. A hub id or a local directory holds a slash."
            raise UsageError(f"There is no model {text!r}.", hint=hint)
    if key.section != "model" or key.name.startswith("default_"):
        return
    stem, _, what = key.name.rpartition("_")
    family = family_named(stem.replace("_", "-"))
    if family is not None and what == "mode" and family.mode(text) is None:
        hint = f"Its modes: {', '.join(m.name for m in family.modes)}."
        raise UsageError(f"{family.name} has no mode {text!r}.", hint=hint)
    if family is not None and what == "variant":
        choose(family.name, text)
    if family is not None and what == "length":
        choose_length(family, text)
