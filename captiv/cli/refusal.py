"""A command line that does not parse: what the parser says of it, in captiv's words.

The parser quotes the library that it checks values with, knows nothing of a flag that may have a
value, and sometimes not which command it was.
"""

from collections.abc import Sequence
from typing import Any, Final

SPELLED: Final = {
    "--overwrite=all": "--overwrite-all",
    "--overwrite=yes": "--overwrite",
    "--share=edit": "--share-edit",
    "--share=view": "--share",
}
"""A flag that may have a value: the parser knows only flags and options."""


def in_words(error: Any, args: Sequence[str], root: Any) -> tuple[str, str]:
    """Return what is wrong with these arguments of the command `root`, and where its help is."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else _path(args, root)
    said = _value(error) or _flag(error, args) or error.format_message()
    return said, f"Its help: {path} --help"


def _value(error: Any) -> str | None:
    """Say what an option or argument must be; None if it is not about a value."""
    from pydantic import ValidationError

    cause, param = error.__cause__, getattr(error, "param", None)
    if param is None or not isinstance(cause, ValidationError):
        return None
    from captiv.settings.keys import takes

    first = cause.errors(include_url=False)[0]
    name = param.get_error_hint().replace("'", "")
    if first["type"] == "value_error":
        return f"{name}: {str(first['ctx']['error']).rstrip('.')}."
    shape = param.get_runtime_param().adapter.json_schema()
    return f"{name} must be {takes(shape)}, not {first['input']!r}."


def _flag(error: Any, args: Sequence[str]) -> str | None:
    """Say which values a flag may have; None if it is not about one of those."""
    flag = f"{getattr(error, 'option_name', '')}="
    choices = [spelled.removeprefix(flag) for spelled in SPELLED if spelled.startswith(flag)]
    given = next((arg.removeprefix(flag) for arg in args if arg.startswith(flag)), None)
    if not choices or given is None:
        return None
    return f"{flag[:-1]} stands alone, or with one of {', '.join(choices)}, not {given!r}."


def _path(args: Sequence[str], root: Any) -> str:
    """Return the names of the command that these arguments call."""
    path = ["captiv"]
    for word in args:
        child = getattr(root, "commands", {}).get(word)
        if child is not None:
            path.append(word)
            root = child
    return " ".join(path)
