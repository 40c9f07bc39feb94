"""Who holds a run: the command that asked for it and dispatches, and the exit code it ends with.

Only that command knows why a run ended, and whether a pod may still bill: its code is kept, so that
whoever watches the run ends with the same one. A command that was killed leaves none; nor does one
whose run another command served.
"""

from sqlite3 import Connection

from captiv.core.jobs import RunId, SessionId


def forget(conn: Connection, run_id: RunId) -> None:
    """Forget how the last command on this run ended: another one has begun, or set it aside."""
    conn.execute("UPDATE runs SET exit_code=NULL WHERE id=?", (run_id,))


def hold(conn: Connection, run_id: RunId, session_id: SessionId) -> None:
    """Record that the command of this session, whose run it is, dispatches."""
    conn.execute("UPDATE runs SET held_by=?, exit_code=NULL WHERE id=?", (session_id, run_id))


def leave(conn: Connection, run_id: RunId, session_id: SessionId, code: int) -> None:
    """Record the exit code of the command that holds the run; of any other one nothing."""
    conn.execute("UPDATE runs SET exit_code=? WHERE id=? AND held_by=?", (code, run_id, session_id))


def exit_code(conn: Connection, run_id: RunId) -> int | None:
    """Return the code with which the holder of the run ended; None if that is not known."""
    row = conn.execute("SELECT exit_code FROM runs WHERE id=?", (run_id,)).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def is_held(conn: Connection, run_id: RunId, since_ms: int, *, leaderless: bool) -> bool:
    """Whether the holder of the run has not ended, and was heard since then.

    `leaderless` as for `runs.heard`: then it is dead.
    """
    row = conn.execute(
        "SELECT 1 FROM runs JOIN sessions ON sessions.id=held_by"
        " WHERE runs.id=? AND ended_ms IS NULL AND seen_ms>=?",
        (run_id, since_ms),
    ).fetchone()
    return row is not None and not leaderless
