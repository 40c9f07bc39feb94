"""How things are printed.

A terminal gets tables and colours; anything else gets plain lines with tabs between the columns, or
JSON in ASCII. What comes from a disk or a model is never taken for markup or for the terminal's
control characters.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from captiv.cli.invocation import current
from captiv.errors import CaptivError, UsageError


def line(text: str = "") -> None:
    """Print one line of a result.

    Raises:
        CaptivError: it cannot be written; that the reader left is no error.
    """
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CaptivError(f"The output cannot be written: {error.strerror}.") from error


def json_value(value: Any) -> None:
    """Print a value as JSON, laid out for people too."""
    line(json.dumps(value, indent=2, default=str))


def json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    line(json.dumps(value, default=str))


def say(text: str) -> None:
    """Tell the person something that is no result."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def note(text: str) -> None:
    """Tell the person what was done, unless `--quiet`."""
    if not current().quiet:
        say(f"captiv: {text}")


def visible(text: object) -> str:
    """Return `text` on one line, its control characters written as escapes."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()
) -> None:
    """Print rows: a table on a terminal, tabs without headings elsewhere.

    `right` lists the columns that hold numbers.
    """
    cells = ([visible("" if cell is None else cell) for cell in row] for row in rows)
    if not sys.stdout.isatty():
        for row in cells:
            line("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, heading in enumerate(headings):
        drawn.add_column(heading, justify="right" if index in right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(drawn)


def confirm(question: str, *, yes: bool) -> bool:
    """Ask before something is undone; `yes` answers for the person.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here.", hint="Say it with --yes.")
    if typer.confirm(question, err=True):
        return True
    say("Nothing was changed.")
    return False


def plural(n: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "es" if noun.endswith("ch") else "s")


def size(n_bytes: float | None) -> str:
    """Return a size as a person reads it, in the decimal units of disks."""
    if n_bytes is None:
        return "unknown"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
