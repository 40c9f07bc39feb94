"""How the images of a run become its jobs.

A sidecar of an image is a job of a run once, however often it is scanned. A run that has been
cancelled, or has finished, takes nothing more.
"""

import json
from collections.abc import Mapping, Sequence
from sqlite3 import Connection

from captiv.core.jobs import JobState, RunId
from captiv.core.naming import Place
from captiv.store import counts
from captiv.store.texts import decode_place, encode_place, readable

_ADD = (
    "INSERT INTO jobs (run_id, path, sidecar, created_ms) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


def add_jobs(
    conn: Connection,
    run_id: RunId,
    places: Sequence[Place],
    now_ms: int,
    *,
    limit: int | None = None,
) -> int:
    """Make a pending job of each place; return how many were none before.

    `limit` is how many captions the run may promise: failed and kept images use none of it up.
    """
    if not counts.takes_more(conn, run_id):
        return 0
    rows = [(run_id, *encode_place(place), now_ms) for place in places]
    if limit is None:
        added = conn.executemany(_ADD, rows).rowcount if rows else 0
    else:
        added = _add_up_to(conn, rows, limit - counts.promised(conn, run_id))
    counts.add(conn, run_id, added, JobState.PENDING)
    return added


def add_failed(
    conn: Connection, run_id: RunId, failed: Sequence[tuple[Place, str, str]], now_ms: int
) -> int:
    """Record images that the scan refuses: place, code, reason. Return how many are new."""
    if not failed or not counts.takes_more(conn, run_id):
        return 0
    added = conn.executemany(
        "INSERT INTO jobs"
        " (run_id, path, sidecar, state, error_code, error, created_ms, finished_ms)"
        " VALUES (?1, ?2, ?3, 'failed', ?4, ?5, ?6, ?6) ON CONFLICT DO NOTHING",
        [
            (run_id, *encode_place(place), code, readable(why), now_ms)
            for place, code, why in failed
        ],
    ).rowcount
    counts.add(conn, run_id, added, JobState.FAILED)
    return added


def add_kept(conn: Connection, run_id: RunId, places: Sequence[Place], now_ms: int) -> int:
    """Record images whose sidecar is not captiv's to replace; return how many are new."""
    if not places or not counts.takes_more(conn, run_id):
        return 0
    added = conn.executemany(
        "INSERT INTO jobs (run_id, path, sidecar, state, note, created_ms, finished_ms)"
        " VALUES (?1, ?2, ?3, 'done', 'kept', ?4, ?4) ON CONFLICT DO NOTHING",
        [(run_id, *encode_place(place), now_ms) for place in places],
    ).rowcount
    counts.add(conn, run_id, added, JobState.DONE)
    counts.add_kept(conn, run_id, added)
    return added


def known(conn: Connection, run_id: RunId, places: Sequence[Place]) -> set[Place]:
    """Return which of these places are jobs of the run already, in whatever state."""
    rows = conn.execute(
        "SELECT jobs.path, jobs.sidecar FROM json_each(?) AS wanted CROSS JOIN jobs"
        " ON jobs.run_id=? AND jobs.path=json_extract(wanted.value, '$[0]')"
        " AND jobs.sidecar=json_extract(wanted.value, '$[1]')",
        (json.dumps([encode_place(place) for place in places]), run_id),
    )
    return {decode_place(path, sidecar) for path, sidecar in rows}


def set_passed_over(
    conn: Connection, run_id: RunId, skipped: int, unread: Mapping[str, int]
) -> None:
    """Record what the scan has passed over so far; a scan that starts over counts from 0.

    Args:
        conn: the job table.
        run_id: whose scan it is.
        skipped: images that have a sidecar. Jobs of the run (see `known`) are none of them, though
            they may have a sidecar by now.
        unread: files of kinds that captiv does not read, by kind.
    """
    conn.execute(
        "UPDATE runs SET skipped=?, unread=? WHERE id=?", (skipped, json.dumps(unread), run_id)
    )


def mark_scanned(conn: Connection, run_id: RunId) -> None:
    """Record that every image that was asked for is a job."""
    conn.execute("UPDATE runs SET scanned=1 WHERE id=?", (run_id,))


def _add_up_to(conn: Connection, rows: Sequence[tuple[RunId, str, str, int]], room: int) -> int:
    """Insert one by one: places that are there already take no room."""
    added = 0
    for row in rows:
        if added >= room:
            break
        added += conn.execute(_ADD, row).rowcount
    return added
