"""Failures of before: what a new run is told of them, and what an unfinished one tries again.

An image that is not tried again fails in the new run with the reason, and at the time, of the
failure that it stands for: whatever failed since a command began failed in it.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from captiv.core.jobs import JobId, JobState, PastFailure, RunId, Stamp
from captiv.core.naming import Place
from captiv.errors import ImageCrashes
from captiv.store import counts
from captiv.store.texts import decode_place, encode_place

_COLUMNS = (
    "jobs.id, jobs.path, jobs.sidecar, error_code, error, error_text, file_size, file_mtime_ns,"
    " asked, jobs.finished_ms"
)


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A failed job, and what tells whether to try its image again."""

    id: JobId
    place: Place
    failure: PastFailure
    reason: str
    text: str | None
    finished_ms: int


def standing(
    conn: Connection, run_id: RunId, places: Sequence[Place]
) -> dict[Place, list[FailedJob]]:
    """Return the failures of these places in other runs, after which no text came there."""
    encoded = [encode_place(place) for place in places]
    if not encoded or not _any_between(conn, min(encoded)[0], max(encoded)[0]):
        return {}
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM json_each(?) AS wanted"
        " CROSS JOIN jobs INDEXED BY jobs_failed_place ON jobs.state='failed'"
        " AND jobs.path=json_extract(wanted.value, '$[0]')"
        " AND jobs.sidecar=json_extract(wanted.value, '$[1]')"
        " WHERE jobs.run_id<>? AND NOT EXISTS (SELECT 1 FROM captions"
        " WHERE captions.path=jobs.path AND captions.sidecar=jobs.sidecar"
        " AND captions.created_ms>=jobs.finished_ms)",
        (json.dumps(encoded), run_id),
    )
    found: dict[Place, list[FailedJob]] = {}
    for row in rows:
        failed = _failed(row)
        found.setdefault(failed.place, []).append(failed)
    return found


def page(conn: Connection, run_id: RunId, after_id: JobId, limit: int) -> list[FailedJob]:
    """Return a page of the run's failures, by id."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM jobs INDEXED BY jobs_failed"
        " WHERE run_id=? AND state='failed' AND id>? ORDER BY id LIMIT ?",
        (run_id, after_id, limit),
    )
    return [_failed(row) for row in rows]


def add_untried(conn: Connection, run_id: RunId, untried: Sequence[FailedJob], now_ms: int) -> int:
    """Record images that are not tried again, as failed for that reason; return how many."""
    if not untried or not counts.takes_more(conn, run_id):
        return 0
    added = 0
    for job in untried:
        size, mtime_ns = job.failure.file or (None, None)
        added += conn.execute(
            "INSERT INTO jobs (run_id, path, sidecar, state, error_code, error, error_text,"
            " file_size, file_mtime_ns, asked, created_ms, finished_ms)"
            " VALUES (?, ?, ?, 'failed', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(run_id, *encode_place(job.place), job.failure.code, job.reason, job.text),
                *(size, mtime_ns, job.failure.asked, now_ms, job.finished_ms),
            ),
        ).rowcount
    counts.add(conn, run_id, added, JobState.FAILED)
    return added


def forget_refused(conn: Connection, run_id: RunId) -> int:
    """Forget what the scan of an unfinished run refused: the next scan decides anew."""
    n = conn.execute(
        "DELETE FROM jobs WHERE run_id=? AND state='failed' AND attempt=0"
        " AND EXISTS (SELECT 1 FROM runs WHERE id=run_id AND state='active')",
        (run_id,),
    ).rowcount
    counts.add(conn, run_id, -n, JobState.FAILED)
    return n


def revive(conn: Connection, run_id: RunId, failed: Iterable[JobId], limit: int | None) -> int:
    """Make failed jobs of an unfinished run pending again, behind the others; return how many.

    `limit` is how many captions the run may have promised then.
    """
    room = _room(conn, run_id, limit)
    revived = 0
    for job_id in failed:
        if room is not None and revived >= room:
            break
        revived += conn.execute(
            "UPDATE jobs SET state='pending', finished_ms=NULL, crashes=0, error_code=NULL,"
            " error=NULL, error_text=NULL, file_size=NULL, file_mtime_ns=NULL, asked=NULL,"
            " suspect=iif(error_code=?, suspect, 0), postponed=postponed+1"
            " WHERE id=? AND run_id=? AND state='failed'"
            " AND EXISTS (SELECT 1 FROM runs WHERE id=run_id AND state='active')",
            (ImageCrashes.code, job_id, run_id),
        ).rowcount
    counts.move(conn, run_id, revived, JobState.FAILED, JobState.PENDING)
    return revived


def failed_before(conn: Connection, run_id: RunId, since_ms: int) -> int:
    """Return how many images of the run failed before then, and were not tried again since."""
    (n,) = conn.execute(
        "SELECT count(*) FROM jobs INDEXED BY jobs_failed"
        " WHERE run_id=? AND state='failed' AND finished_ms<?",
        (run_id, since_ms),
    ).fetchone()
    return int(n)


def paths(conn: Connection, job_ids: Collection[JobId]) -> dict[JobId, str]:
    """Return the images of these jobs."""
    rows = conn.execute(
        "SELECT id, path, sidecar FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(job_ids)),),
    )
    return {JobId(id_): decode_place(path, sidecar).image for id_, path, sidecar in rows}


def _any_between(conn: Connection, first: str, last: str) -> bool:
    """Whether an image failed whose path lies between these, so that most chunks ask no more."""
    row = conn.execute(
        "SELECT 1 FROM jobs INDEXED BY jobs_failed_place"
        " WHERE state='failed' AND path BETWEEN ? AND ? LIMIT 1",
        (first, last),
    )
    return row.fetchone() is not None


def _room(conn: Connection, run_id: RunId, limit: int | None) -> int | None:
    return None if limit is None else limit - counts.promised(conn, run_id)


def _failed(row: Sequence[Any]) -> FailedJob:
    id_, path, sidecar, code, reason, text, size, mtime_ns, asked, finished_ms = row
    file = None if size is None else Stamp(size, mtime_ns)
    return FailedJob(
        id=JobId(id_),
        place=decode_place(path, sidecar),
        failure=PastFailure(code, file, asked),
        reason=reason,
        text=text,
        finished_ms=finished_ms,
    )
