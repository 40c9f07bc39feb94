"""Who dispatches: the lease, a file lock that the kernel frees when its holder dies; and sessions.

A session is one process at work on the queue. Its row stamps claims and says who holds the lease;
it is no lease itself: nobody has to guess from a time or a process id whether it is alive.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Literal, Self

from filelock import FileLock, Timeout

from captiv.core.jobs import SessionId
from captiv.errors import StoreError

SessionKind = Literal["dispatcher", "follower"]


class Lease:
    """The right to claim, finish and checkpoint; at most one process has it. Children do not."""

    def __init__(self, path: Path) -> None:
        """Name the lock file; nothing is locked yet."""
        self.path = path
        # A soft lock would outlive its holder: without flock there is no lease.
        self._lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._lock.is_locked

    def acquire(self) -> bool:
        """Take the lease if it is free, without waiting; return whether this process has it now.

        Raises:
            StoreError: the file cannot be locked at all.
        """
        if self.held:
            return True
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise StoreError(
                f"The lock file {self.path} cannot be locked: {error}.",
                hint="Set CAPTIV_HOME to a folder on a local disk that can be written.",
            ) from error
        return True

    def release(self) -> None:
        """Give it back, if this process has it."""
        self._lock.release(force=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_free(path: Path) -> bool:
    """Whether nobody dispatches just now; False also where the file cannot be locked."""
    with suppress(StoreError), Lease(path) as lease:
        return lease.acquire()
    return False


@dataclass(frozen=True, slots=True)
class Session:
    """One process at work on the queue."""

    id: SessionId
    pid: int
    host: str
    kind: SessionKind
    started_ms: int
    seen_ms: int


def begin_session(
    conn: Connection, pid: int, host: str, kind: SessionKind, now_ms: int
) -> SessionId:
    """Record that this process is at work."""
    cursor = conn.execute(
        "INSERT INTO sessions (pid, host, kind, started_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
        (pid, host, kind, now_ms),
    )
    assert cursor.lastrowid is not None
    return SessionId(cursor.lastrowid)


def beat(conn: Connection, session_id: SessionId, now_ms: int) -> None:
    """Record that it still is."""
    conn.execute("UPDATE sessions SET seen_ms=? WHERE id=?", (now_ms, session_id))


def become_dispatcher(conn: Connection, session_id: SessionId, now_ms: int) -> None:
    """Record that a follower has taken the lease over."""
    conn.execute(
        "UPDATE sessions SET kind='dispatcher', seen_ms=? WHERE id=?", (now_ms, session_id)
    )


def end_session(conn: Connection, session_id: SessionId, now_ms: int) -> None:
    """Record that it is no longer at work, and wants no run any more."""
    conn.execute(
        "UPDATE sessions SET seen_ms=?1, ended_ms=?1 WHERE id=?2 AND ended_ms IS NULL",
        (now_ms, session_id),
    )
    conn.execute("UPDATE runs SET wanted_by=NULL, wanted_ms=NULL WHERE wanted_by=?", (session_id,))


def dispatcher(conn: Connection) -> Session | None:
    """Return the last session that dispatched, unless it ended. Only the lease says it lives."""
    row = conn.execute(
        "SELECT id, pid, host, kind, started_ms, seen_ms, ended_ms FROM sessions"
        " WHERE kind='dispatcher' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    if row is None or row[6] is not None:
        return None
    return Session(*row[:6])
