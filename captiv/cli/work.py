"""Runs the service under a display, and tells how it ended."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from captiv.cli.nothing import no_images
from captiv.cli.outlet import Outlet
from captiv.cli.places import place_name
from captiv.cli.progress import Display, Verbosity
from captiv.core.jobs import Run
from captiv.errors import BudgetSpent
from captiv.exits import ExitCode
from captiv.service import Outcome
from captiv.shortage import raise_file_limit
from captiv.signals import outlast_hangup

INTERRUPTED = ExitCode.INTERRUPTED
READER_LEFT = ExitCode.READER_LEFT


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

    Nothing that is printed, or cannot be, ends or delays the work. What is lost of standard output
    is said, and is no success; a reader who left on purpose has lost nothing that a sidecar holds.

    Args:
        start: begins the work.
        verbosity: how much is said.
        as_json: one JSON object a line on standard output.
        print_captions: captions go to standard output.
        resume: the command that resumes after an interruption.
        log_file: named when something went wrong.
    """
    outlast_hangup()
    raise_file_limit()
    out = Outlet.data(sys.stdout)
    display = Display(
        verbosity=verbosity,
        as_json=as_json,
        print_captions=print_captions,
        out=out,
        abandoned=lambda: print_captions and out.gone,
    )

    async def run() -> Outcome:
        return await start(display)

    with display:
        outcome = anyio.run(run)
    _tell(display, outcome, as_json=as_json, verbosity=verbosity, resume=resume, log_file=log_file)
    out.close()
    if out.missing is not None:
        display.warned(f"Standard output is not whole: {out.missing}. No caption is lost.")
    if print_captions and out.left and not out.isatty() and outcome.exit_code in (0, INTERRUPTED):
        return READER_LEFT
    return outcome.exit_code or (0 if out.missing is None else 1)


def _tell(
    display: Display,
    outcome: Outcome,
    *,
    verbosity: Verbosity,
    as_json: bool,
    resume: str,
    log_file: Path,
) -> None:
    """Say what became of the work, and what a person may do."""
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
        strange=0 if outcome.strange is None else outcome.strange.others,
    )
    if _found_nothing(outcome.run):
        selection = outcome.run.spec.selection
        display.warned(no_images(selection.roots, recursive=selection.recursive))
    for pod in outcome.unended:
        display.warned(f"{pod.message}\n{pod.hint}")
    if error is not None:
        display.warned(error.message if error.hint is None else f"{error.message}\n{error.hint}")
    if capped:
        display.warned("To resume: the same command with a higher --max-cost.")
    elif goes_on:
        display.warned(f"To resume: {resume}")
    expected = outcome.exit_code in (ExitCode.DONE, ExitCode.INTERRUPTED)
    if not expected and not as_json and verbosity != "quiet":
        display.warned(f"Log: {log_file}")


def _unfinished(outcome: Outcome) -> bool:
    run = outcome.run
    cut = outcome.interrupted and run.counts.open > 0
    return cut or run.counts.pending > 0 or not run.scanned


def _found_nothing(run: Run) -> bool:
    return run.scanned and not run.counts.total and not run.counts.skipped
