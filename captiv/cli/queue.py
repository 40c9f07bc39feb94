"""`captiv queue`: the runs of this installation, their images, and what to do about them."""

from typing import TYPE_CHECKING, Annotated

import typer

from captiv.cli import show
from captiv.cli.invocation import current, everywhere
from captiv.cli.lazy import STYLE
from captiv.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from captiv.cli.progress import Display
    from captiv.core.jobs import Run
    from captiv.service import Outcome

app = typer.Typer(**STYLE)

RunNumber = Annotated[
    int | None, typer.Argument(metavar="[RUN]", help="Number of a run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
@everywhere
def status(run: RunNumber = None, json: Json = False) -> None:
    """Show how far the unfinished runs are and the last ones, or one run with its failures.

    Columns: run, state (active: a captiv works on it), done, open, failed, kept,
    model, began, folders; off a terminal by tabs. A narrow one lacks some.
    """
    from captiv.cli import runs

    with runs.reading(run) as store:
        found = [runs.chosen(store, run)] if run else runs.recent(store)
        groups = runs.failures(store, run) if run else []
        busy = runs.at_work(store)
    if json:
        described = [runs.described(r, busy) for r in found]
        if run:
            show.json_value({**described[0], "failures": [g._asdict() for g in groups]})
        else:
            show.json_value(described)
    elif run:
        runs.print_one(found[0], groups, busy)
    else:
        runs.print_all(found, busy)


@app.command("list")
@everywhere
def list_(
    run: RunNumber = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Images in this state: failed, …")
    ] = None,
    json: JsonLines = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """List all runs; or the images of one, or of the last one in one state, with reasons."""
    from captiv.cli import runs

    wanted = runs.job_state(state)
    with runs.reading(run) as store:
        if run is None and wanted is None:
            runs.print_runs(store, limit, as_json=json)
        else:
            runs.print_jobs(store, run, wanted, limit, as_json=json)


@app.command()
@everywhere
def retry(
    run: RunNumber = None,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only those that failed with it.")
    ] = None,
    json: JsonLines = False,
) -> None:
    """Try failed images again, write captions that wait for their file, and resume the run.

    Without a number: the newest run of which images failed, or captions have no file yet.
    """
    from captiv.cli import runs
    from captiv.cli.outlet import unhindered
    from captiv.store import jobs

    unhindered()
    with runs.reading(run) as reader:
        chosen = runs.to_retry(reader, run)
        if chosen is not None and code is not None:
            runs.check_code(reader, chosen, code)
        unfinished = runs.unfinished(reader)
    if chosen is None:
        show.note("nothing is to be tried again.")
        for other in unfinished:
            open_ = show.plural(other.counts.open, "image")
            show.note(f"run {other.id} is unfinished, {open_}: captiv queue retry {other.id}")
        return
    with current().store() as store:
        again = store.write(jobs.retry, chosen.id, code)
    open_before = chosen.counts.open
    if not again and not open_before:
        show.note(f"run {chosen.id} has nothing to be tried again.")
        return
    show.note(f"run {chosen.id}: {show.plural(again, 'image')} to be tried again.")
    raise typer.Exit(_resume(chosen, as_json=json))


@app.command()
@everywhere
def cancel(run: RunNumber = None, yes: Yes = False) -> None:
    """Set a run aside: its images wait for nothing any more. What it has done stays."""
    from captiv.cli import runs
    from captiv.clock import now_ms
    from captiv.core.jobs import RunState
    from captiv.store import runs as table

    with runs.reading(run) as reader:
        chosen = runs.only_active(reader, run)
    if chosen is None:
        show.note("no run is unfinished.")
        return
    if chosen.state is not RunState.ACTIVE:
        show.note(f"run {chosen.id} is {chosen.state} already.")
        return
    question = f"Set run {chosen.id} aside, with {show.plural(chosen.counts.open, 'image')} open?"
    if not show.confirm(question, yes=yes):
        raise typer.Exit(ExitCode.LACKING)
    with current().store() as store:
        store.write(table.set_aside, chosen.id, now_ms())
    show.note(f"run {chosen.id} is set aside; `captiv queue retry {chosen.id}` takes it up again.")


@app.command()
@everywhere
def clear(yes: Yes = False) -> None:
    """Forget ended runs and their images. Captions and their history stay."""
    from captiv.cli import runs
    from captiv.store import runs as table

    if not current().paths().database.exists():
        show.say(runs.NONE)
        return
    if not show.confirm("Forget every run that has ended?", yes=yes):
        raise typer.Exit(ExitCode.LACKING)
    with current().store() as store:
        cleared = store.write(table.clear)
    show.note(f"{show.plural(cleared, 'run')} forgotten.")


@app.command()
@everywhere
def watch(run: RunNumber = None) -> None:
    """Follow a run until it ends: the newest unfinished one if none is named.

    The exit code is that of the command that worked on it; if that was killed, 0 if every image of
    the run has its caption, and 1 if not.
    """
    from captiv.cli import runs
    from captiv.cli.watch import follow

    with runs.reading(run) as store:
        chosen = runs.to_watch(store, run)
        if store is None or chosen is None:
            show.say(runs.NONE)
        else:
            raise typer.Exit(follow(store, chosen.id))


def _resume(run: "Run", *, as_json: bool) -> int:
    from captiv.cli.work import work
    from captiv.service import Service

    invocation = current()
    paths, settings = invocation.paths(), invocation.settings()

    def start(display: "Display") -> "Awaitable[Outcome]":
        service = Service(paths, settings, display)
        display.on_abandoned = service.interrupt
        return service.resume(run.id)

    return work(
        start,
        verbosity="quiet" if invocation.quiet else "verbose" if invocation.verbose else "normal",
        as_json=as_json,
        print_captions=not run.spec.output.save,
        resume=f"captiv queue retry {run.id}",
        log_file=paths.log_file,
    )
