"""`captiv queue watch`: one run, refreshed until it ends."""

import sys
import time
from collections.abc import Callable

from captiv.cli import show
from captiv.cli.invocation import current
from captiv.clock import monotonic_s, now_ms
from captiv.core.jobs import WANTED_MS, Run, RunId, RunState
from captiv.dispatch.events import counts_line
from captiv.service import of_images
from captiv.store import Connection, Store, holding, lease, runs

_EVERY_S = 0.5
_GONE_S = 5.0
"""Nobody is at work any more if that was so for so long: one command may take over from another."""


def follow(store: Store, run_id: RunId) -> int:
    """Show the run until it has ended, or nobody is at work on it any more.

    Return the exit code of the command that held it, else what became of its images. A run that
    has something to do and that nobody works on yet is waited for.
    """
    if sys.stdout.isatty():
        _live(store, run_id)
    else:
        _each_change(store, run_id, show.line)
    code = store.read(holding.exit_code, run_id)
    return of_images(store.read(runs.get, run_id)) if code is None else code


def text_of(run: Run, *, served: bool) -> str:
    """Return the run as one line."""
    looking = "" if run.enqueued or run.state is not RunState.ACTIVE else "; looking for images"
    idle = run.state is RunState.ACTIVE and not served
    nobody = f"; no captiv is at work on it: captiv queue retry {run.id}" if idle else ""
    state = run.standing({run.id} if served else ())
    return f"run {run.id} {state}: {counts_line(run.counts)}{looking}{nobody}"


def _each_change(store: Store, run_id: RunId, tell: Callable[[str], None]) -> None:
    said, last_served_s = "", None
    while True:
        run, served = _look(store, run_id)
        line = text_of(run, served=served)
        if line != said:
            tell(line)
            sys.stdout.flush()
            said = line
        now_s = monotonic_s()
        last_served_s = now_s if served else last_served_s
        left = last_served_s is not None and now_s - last_served_s > _GONE_S
        if (left and not served) or _over(run, served=served):
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
    """Return the run, and whether a command is at work on it or still has to say how it ended."""
    free = lease.is_free(current().paths().lock_file)
    return store.read(_looked, run_id, now_ms() - WANTED_MS, free)


def _looked(conn: Connection, run_id: RunId, since_ms: int, leaderless: bool) -> tuple[Run, bool]:
    served = run_id in runs.heard(conn, since_ms, leaderless=leaderless)
    held = holding.is_held(conn, run_id, since_ms, leaderless=leaderless)
    return runs.get(conn, run_id), served or held


def _over(run: Run, *, served: bool) -> bool:
    """Whether nothing more will happen: a file that cannot be written leaves its run unfinished."""
    if run.state is not RunState.ACTIVE:
        return not served
    return run.scanned and not served and run.counts.pending + run.counts.running == 0
