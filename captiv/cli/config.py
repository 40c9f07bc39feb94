"""`captiv config`: list, get, set, unset and clear settings."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from captiv.cli import show
from captiv.cli.invocation import current, everywhere
from captiv.cli.lazy import STYLE
from captiv.errors import UsageError
from captiv.exits import ExitCode

if TYPE_CHECKING:
    from captiv.settings.keys import Key

app = typer.Typer(**STYLE)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Words = Annotated[list[str], typer.Argument(metavar="SECTION.KEY", show_default=False)]
SectionName = Annotated[str | None, typer.Argument(metavar="[SECTION]", show_default=False)]


@app.command("list")
@everywhere
def list_(section: SectionName = None, json: Json = False) -> None:
    """List settings, their values, and where each comes from."""
    from captiv.settings.keys import all_keys, keys_of

    loaded = current().loaded()
    keys = keys_of(_section(section)) if section else all_keys()
    rows = [(k, k.shown(loaded.settings.value(k.section, k.name)), loaded.origin(k)) for k in keys]
    if json:
        tables: dict[str, dict[str, Any]] = {}
        for key, value, origin in rows:
            entry = {"value": value, "origin": origin.kind, "where": origin.where}
            tables.setdefault(key.section, {})[key.name] = entry
        show.json_value(tables)
        return
    show.table(("Setting", "Value", "From"), [(k, _text(v), o) for k, v, o in rows])


@app.command()
@everywhere
def get(
    words: Words,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print a secret in the clear.")] = False,
) -> None:
    """Print the value of one setting; exit 1 if it has none."""
    from captiv.settings.changes import known

    section, name, value = _parts(words)
    if value is not None:
        raise UsageError("config get takes no value.", hint="To change it: captiv config set.")
    key = known(section, name)
    found = current().settings().value(section, name)
    if found is None:
        show.say(f"captiv: {key} is not set.")
        raise typer.Exit(ExitCode.LACKING)
    show.line(_text(key.plain(found) if reveal else key.shown(found)))


@app.command("set")
@everywhere
def set_(
    words: Annotated[list[str], typer.Argument(metavar="SECTION.KEY [VALUE]", show_default=False)],
) -> None:
    """Set one: SECTION KEY VALUE, SECTION.KEY VALUE, or SECTION.KEY=VALUE.

    The value of a secret may be left out: captiv then asks for it unseen, or reads one line of
    standard input: captiv config set runpod.api_key < FILE
    """
    from captiv.settings.changes import change, known

    section, name, text = _parts(words)
    key = known(section, name)
    if text is not None and key.secret:
        show.say(
            "captiv: this value now stands in your shell's history; "
            f"`captiv config set {key}` asks for it unseen."
        )
    change(current().paths().config_file, key, _asked(key) if text is None else text)
    if key.unused:
        show.say(f"captiv: {key} is kept, and not used: {key.unused}.")
    _tell_if_overridden(key)


@app.command()
@everywhere
def unset(words: Words) -> None:
    """Take one setting out of the file: its default counts again."""
    from captiv.settings.changes import known
    from captiv.settings.file import unset_value
    from captiv.settings.keys import find_key

    section, name, _ = _parts(words)
    taken = unset_value(current().paths().config_file, section, name)
    if taken:
        _tell_if_overridden(find_key(section, name))
        return
    key = known(section, name)
    show.note(f"{key} was not set in the file.")


@app.command()
@everywhere
def clear(section: SectionName = None, yes: Yes = False) -> None:
    """Take all settings, or those of one section, out of the file."""
    from captiv.settings.file import clear as clear_file

    file = current().paths().config_file
    what = f"every setting in [{section}]" if section else "every setting"
    if not show.confirm(f"Take {what} out of {file}?", yes=yes):
        raise typer.Exit(ExitCode.LACKING)
    if section and not (taken := clear_file(file, section)):
        _section(section)  # not there: a name that captiv does not know is a mistake
    elif not section:
        taken = clear_file(file)
    show.note(f"{show.plural(len(taken), 'setting')} taken out of {file}.")


@app.command()
@everywhere
def path() -> None:
    """Print where the configuration file is, or would be."""
    show.line(str(current().paths().config_file))


def _parts(words: list[str]) -> tuple[str, str, str | None]:
    """Return section, name and value of any of the three forms."""
    first, *rest = words
    before, equals, after = first.partition("=")
    section, dot, name = before.partition(".")
    if dot and equals and not rest:
        return section, name, after
    if dot and not equals and len(rest) <= 1:
        return section, name, rest[0] if rest else None
    if not dot and not equals and 1 <= len(rest) <= 2:
        return section, rest[0], rest[1] if len(rest) == 2 else None
    raise UsageError(
        "A setting is named SECTION.KEY.",
        hint="captiv config set runpod.max_price 1.2; a value with blanks goes in quotes.",
    )


def _section(name: str) -> str:
    from captiv.settings.keys import SECTIONS, suggestion

    if name not in SECTIONS:
        raise UsageError(f"There is no section {name}.", hint=suggestion(name))
    return name


def _asked(key: "Key") -> str:
    """Return a secret that the person types unseen, or the first line of standard input."""
    if not key.secret:
        raise UsageError(f"{key} needs a value.", hint=f"It must be {key.takes}.")
    if sys.stdin.isatty():
        text: str = typer.prompt(f"{key} (not shown)", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    if not text.strip():
        raise UsageError(f"No value for {key} came.", hint="Nothing was changed.")
    return text.strip()


def _tell_if_overridden(key: "Key | None") -> None:
    from captiv.settings.changes import overriding

    if key and (variable := overriding(key)):
        show.say(f"captiv: {variable} is set and goes before the file.")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
