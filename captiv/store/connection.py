"""The job table as this process sees it: one connection that writes, a few that read.

Every write is one short ``BEGIN IMMEDIATE`` transaction: a plain BEGIN that reads and then writes
fails under load, however long it may wait. Functions that get a connection run inside a transaction
and never begin or end one. From async code they run on threads, are never abandoned half-way, and
are shielded: a commit that was begun is a commit that is known.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from anyio import CancelScope, CapacityLimiter, sleep

from captiv.errors import StoreError, StoreShort
from captiv.offload import offload
from captiv.store import migrate
from captiv.store.database import begin_checkpointing, connect, refuse_network_disk
from captiv.store.faults import translated

P = ParamSpec("P")
T = TypeVar("T")

_READERS = 4
_TIMES = 120
_PAUSE_S = 0.5


class Store:
    """An open job table. Close it, or use it as a context manager."""

    def __init__(self, path: Path, writer: sqlite3.Connection | None) -> None:
        """Use `Store.open`."""
        self.path = path
        self._writer = writer
        self._closed = False
        self._lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._watcher: sqlite3.Connection | None = None
        self._write_limiter = CapacityLimiter(1)
        self._read_limiter = CapacityLimiter(_READERS)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, holder: bool = False) -> Self:
        """Open the job table, making it or bringing it up to date first.

        Args:
            path: the database file.
            read_only: refuse `write`; no connection that could write is opened.
            holder: this process holds the lease, and so checkpoints.

        Raises:
            StoreError: it cannot be used; the class says why.
        """
        refuse_network_disk(path)
        migrate.ensure(path)
        store = cls(path, None if read_only else connect(path))
        if holder:
            store.become_holder()
        return store

    def become_holder(self) -> None:
        """Checkpoint from now on: this process holds the lease."""
        with self._lock, translated(self.path):
            begin_checkpointing(self._writing())

    def write(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return ``fn(connection, …)``, run in one transaction that commits unless it raises.

        Raises:
            StoreError: nothing of it was kept.
        """
        with self._lock, translated(self.path):
            conn = self._writing()
            conn.execute("BEGIN IMMEDIATE")
            try:
                result = fn(conn, *args, **kwargs)
                conn.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite has rolled back already, and a second ROLLBACK would fail.
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
            return result

    def read(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return ``fn(connection, …)``, which sees one state of the table and cannot write.

        Keep it short: the WAL grows as long as somebody reads.

        Raises:
            StoreError: it cannot be read.
        """
        with translated(self.path), self._reading() as conn:
            conn.execute("BEGIN")
            try:
                return fn(conn, *args, **kwargs)
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")

    async def awrite(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `write` on a thread; a cancellation waits until it is done."""
        return await _on_thread(partial(self.write, fn, *args, **kwargs), self._write_limiter)

    async def aread(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `read` on a thread; a cancellation waits until it is done."""
        return await _on_thread(partial(self.read, fn, *args, **kwargs), self._read_limiter)

    def data_version(self) -> int:
        """Return a number that changes with every commit, of this process or another."""
        with self._lock, translated(self.path):
            if self._watcher is None:
                self._check_open()
                self._watcher = connect(self.path, read_only=True)
            return _data_version(self._watcher)

    def foreign_version(self) -> int:
        """Return a number that changes with every commit of another process, and no other."""
        with self._lock, translated(self.path):
            return _data_version(self._writing())

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            with self._pool_lock:
                if self._closed:
                    return
                self._closed = True
            if self._writer is not None:
                self._writer.close()
            if self._watcher is not None:
                self._watcher.close()
            with self._pool_lock:
                while self._idle:
                    self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The job table {self.path} is closed.")

    def _writing(self) -> sqlite3.Connection:
        self._check_open()
        if self._writer is None:
            raise StoreError(f"The job table {self.path} was opened for reading only.")
        return self._writer

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a reading connection: sqlite3 allows each of them one thread at a time."""
        with self._pool_lock:
            self._check_open()
            conn = self._idle.pop() if self._idle else None
        if conn is None:
            conn = connect(self.path, read_only=True)
        try:
            yield conn
        finally:
            with self._pool_lock:
                if self._closed or len(self._idle) >= _READERS:
                    conn.close()
                else:
                    self._idle.append(conn)


async def _on_thread(call: Callable[[], T], limiter: CapacityLimiter) -> T:
    for _ in range(_TIMES):
        try:
            with CancelScope(shield=True):
                result = await offload(call, limiter=limiter)
        except StoreShort:
            await sleep(_PAUSE_S)  # files are closed as images are prepared and sidecars written
        else:
            return result
    with CancelScope(shield=True):
        result = await offload(call, limiter=limiter)
    return result  # noqa: RET504  (inside the block, mypy takes the scope to swallow errors)


def _data_version(conn: sqlite3.Connection) -> int:
    (version,) = conn.execute("PRAGMA data_version").fetchone()
    return int(version)
