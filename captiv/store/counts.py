"""The counters of a run's row. Whoever moves jobs moves them here, in the same transaction."""

from sqlite3 import Connection

from captiv.core.jobs import JobState, RunId


def move(conn: Connection, run_id: RunId, n: int, source: JobState, target: JobState) -> None:
    """Count `n` jobs of the run out of `source` and into `target`."""
    if n:
        conn.execute(
            f"UPDATE runs SET {source}={source}-?1, {target}={target}+?1 WHERE id=?2", (n, run_id)
        )


def add(conn: Connection, run_id: RunId, n: int, target: JobState) -> None:
    """Count `n` new jobs of the run in `target`."""
    if n:
        conn.execute(f"UPDATE runs SET {target}={target}+? WHERE id=?", (n, run_id))


def takes_more(conn: Connection, run_id: RunId) -> bool:
    """Whether the run is neither finished nor cancelled."""
    row = conn.execute("SELECT 1 FROM runs WHERE id=? AND state='active'", (run_id,))
    return row.fetchone() is not None


def promised(conn: Connection, run_id: RunId) -> int:
    """Return how many captions the run has made or will make, if no more images of it fail."""
    (n,) = conn.execute(
        "SELECT pending + running + captioned + done - kept FROM runs WHERE id=?", (run_id,)
    ).fetchone()
    return int(n)


def add_kept(conn: Connection, run_id: RunId, n: int) -> None:
    """Count `n` more done jobs of the run as kept."""
    if n:
        conn.execute("UPDATE runs SET kept=kept+? WHERE id=?", (n, run_id))


def add_misses(conn: Connection, run_id: RunId, n: int) -> None:
    """Count `n` more answers of the run that were no caption."""
    if n:
        conn.execute("UPDATE runs SET misses=misses+? WHERE id=?", (n, run_id))


def cancel(conn: Connection, run_id: RunId, n: int, now_ms: int) -> None:
    """End the run as cancelled, its last `n` pending jobs with it."""
    conn.execute(
        "UPDATE runs SET state='cancelled', finished_ms=?1, pending=pending-?2,"
        " cancelled=cancelled+?2 WHERE id=?3",
        (now_ms, n, run_id),
    )


def reopen(conn: Connection, run_id: RunId, failed: int, cancelled: int) -> None:
    """Count ended jobs as pending again; the run is active if it has anything open then."""
    conn.execute(
        "UPDATE runs SET failed=failed-?1, cancelled=cancelled-?2, pending=pending+?1+?2,"
        " state=iif(pending+?1+?2+running+captioned>0, 'active', state),"
        " finished_ms=iif(pending+?1+?2+running+captioned>0, NULL, finished_ms) WHERE id=?3",
        (failed, cancelled, run_id),
    )
