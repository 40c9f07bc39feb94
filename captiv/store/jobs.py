"""The transitions of a job, one function each; `captiv.core.jobs` draws them.

Every transition of a claimed job is fenced by its attempt and its state: whoever was taken a job
away from can no longer move it, and is told so by what the function returns. A job that would go
back to `pending` becomes `cancelled` instead when its run has been cancelled meanwhile. State names
are literals in the SQL, for a partial index is not used with a parameter.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from captiv.core.jobs import (
    KEPT,
    Companion,
    Failure,
    Job,
    JobId,
    JobRow,
    JobState,
    Received,
    RunId,
    SessionId,
    Stamp,
    Unwritten,
)
from captiv.core.naming import Place
from captiv.core.retry import CRASH_LIMIT, Death
from captiv.core.spec import RunSpec
from captiv.errors import ImageCrashes, UsageError
from captiv.store import captions, counts, holding
from captiv.store.texts import decode_path, decode_place, readable

_DIED = "The process that worked on this image, and on no other, died of it repeatedly."
_CLAIM = (
    "UPDATE jobs SET state='running', attempt=attempt+1, session_id=?1, claimed_ms=?2"
    " WHERE id IN (SELECT id FROM jobs INDEXED BY {index}"
    " WHERE run_id=?3 AND state='pending' AND suspect={suspect} ORDER BY {order} LIMIT ?4)"
    " RETURNING postponed, id, run_id, path, sidecar, attempt, tries, crashes, suspect,"
    " misses, objection"
)
_CLAIM_USUAL = _CLAIM.format(index="jobs_pending", suspect=0, order="postponed, id")
_CLAIM_SUSPECT = _CLAIM.format(index="jobs_suspect", suspect=1, order="crashes, id")


def claim(
    conn: Connection, run_id: RunId, limit: int, session_id: SessionId, now_ms: int
) -> list[Job]:
    """Take up to `limit` pending jobs of the run, the oldest first; suspects are left out.

    Those that were given back after a failure come after all others.
    """
    return _claim(conn, _CLAIM_USUAL, run_id, limit, session_id, now_ms)


def claim_suspect(
    conn: Connection, run_id: RunId, session_id: SessionId, now_ms: int
) -> Job | None:
    """Take the suspect of the run that the fewest processes died of, to be tried alone."""
    return next(iter(_claim(conn, _CLAIM_SUSPECT, run_id, 1, session_id, now_ms)), None)


def release(
    conn: Connection,
    jobs: Iterable[Job],
    *,
    suspects: Collection[JobId] = (),
    postponed: Collection[JobId] = (),
) -> int:
    """Give claimed jobs back, uncharged, marking the suspects; return how many were still held.

    The postponed ones, at which something failed, go behind the others.
    """
    by_run: dict[RunId, list[Job]] = {}
    for job in jobs:
        by_run.setdefault(job.run_id, []).append(job)
    released = 0
    for run_id, held in by_run.items():
        target, ended_ms = _back(conn, run_id)
        n = conn.executemany(
            f"UPDATE jobs SET state='{target}', finished_ms=?, session_id=NULL,"
            " suspect=max(suspect, ?), postponed=postponed+?"
            " WHERE id=? AND attempt=? AND state='running'",
            [
                (ended_ms, job.id in suspects, job.id in postponed, job.id, job.attempt)
                for job in held
            ],
        ).rowcount
        counts.move(conn, run_id, n, JobState.RUNNING, target)
        released += n
    return released


def charge_try(
    conn: Connection, job: Job, *, missed: bool = False, objection: str | None = None
) -> bool:
    """Give a job back for another try; return whether it was still held.

    The engine broke on it, or its answer was `missed`: no caption. Something answered for it, so it
    is no suspect any more. With an `objection` the next try tells the model what was wrong: it is
    kept with the number of the try, which names it, so that a key never names two requests.
    """
    target, ended_ms = _back(conn, job.run_id)
    n = conn.execute(
        f"UPDATE jobs SET state='{target}', finished_ms=?, session_id=NULL, tries=tries+1,"
        " misses=misses+?, objection=ifnull(?, objection), suspect=0"
        " WHERE id=? AND attempt=? AND state='running'",
        (ended_ms, missed, objection and readable(objection), job.id, job.attempt),
    ).rowcount
    counts.add_misses(conn, job.run_id, n if missed else 0)
    counts.move(conn, job.run_id, n, JobState.RUNNING, target)
    return n == 1


def charge_crash(
    conn: Connection,
    job: Job,
    now_ms: int,
    *,
    weight: int = Death.CRASHED.weight,
    limit: int = CRASH_LIMIT,
    reason: str = _DIED,
    file: Stamp | None = None,
) -> bool:
    """Charge a suspect with the death of the process that worked on it alone.

    `file` is what the image was.

    Return whether that made it fail: the weights of its deaths have reached the limit. Otherwise it
    is a pending suspect again.
    """
    if not _held(conn, job.id, job.attempt):
        return False
    conn.execute("UPDATE jobs SET crashes=crashes+? WHERE id=?", (weight, job.id))
    (crashes,) = conn.execute("SELECT crashes FROM jobs WHERE id=?", (job.id,)).fetchone()
    if crashes >= limit:
        return fail(conn, [Failure(job, ImageCrashes.code, reason, file=file)], now_ms) == 1
    release(conn, [job], suspects=[job.id])
    return False


def receive(conn: Connection, received: Sequence[Received], now_ms: int) -> list[Unwritten]:
    """Keep these captions; once this is committed they are never computed again.

    Return what is to be written, without those whose job was taken away meanwhile.
    """
    unwritten: list[Unwritten] = []
    for item in received:
        job = item.job
        if not _held(conn, job.id, job.attempt):
            continue
        caption_id = captions.record_answer(conn, item, now_ms)
        conn.execute(
            "UPDATE jobs SET state='captioned', session_id=NULL, caption_id=? WHERE id=?",
            (caption_id, job.id),
        )
        text = readable(item.text)
        unwritten.append(
            Unwritten(
                *(job.id, job.run_id, job.attempt, job.path, job.sidecar, text),
                companion=item.companion,
            )
        )
    for run_id, n in Counter(item.run_id for item in unwritten).items():
        counts.move(conn, run_id, n, JobState.RUNNING, JobState.CAPTIONED)
    return unwritten


def finish(conn: Connection, written: Iterable[tuple[JobId, int]], now_ms: int) -> int:
    """End jobs whose file is written; return how many were not ended otherwise before."""
    finished: Counter[RunId] = Counter()
    for job_id, attempt in written:
        row = conn.execute(
            "UPDATE jobs SET state='done', finished_ms=?, error_code=NULL, error=NULL"
            " WHERE id=? AND attempt=? AND state='captioned' RETURNING run_id",
            (now_ms, job_id, attempt),
        ).fetchone()
        if row is not None:
            finished[RunId(row[0])] += 1
    for run_id, n in finished.items():
        counts.move(conn, run_id, n, JobState.CAPTIONED, JobState.DONE)
    return finished.total()


def keep(conn: Connection, kept: Iterable[tuple[JobId, int]], now_ms: int) -> int:
    """End claimed or captioned jobs whose sidecar is not captiv's to replace; return how many."""
    ended: Counter[tuple[RunId, JobState]] = Counter()
    for job_id, attempt in kept:
        row = conn.execute(
            "SELECT run_id, state FROM jobs"
            " WHERE id=? AND attempt=? AND state IN ('running', 'captioned')",
            (job_id, attempt),
        ).fetchone()
        if row is None:
            continue
        conn.execute(
            "UPDATE jobs SET state='done', finished_ms=?, note=?, session_id=NULL, error_code=NULL,"
            " error=NULL WHERE id=?",
            (now_ms, KEPT, job_id),
        )
        ended[RunId(row[0]), JobState(row[1])] += 1
    for (run_id, state), n in ended.items():
        counts.move(conn, run_id, n, state, JobState.DONE)
        counts.add_kept(conn, run_id, n)
    return ended.total()


def fail(conn: Connection, failures: Iterable[Failure], now_ms: int) -> int:
    """End claimed jobs with a reason; return how many were still held."""
    failed: Counter[RunId] = Counter()
    missed: Counter[RunId] = Counter()
    failures = list(failures)
    asked = {run_id: _asked(conn, run_id) for run_id in {f.job.run_id for f in failures}}
    for failure in failures:
        text = None if failure.text is None else readable(failure.text)
        job, miss = failure.job, text is not None
        size, mtime_ns = failure.file or (None, None)
        n = conn.execute(
            "UPDATE jobs SET state='failed', finished_ms=?, session_id=NULL, error_code=?, error=?,"
            " error_text=?, file_size=?, file_mtime_ns=?, asked=?, tries=tries+?, misses=misses+?"
            " WHERE id=? AND attempt=? AND state='running'",
            (
                *(now_ms, failure.code, readable(failure.reason), text),
                *(size, mtime_ns, asked[job.run_id]),
                *(failure.tried or miss, miss, job.id, job.attempt),
            ),
        ).rowcount
        failed[job.run_id] += n
        missed[job.run_id] += n * miss
    for run_id, n in failed.items():
        counts.move(conn, run_id, n, JobState.RUNNING, JobState.FAILED)
        counts.add_misses(conn, run_id, missed[run_id])
    return failed.total()


def note_unwritable(conn: Connection, refused: Iterable[tuple[JobId, int, str, str]]) -> int:
    """Record why the files of captioned jobs cannot be written (id, attempt, code, reason)."""
    return conn.executemany(
        "UPDATE jobs SET error_code=?3, error=?4 WHERE id=?1 AND attempt=?2 AND state='captioned'",
        [(job_id, attempt, code, readable(why)) for job_id, attempt, code, why in refused],
    ).rowcount


def unwritten(conn: Connection, run_id: RunId, after_id: JobId, limit: int) -> list[Unwritten]:
    """Return a page of the run's captioned jobs, by id."""
    rows = conn.execute(
        "SELECT jobs.id, jobs.run_id, jobs.attempt, jobs.path, jobs.sidecar, captions.text,"
        " jobs.found, object.sidecar, object.text"
        " FROM jobs INDEXED BY jobs_captioned CROSS JOIN captions ON captions.id=jobs.caption_id"
        " LEFT JOIN captions AS object ON object.id=(SELECT max(id) FROM captions WHERE"
        " path=jobs.path AND job_id=jobs.id AND sidecar<>jobs.sidecar)"
        " WHERE jobs.run_id=? AND jobs.state='captioned' AND jobs.id>? ORDER BY jobs.id LIMIT ?",
        (run_id, after_id, limit),
    )
    return [
        Unwritten(
            *(job_id, run, attempt, decode_path(path), decode_path(sidecar), text, found),
            companion=None if beside is None else Companion(decode_path(beside), object_),
        )
        for job_id, run, attempt, path, sidecar, text, found, beside, object_ in rows
    ]


def cancel(conn: Connection, run_id: RunId, now_ms: int) -> int:
    """Cancel the run and its pending jobs; return how many.

    Running jobs are left to the holder of the lease: what it gives back is cancelled, a caption
    that still comes is kept and written. A run that has ended stays as it is.
    """
    row = conn.execute("SELECT 1 FROM runs WHERE id=? AND state='active'", (run_id,)).fetchone()
    if row is None:
        return 0
    n = conn.execute(
        "UPDATE jobs SET state='cancelled', finished_ms=? WHERE run_id=? AND state='pending'",
        (now_ms, run_id),
    ).rowcount
    counts.cancel(conn, run_id, n, now_ms)
    holding.forget(conn, run_id)
    return n


def retry(conn: Connection, run_id: RunId, code: str | None = None) -> int:
    """Make the failed and cancelled jobs of the run pending again, their crashes forgotten.

    Their tries go on counting: the next one is another one, whatever a worker remembers.
    With `code`, only those that failed with it. The run is active again if anything is left to do.
    Jobs that crashed what touched them are still tried alone. Return how many go on.

    Raises:
        UsageError: the same request goes on in another run already.
    """
    _refuse_twin(conn, run_id)
    failed = conn.execute(
        "UPDATE jobs SET state='pending', finished_ms=NULL, crashes=0, error_code=NULL,"
        " error=NULL, error_text=NULL, file_size=NULL, file_mtime_ns=NULL, asked=NULL,"
        " postponed=postponed+1, suspect=iif(error_code=?3, suspect, 0)"
        " WHERE run_id=?1 AND state='failed' AND error_code=ifnull(?2, error_code)",
        (run_id, code, ImageCrashes.code),
    ).rowcount
    cancelled = 0
    if code is None:
        cancelled = conn.execute(
            "UPDATE jobs SET state='pending', finished_ms=NULL, crashes=0"
            " WHERE run_id=? AND state='cancelled'",
            (run_id,),
        ).rowcount
    counts.reopen(conn, run_id, failed, cancelled)
    return failed + cancelled


def recover(conn: Connection, session_id: SessionId, suspects: Collection[JobId] = ()) -> int:
    """Give back, uncharged, what every other session had claimed, marking the suspects.

    Only for the holder of the lease: whoever claimed these is dead. Return how many there were.
    """
    conn.executemany(
        "UPDATE jobs SET suspect=1 WHERE id=? AND state='running' AND session_id<>?",
        [(job_id, session_id) for job_id in suspects],
    )
    runs = conn.execute(
        "SELECT DISTINCT run_id FROM jobs INDEXED BY jobs_running"
        " WHERE state='running' AND session_id<>?",
        (session_id,),
    ).fetchall()
    recovered = 0
    for (run_id,) in runs:
        target, ended_ms = _back(conn, run_id)
        n = conn.execute(
            f"UPDATE jobs INDEXED BY jobs_running SET state='{target}', finished_ms=?,"
            " session_id=NULL WHERE run_id=? AND state='running' AND session_id<>?",
            (ended_ms, run_id, session_id),
        ).rowcount
        counts.move(conn, run_id, n, JobState.RUNNING, target)
        recovered += n
    return recovered


def charge_alone(
    conn: Connection, session_id: SessionId, suspects: Mapping[JobId, Stamp | None], now_ms: int
) -> int:
    """Charge those of `suspects` that were tried alone when another session died; before `recover`.

    With each is what the image is now. That session may have been ended from outside, so it counts
    like a SIGKILL. Return how many failed of it.
    """
    failed = 0
    for job_id, file in suspects.items():
        row = conn.execute(
            "SELECT id, run_id, path, sidecar, attempt, tries, crashes, suspect, misses, objection"
            " FROM jobs"
            " WHERE id=? AND state='running' AND session_id<>? AND suspect=1",
            (job_id, session_id),
        ).fetchone()
        if row is not None:
            failed += charge_crash(conn, _job(row), now_ms, weight=Death.KILLED.weight, file=file)
    return failed


def page(
    conn: Connection, run_id: RunId, state: JobState | None, after_id: JobId, limit: int
) -> list[JobRow]:
    """Return a page of the run's jobs, by id, those in `state` only if it is given."""
    only = f" AND state='{state}'" if state else ""
    rows = conn.execute(
        "SELECT id, path, sidecar, state, error_code, error, note, tries, crashes, misses,"
        " error_text, finished_ms FROM jobs"
        f" WHERE run_id=? AND id>?{only} ORDER BY id LIMIT ?",
        (run_id, after_id, limit),
    )
    return [
        JobRow(id_, decode_path(path), decode_path(sidecar), JobState(at), *rest)
        for id_, path, sidecar, at, *rest in rows
    ]


def failure_groups(conn: Connection, run_id: RunId, limit: int = 100) -> list[tuple[str, str, int]]:
    """Return code, reason and number of the run's failures, the most frequent first."""
    rows = conn.execute(
        "SELECT error_code, error, count(*) AS n FROM jobs WHERE run_id=? AND state='failed'"
        " GROUP BY error_code, error ORDER BY n DESC, error_code, error LIMIT ?",
        (run_id, limit),
    )
    return [(code, reason, n) for code, reason, n in rows]


def failures_standing(conn: Connection) -> list[tuple[Place, str]]:
    """Return place and reason of every failure after which no text came there.

    A place that failed in several runs is there several times, the last failure last.
    """
    rows = conn.execute(
        "SELECT path, sidecar, error FROM jobs INDEXED BY jobs_failed WHERE state='failed'"
        " AND NOT EXISTS (SELECT 1 FROM captions WHERE captions.path=jobs.path"
        " AND captions.sidecar=jobs.sidecar AND captions.created_ms>=jobs.finished_ms) ORDER BY id"
    )
    return [(decode_place(path, sidecar), error) for path, sidecar, error in rows]


def _claim(
    conn: Connection, sql: str, run_id: RunId, limit: int, session_id: SessionId, now_ms: int
) -> list[Job]:
    rows = conn.execute(sql, (session_id, now_ms, run_id, limit)).fetchall()
    counts.move(conn, run_id, len(rows), JobState.PENDING, JobState.RUNNING)
    rows.sort()  # the order of RETURNING is arbitrary
    return [_job(row) for _, *row in rows]


def _job(row: Sequence[Any]) -> Job:
    id_, run, path, sidecar, attempt, tries, crashes, suspect, misses, objection = row
    return Job(
        JobId(id_),
        RunId(run),
        decode_path(path),
        decode_path(sidecar),
        attempt,
        tries,
        crashes,
        bool(suspect),
        misses,
        objection,
    )


def _asked(conn: Connection, run_id: RunId) -> str | None:
    """Return what the run asks of each image; None of a run that was cleared meanwhile."""
    row = conn.execute("SELECT spec FROM runs WHERE id=?", (run_id,)).fetchone()
    return None if row is None else RunSpec.model_validate_json(row[0]).asked()


def _held(conn: Connection, job_id: JobId, attempt: int) -> bool:
    """Whether this claim still stands."""
    row = conn.execute(
        "SELECT 1 FROM jobs WHERE id=? AND attempt=? AND state='running'", (job_id, attempt)
    )
    return row.fetchone() is not None


def _back(conn: Connection, run_id: RunId) -> tuple[JobState, int | None]:
    """Return the state that a claimed job of the run goes back to, and its finished_ms then."""
    cancelled = conn.execute(
        "SELECT finished_ms FROM runs WHERE id=? AND state='cancelled'", (run_id,)
    ).fetchone()
    return (JobState.PENDING, None) if cancelled is None else (JobState.CANCELLED, cancelled[0])


def _refuse_twin(conn: Connection, run_id: RunId) -> None:
    twin = conn.execute(
        "SELECT twin.id FROM runs JOIN runs AS twin USING (fingerprint)"
        " WHERE runs.id=? AND twin.id<>runs.id AND twin.state='active'",
        (run_id,),
    ).fetchone()
    if twin is not None:
        raise UsageError(
            f"Run {run_id} asks for the same as run {twin[0]}, which is unfinished.",
            hint=f"Retry run {twin[0]} instead.",
        )
