"""`captiv queue watch`: one run, refreshed until it ends."""

import sys
import time
from collections.abc import Callable

from captiv.cli import show
from captiv.cli.runs import at_work
from captiv.core.jobs import Run, RunId, RunState
from captiv.dispatch.events import counts_line
from captiv.exits import ExitCode
from captiv.service import of_images
from captiv.store import Store, runs

_EVERY_S = 0.5


def follow(store: Store, run_id: RunId) -> ExitCode:
    """Show the run until it has ended, or has nothing open and nobody at work on it.

    Return what became of its images.
    """
    if sys.stdout.isatty():
        _live(store, run_id)
    else:
        _each_change(store, run_id, show.line)
    return of_images(store.read(runs.get, run_id))


def text_of(run: Run, *, served: bool) -> str:
    """Return the run as one line."""
    looking = "" if run.enqueued or run.state is not RunState.ACTIVE else "; looking for images"
    idle = run.state is RunState.ACTIVE and not served
    nobody = f"; no captiv is at work on it: captiv queue retry {run.id}" if idle else ""
    state = run.standing({run.id} if served else ())
    return f"run {run.id} {state}: {counts_line(run.counts)}{looking}{nobody}"


def _each_change(store: Store, run_id: RunId, tell: Callable[[str], None]) -> None:
    said = ""
    while True:
        run, served = _look(store, run_id)
        line = text_of(run, served=served)
        if line != said:
            tell(line)
            sys.stdout.flush()
            said = line
        if _over(run, served=served):
            return
        time.sleep(_EVERY_S)


def _live(store: Store, run_id: RunId) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) as live:

        def draw(line: str) -> None:
            run = store.read(runs.get, run_id)
            through = run.counts.total - run.counts.open
            bar = ProgressBar(total=run.counts.total or None, completed=through, width=60)
            live.update(Group(Text(line), bar), refresh=True)

        _each_change(store, run_id, draw)


def _look(store: Store, run_id: RunId) -> tuple[Run, bool]:
    run = store.read(runs.get, run_id)
    return run, run_id in at_work(store)


def _over(run: Run, *, served: bool) -> bool:
    """Whether nothing more will happen: a file that cannot be written leaves its run unfinished."""
    if run.state is not RunState.ACTIVE:
        return True
    return run.scanned and not served and run.counts.pending + run.counts.running == 0
