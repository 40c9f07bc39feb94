"""How things are printed.

A terminal gets tables and colours; anything else gets plain lines with tabs between the columns, or
JSON in ASCII. What comes from a disk or a model is never taken for markup or for the terminal's
control characters.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import typer

from captiv.cli.invocation import current
from captiv.errors import CaptivError, UsageError

_GAP: Final = "  "
"""What stands between two columns."""
_SHORTEST_PATH: Final = 12


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
    """Tell the person something that is no result, if it can be written."""
    sys.stdout.flush()
    with contextlib.suppress(OSError):
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
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Sequence[int] = (),
    *,
    yields: Sequence[int] = (),
    path: int | None = None,
) -> None:
    """Print rows: a table on a terminal, tabs without headings elsewhere, where programs read them.

    Args:
        headings: what stands above the columns.
        rows: what stands in them.
        right: the columns that hold numbers.
        yields: columns that a terminal which is too narrow does without, in this order.
        path: a column that loses its beginning there; then no row takes a second line.
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

    console = Console(highlight=False)
    whole = list(cells)
    shown = list(range(len(headings)))
    if path is not None:
        shown, whole = _fitted(headings, whole, yields, path, console.width)
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index in shown:
        justify: Literal["right", "left"] = "right" if index in right else "left"
        drawn.add_column(
            headings[index], justify=justify, overflow="fold", no_wrap=path is not None
        )
    for row in whole:
        drawn.add_row(*(Text(row[index]) for index in shown))
    console.print(drawn)


def _fitted(
    headings: Sequence[str],
    rows: list[list[str]],
    yields: Sequence[int],
    path: int,
    width: int,
) -> tuple[list[int], list[list[str]]]:
    """Return the columns that a terminal of that width has room for, and the rows, paths cut."""
    from rich.cells import cell_len

    shown = list(range(len(headings)))
    wide = [max(cell_len(row[index]) for row in [headings, *rows]) for index in shown]

    def room() -> int:
        return width - sum(wide[i] + len(_GAP) for i in shown if i != path)

    for index in yields:
        if room() < min(wide[path], _SHORTEST_PATH):
            shown.remove(index)
    most = max(_SHORTEST_PATH, room())

    def cut(text: str) -> str:
        while cell_len(text) > most:
            text = "…" + text.lstrip("…")[1:]
        return text

    return shown, [[cut(c) if i == path else c for i, c in enumerate(row)] for row in rows]


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


def when(ms: int | None) -> str:
    """Return a time of the store in this machine's clock, or nothing."""
    return "" if ms is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(ms / 1000))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
