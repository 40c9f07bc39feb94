"""Runs and their images as `captiv queue` chooses and shows them.

Everything here reads in short transactions, page by page, so that it neither waits for a captiv
that is at work nor holds it up. Without a job table there are no runs, which is no error.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

from captiv.cli import show
from captiv.cli.invocation import current
from captiv.clock import now_ms
from captiv.core.jobs import WANTED_MS, JobId, JobRow, JobState, Run, RunId, RunState
from captiv.errors import UsageError
from captiv.store import Store, jobs, lease, runs

NONE = "No runs yet."

_PAGE = 1000
_RECENT = 5
_SHOWN = 200
"""Characters of an answer that was no caption; --json has it whole."""


class Failures(NamedTuple):
    """Failures of one kind."""

    code: str
    reason: str
    images: int


@contextmanager
def reading(run: int | None) -> Iterator[Store | None]:
    """Open the job table for reading; None if there is none.

    Raises:
        UsageError: a run was named, and there is no table.
    """
    with current().queue() as store:
        if store is None and run is not None:
            raise UsageError(f"There is no run {run}: no run was made yet.")
        yield store


def every(store: Store) -> Iterator[Run]:
    """Yield every run, the newest first."""
    before: RunId | None = None
    while page := store.read(runs.page, before, _PAGE):
        yield from page
        before = page[-1].id


def recent(store: Store | None) -> list[Run]:
    """Return the last runs, and every unfinished one before them, the newest first."""
    if store is None:
        return []
    last = store.read(runs.page, None, _RECENT)
    shown = {run.id for run in last}
    return last + [run for run in reversed(store.read(runs.active)) if run.id not in shown]


def at_work(store: Store | None) -> Collection[RunId]:
    """Return the runs that living commands work on."""
    if store is None:
        return ()
    free = lease.is_free(current().paths().lock_file)
    return store.read(runs.heard, now_ms() - WANTED_MS, leaderless=free).keys()


def chosen(store: Store | None, run: int) -> Run:
    """Return the run of that number.

    Raises:
        UsageError: there is none.
    """
    assert store is not None  # `reading` refuses a number without a table
    return store.read(runs.get, RunId(run))


def to_retry(store: Store | None, run: int | None) -> Run | None:
    """Return the run that is named, else the newest of which an image failed or waits for its file.

    One that only is unfinished is not meant: it may go on by renting a pod.
    """
    if store is None or run is not None:
        return chosen(store, run) if run is not None else None
    return next(
        (
            r
            for r in every(store)
            if r.state is not RunState.CANCELLED and (r.counts.failed or r.counts.captioned)
        ),
        None,
    )


def unfinished(store: Store | None) -> list[Run]:
    """Return the runs of which an image is open, the oldest first."""
    return [run for run in store.read(runs.active) if run.counts.open] if store else []


def only_active(store: Store | None, run: int | None) -> Run | None:
    """Return the run that is named, else the only unfinished one.

    Raises:
        UsageError: several are unfinished.
    """
    if store is None or run is not None:
        return chosen(store, run) if run is not None else None
    active = store.read(runs.active)
    if len(active) > 1:
        numbers = ", ".join(str(r.id) for r in active)
        raise UsageError(f"Several runs are unfinished: {numbers}.", hint="Name one of them.")
    return active[0] if active else None


def to_watch(store: Store | None, run: int | None) -> Run | None:
    """Return the run that is named, else the newest unfinished one, else the newest."""
    if store is None or run is not None:
        return chosen(store, run) if run is not None else None
    active = store.read(runs.active)
    return active[-1] if active else next(iter(store.read(runs.page, None, 1)), None)


def job_state(text: str | None) -> JobState | None:
    """Return the state of that name.

    Raises:
        UsageError: there is no such state.
    """
    if text is None:
        return None
    try:
        return JobState(text)
    except ValueError as error:
        names = ", ".join(JobState)
        raise UsageError(f"There is no state {text!r}.", hint=f"The states: {names}.") from error


def check_code(store: Store | None, run: Run, code: str) -> None:
    """Refuse a code with which no image of the run failed, naming those with which some did."""
    codes = sorted({group.code for group in failures(store, run.id)})
    if code not in codes:
        have = f"Its codes: {', '.join(codes)}." if codes else "No image of it failed."
        raise UsageError(f"No image of run {run.id} failed with {code!r}.", hint=have)


def failures(store: Store | None, run: int) -> list[Failures]:
    """Return how many images of the run failed for which reason."""
    if store is None:
        return []
    return [Failures(*group) for group in store.read(jobs.failure_groups, RunId(run))]


def described(run: Run, busy: Collection[RunId]) -> dict[str, Any]:
    """Return a run for JSON; `busy` are those that commands work on."""
    selection, captioning = run.spec.selection, run.spec.captioning
    return {
        "run": run.id,
        "state": run.standing(busy),
        "model": captioning.model,
        "variant": captioning.variant,
        "roots": selection.roots,
        "recursive": selection.recursive,
        "scanned": run.scanned,
        "created": _iso(run.created_ms),
        "finished": _iso(run.finished_ms),
        "counts": {**asdict(run.counts), "total": run.counts.total},
    }


def print_all(found: list[Run], busy: Collection[RunId]) -> None:
    """Print runs, one a row."""
    if not found:
        show.line(NONE)
        return
    headings = ("Run", "State", "Done", "Open", "Failed", "Kept", "Model", "Began", "Images")
    rows = (_row(run, busy) for run in found)
    show.table(headings, rows, right=(0, 2, 3, 4, 5), yields=(7, 5), path=8)


def print_one(run: Run, groups: list[Failures], busy: Collection[RunId]) -> None:
    """Print one run, and why images of it failed."""
    counts = run.counts
    show.line(f"Run {run.id}: {run.standing(busy)}, began {show.when(run.created_ms)}")
    show.line(f"Images in {', '.join(map(show.visible, run.spec.selection.roots))}")
    show.line(f"Model {run.spec.captioning.variant}")
    for name, n in (*asdict(counts).items(), ("total", counts.total)):
        if n or name == "total":
            show.line(f"  {name:<10} {n:>9,}")
    if not run.enqueued and run.state is RunState.ACTIVE:
        show.line("  the search for images is not over")
    if groups:
        show.line("Failed:")
    for group in groups:
        show.line(f"  {group.images:>9,}  {group.code}: {show.visible(group.reason)}")
    if groups or counts.captioned:
        show.line(f"Names: captiv queue list {run.id} --state failed")
        show.line(f"Again: captiv queue retry {run.id}")


def print_runs(store: Store | None, limit: int | None, *, as_json: bool) -> None:
    """Print every run."""
    found, busy = every(store) if store else iter(()), at_work(store)
    listed = [run for run, _ in zip(found, range(limit), strict=False)] if limit else list(found)
    if not as_json:
        print_all(listed, busy)
    for run in listed if as_json else ():
        show.json_line(described(run, busy))


def print_jobs(
    store: Store | None,
    run: int | None,
    state: JobState | None,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Print the images of a run, a page at a time; of the newest if none is named."""
    newest = store.read(runs.page, None, 1) if store and run is None else []
    if store is None or (run is None and not newest):
        if not as_json:
            show.line(NONE)
        return
    found = chosen(store, run) if run is not None else newest[0]
    if run is None:
        show.say(f"captiv: run {found.id}:")
    for job in _jobs(store, found.id, state, limit):
        if as_json:
            show.json_line({"run": found.id, **_job(job)})
        else:
            show.line("\t".join(_cells(job)))


def _jobs(store: Store, run: RunId, state: JobState | None, limit: int | None) -> Iterator[JobRow]:
    after, left = JobId(0), limit
    while page := store.read(jobs.page, run, state, after, min(_PAGE, left or _PAGE)):
        yield from page
        after = page[-1].id
        if left is not None:
            left -= len(page)
            if left <= 0:
                return


def _job(job: JobRow) -> dict[str, Any]:
    return {
        "job": job.id,
        "path": job.path,
        "state": job.state.value,
        "code": job.error_code,
        "reason": job.error,
        "note": job.note,
        "text": job.text,
    }


def _cells(job: JobRow) -> list[str]:
    cells = [job.state.value, show.visible(job.path)]
    if job.error_code:
        cells += [job.error_code, show.visible(job.error or "")]
        if job.text is not None:
            cells.append(show.visible(job.text[:_SHOWN]))
    elif job.note:
        cells.append(job.note)
    return cells


def _row(run: Run, busy: Collection[RunId]) -> tuple[object, ...]:
    counts = run.counts
    return (
        run.id,
        run.standing(busy),
        counts.done,
        counts.open,
        counts.failed,
        counts.kept,
        run.spec.captioning.variant,
        show.when(run.created_ms),
        ", ".join(run.spec.selection.roots),
    )


def _iso(ms: int | None) -> str | None:
    return None if ms is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))
