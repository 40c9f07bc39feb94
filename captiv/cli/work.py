"""Runs the service under a display, and tells how it ended."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from captiv.cli.nothing import no_images
from captiv.cli.places import place_name
from captiv.cli.progress import Display, Verbosity
from captiv.core.jobs import Run
from captiv.errors import BudgetSpent
from captiv.service import Outcome

INTERRUPTED = 130


def work(
    start: Callable[[Display], Awaitable[Outcome]],
    *,
    verbosity: Verbosity,
    as_json: bool,
    print_captions: bool,
    resume: str,
    log_file: Path,
) -> int:
    """Return the exit code of what `start` does with a display.

    Args:
        start: begins the work.
        verbosity: how much is said.
        as_json: one JSON object a line on standard output.
        print_captions: captions go to standard output.
        resume: the command that goes on after an interruption.
        log_file: named when something went wrong.
    """
    display = Display(verbosity=verbosity, as_json=as_json, print_captions=print_captions)

    async def run() -> Outcome:
        return await start(display)

    with display:
        outcome = anyio.run(run)
    error = outcome.error
    capped = isinstance(error, BudgetSpent)
    goes_on = _unfinished(outcome) and not capped
    display.summary(
        outcome.run,
        where=place_name(outcome.run.spec.placement),
        exit_code=outcome.exit_code,
        error=error.message if error else None,
        bill=outcome.bill,
        untried=outcome.untried,
        resume=resume if goes_on else None,
    )
    if _found_nothing(outcome.run):
        selection = outcome.run.spec.selection
        display.warned(no_images(selection.roots, recursive=selection.recursive))
    if error is not None:
        display.warned(error.message if error.hint is None else f"{error.message}\n{error.hint}")
    if capped:
        display.warned("To go on: the same command with a higher --max-cost.")
    elif goes_on:
        display.warned(f"To go on: {resume}")
    if outcome.exit_code not in (0, INTERRUPTED) and not as_json and verbosity != "quiet":
        display.warned(f"Log: {log_file}")
    return outcome.exit_code


def _unfinished(outcome: Outcome) -> bool:
    run = outcome.run
    return outcome.exit_code == INTERRUPTED or run.counts.pending > 0 or not run.scanned


def _found_nothing(run: Run) -> bool:
    return run.scanned and not run.counts.total and not run.counts.skipped
