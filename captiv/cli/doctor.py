"""`captiv doctor`: whether this installation can work, and what to do where it cannot."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from captiv.cli import show
from captiv.cli.invocation import current
from captiv.exits import ExitCode

if TYPE_CHECKING:
    from captiv.core.findings import Finding


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Right wrong counters of runs.")] = False,
) -> None:
    """Check this installation; exit 1 if something that captiv needs fails."""
    from captiv.cli import checks

    results = []
    for result in checks.run(current().paths(), fix=fix):
        results.append(result)
        if not json:
            _print(result)
    if json:
        show.json_value([_described(result) for result in results])
    if any(result.status == "fail" for result in results):
        raise typer.Exit(ExitCode.LACKING)


def _described(result: "Finding") -> dict[str, Any]:
    return {name: getattr(result, name) for name in ("name", "status", "detail", "todo")}


def _print(result: "Finding") -> None:
    show.line(f"{result.status:<5} {result.name:<14} {show.visible(result.detail)}")
    if result.todo:
        show.line(f"{'':<5} {'':<14} {show.visible(result.todo)}")
