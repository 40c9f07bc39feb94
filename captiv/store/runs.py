"""Runs: what was asked for, how far it is, and which of them somebody waits for.

A run is `active` while something of it is open or its scan is not over, then `finished`;
`cancelled` when set aside. Of one fingerprint at most one run is active. A run is served while a
living process wants it, which that process repeats every few seconds: nobody else's run is taken
over.
"""

import json
from dataclasses import fields
from pathlib import PurePath
from sqlite3 import Connection

from captiv.core.jobs import WANTED_MS, Counts, Run, RunId, RunState, SessionId
from captiv.core.spec import Placement, RunSpec, Selection
from captiv.errors import UsageError
from captiv.store import jobs

SMALL = 20
"""A run of at most so many images, all of them known, or of such a limit goes before others."""

_COUNTS = tuple(field.name for field in fields(Counts))
_TOTAL = "(pending + running + captioned + done + failed + cancelled)"
_COLUMNS = "id, state, spec, fingerprint, scanned, created_ms, finished_ms, unread, " + ", ".join(
    _COUNTS
)


def open_run(conn: Connection, spec: RunSpec, now_ms: int) -> tuple[Run, bool]:
    """Return the run for this request, and whether it is an unfinished one that goes on.

    One that goes on takes the new placement and limit, and keeps its cap unless another was said.
    It keeps the quality of its pictures: a key of work that is at a worker must not name another
    body. Unless its set of images is fixed, and no higher limit makes it larger, it is not scanned
    until it has been scanned again.

    Raises:
        UsageError: more of the unfinished run is open than the limit allows to caption now.
    """
    fingerprint = spec.fingerprint()
    row = conn.execute(
        "SELECT id FROM runs WHERE fingerprint=? AND state='active'", (fingerprint,)
    ).fetchone()
    if row is None:
        cursor = conn.execute(
            "INSERT INTO runs (fingerprint, spec, created_ms) VALUES (?, ?, ?)",
            (fingerprint, _text(spec), now_ms),
        )
        assert cursor.lastrowid is not None
        return get(conn, RunId(cursor.lastrowid)), False
    before = get(conn, RunId(row[0]))
    _refuse_more_than(spec.selection.limit, before)
    same_set = spec.selection.fixed and not spec.selection.wider_than(before.spec.selection)
    kept = {
        "placement": spec.placement.going_on(before.spec.placement),
        "image_quality": before.spec.image_quality,
    }
    conn.execute(
        "UPDATE runs SET spec=?, scanned=min(scanned, ?) WHERE id=?",
        (_text(spec.model_copy(update=kept)), same_set, before.id),
    )
    return get(conn, before.id), True


def place(conn: Connection, run_id: RunId, placement: Placement) -> None:
    """Have the run served by another kind of worker from now on."""
    spec = get(conn, run_id).spec.model_copy(update={"placement": placement})
    conn.execute("UPDATE runs SET spec=? WHERE id=?", (_text(spec), run_id))


def _text(spec: RunSpec) -> str:
    return json.dumps(spec.model_dump(mode="json"))


def find(conn: Connection, run_id: RunId) -> Run | None:
    """Return the run, or None if there is none of that number."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM runs WHERE id=?", (run_id,)).fetchone()
    return None if row is None else _run(row)


def get(conn: Connection, run_id: RunId) -> Run:
    """Return the run.

    Raises:
        UsageError: there is none of that number.
    """
    run = find(conn, run_id)
    if run is None:
        raise UsageError(f"There is no run {run_id}.", hint="`captiv queue list` shows the runs.")
    return run


def page(conn: Connection, before_id: RunId | None, limit: int) -> list[Run]:
    """Return a page of runs, the newest first, older than `before_id` if it is given."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE id<ifnull(?, 9223372036854775807)"
        " ORDER BY id DESC LIMIT ?",
        (before_id, limit),
    )
    return [_run(row) for row in rows]


def active(conn: Connection) -> list[Run]:
    """Return every run that is neither finished nor cancelled, the oldest first."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM runs WHERE state='active' ORDER BY id")
    return [_run(row) for row in rows]


def unfinished(conn: Connection, fingerprint: str) -> Run | None:
    """Return the unfinished run of that fingerprint, or None."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE fingerprint=? AND state='active'", (fingerprint,)
    ).fetchone()
    return None if row is None else _run(row)


def overlapping(conn: Connection, spec: RunSpec) -> list[Run]:
    """Return the unfinished runs that ask for something else of the same files or folders."""
    fingerprint = spec.fingerprint()
    return [
        run
        for run in active(conn)
        if run.fingerprint != fingerprint and _share(run.spec.selection, spec.selection)
    ]


def supersede(conn: Connection, run: Run, now_ms: int, *, leaderless: bool = False) -> list[Run]:
    """Set aside what `run` takes the place of; return the other unfinished runs of the same files.

    It takes the place of those of which nothing was done and that nobody works on. `leaderless` as
    for `heard`.
    """
    heard_of = heard(conn, now_ms - WANTED_MS, leaderless=leaderless)
    others: list[Run] = []
    for other in overlapping(conn, run.spec):
        if other.counts.untouched and other.id not in heard_of:
            set_aside(conn, other.id, now_ms)
        else:
            others.append(other)
    return others


def want(conn: Connection, run_id: RunId, session_id: SessionId, now_ms: int) -> None:
    """Ask the holder of the lease to serve this run; to be repeated while somebody waits for it."""
    conn.execute(
        "UPDATE runs SET wanted_by=?, wanted_ms=? WHERE id=?", (session_id, now_ms, run_id)
    )


def wanted(conn: Connection, since_ms: int) -> list[Run]:
    """Return the active runs that were wanted since then, in the order in which they are served.

    The highest priority first; then those of a few images; then by age.
    """
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE state='active' AND wanted_ms>=?"
        f" ORDER BY priority DESC, (scanned=1 AND {_TOTAL}<={SMALL}"
        f" OR ifnull(json_extract(spec, '$.selection.limit')<={SMALL}, 0)) DESC, id",
        (since_ms,),
    )
    return [_run(row) for row in rows]


def heard(conn: Connection, since_ms: int, *, leaderless: bool = False) -> dict[RunId, int]:
    """Return when each active run that was wanted since then was last asked for.

    To whoever holds the lease and dispatches nothing the queue is `leaderless`: what a dispatcher
    asked for is wanted no more, for it is dead, however lately it was heard.
    """
    rows = conn.execute(
        "SELECT id, wanted_ms FROM runs WHERE state='active' AND wanted_ms>=?"
        " AND NOT (? AND wanted_by IN (SELECT id FROM sessions WHERE kind='dispatcher'))",
        (since_ms, leaderless),
    )
    return {RunId(run): at_ms for run, at_ms in rows}


def finish_if_complete(conn: Connection, run_id: RunId, now_ms: int) -> bool:
    """Finish the run if it is scanned and nothing of it is open; return whether that was so."""
    cursor = conn.execute(
        "UPDATE runs SET state='finished', finished_ms=? WHERE id=? AND state='active'"
        " AND scanned=1 AND pending+running+captioned=0",
        (now_ms, run_id),
    )
    return cursor.rowcount == 1


def set_aside(conn: Connection, run_id: RunId, now_ms: int) -> int:
    """Cancel the run in favour of another; return how many jobs that cancelled."""
    return jobs.cancel(conn, run_id, now_ms)


def actual_counts(conn: Connection, run_id: RunId) -> Counts:
    """Count the run's jobs one by one; slow, some 0.3 s for a million."""
    by_state = {
        str(state): n
        for state, n in conn.execute(
            "SELECT state, count(*) FROM jobs WHERE run_id=? GROUP BY state", (run_id,)
        )
    }
    (kept,) = conn.execute(
        "SELECT count(*) FROM jobs WHERE run_id=? AND note='kept'", (run_id,)
    ).fetchone()
    (misses,) = conn.execute(
        "SELECT ifnull(sum(misses), 0) FROM jobs WHERE run_id=?", (run_id,)
    ).fetchone()
    skipped = get(conn, run_id).counts.skipped
    return Counts(**by_state, kept=kept, skipped=skipped, misses=misses)


def check_counts(conn: Connection) -> list[tuple[Run, Counts]]:
    """Return the runs whose counters are wrong, each with what they should be."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY id").fetchall()
    checked = ((run, actual_counts(conn, run.id)) for run in map(_run, rows))
    return [(run, counts) for run, counts in checked if run.counts != counts]


def recount(conn: Connection, run_id: RunId) -> Counts:
    """Set the run's counters to what its jobs say, and return them."""
    counts = actual_counts(conn, run_id)
    setting = ", ".join(f"{name}=?" for name in _COUNTS)
    values = [getattr(counts, name) for name in _COUNTS]
    conn.execute(f"UPDATE runs SET {setting} WHERE id=?", (*values, run_id))
    return counts


def clear(conn: Connection, run_id: RunId | None = None) -> int:
    """Delete the ended runs, or this one, with their jobs; return how many runs. Captions stay.

    A run that still has something open, be it only a file to write, is left.
    """
    ended = conn.execute(
        "SELECT id FROM runs WHERE state<>'active' AND pending+running+captioned=0"
        " AND id=ifnull(?, id)",
        (run_id,),
    ).fetchall()
    conn.executemany("DELETE FROM jobs WHERE run_id=?", ended)
    conn.executemany("DELETE FROM runs WHERE id=?", ended)
    return len(ended)


def _refuse_more_than(limit: int | None, run: Run) -> None:
    """Refuse to go on with a run of which more images would be captioned than was asked for now."""
    unpaid = run.counts.pending + run.counts.running
    if limit is not None and unpaid > limit:
        raise UsageError(
            f"Run {run.id} asks for the same and is unfinished: it has {unpaid} images left, more"
            f" than --limit {limit}.",
            hint=f"Resume it without --limit, or cancel it first: captiv queue cancel {run.id}",
        )


def _run(row: tuple[object, ...]) -> Run:
    id_, state, spec, fingerprint, scanned, created_ms, finished_ms, unread, *counted = row
    return Run(
        id=RunId(id_),  # type: ignore[arg-type]
        state=RunState(str(state)),
        spec=RunSpec.model_validate(json.loads(spec)),  # type: ignore[arg-type]
        fingerprint=fingerprint,  # type: ignore[arg-type]
        scanned=bool(scanned),
        created_ms=created_ms,  # type: ignore[arg-type]
        finished_ms=finished_ms,  # type: ignore[arg-type]
        counts=Counts(*counted),  # type: ignore[arg-type]
        unread=json.loads(str(unread)),
    )


def _share(one: Selection, other: Selection) -> bool:
    """Whether the two may name the same image."""
    return any(
        _within(a, b, deep=other.recursive) or _within(b, a, deep=one.recursive)
        for a in map(PurePath, one.roots)
        for b in map(PurePath, other.roots)
    )


def _within(inner: PurePath, outer: PurePath, *, deep: bool) -> bool:
    """Whether `inner`, a file or a folder, is `outer` or may be read with it."""
    if inner == outer or inner.parent == outer:
        return True
    return deep and inner.is_relative_to(outer)
