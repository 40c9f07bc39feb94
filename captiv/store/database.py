"""How a connection to the job table is made: every pragma, and where a database may not lie.

WAL needs memory shared between processes, so a local disk and one host. No mmap_size: SQLite before
3.51.3 has a race of two checkpoints that mapped pages make worse. For the same reason only the
holder of the lease checkpoints. No ANALYZE and no PRAGMA optimize: statistics taken while a table
is nearly empty make the planner scan it when it has grown; without any, plans are as tested.
"""

import os
import sqlite3
from pathlib import Path

from captiv.errors import StoreError
from captiv.store.faults import translated

BUSY_TIMEOUT_MS = 15_000
"""Cancelling a million jobs, the longest transaction there is, takes 5 to 10 s."""
CHECKPOINT_PAGES = 1000

_EVERY = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA synchronous=FULL",  # NORMAL may lose acknowledged, paid captions at a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA wal_autocheckpoint=0",
)
_WRITER = ("PRAGMA cache_size=-65536",)
_READER = ("PRAGMA cache_size=-8192", "PRAGMA query_only=ON")

_NETWORK = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs"}
    | {"lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


def connect(path: Path, *, read_only: bool = False, create: bool = False) -> sqlite3.Connection:
    """Open the database with captiv's pragmas; no transaction is begun but by captiv's own BEGIN.

    The connection may be used from any thread, by one at a time.

    Raises:
        StoreError: it cannot be opened.
    """
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    with translated(path):
        if create:
            path.touch(mode=0o600)
        conn = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_MS / 1000,
        )
        try:
            for pragma in (*_EVERY, *(_READER if read_only else _WRITER)):
                conn.execute(pragma)
            if not read_only:
                _use_wal(conn, path)
        except BaseException:
            conn.close()
            raise
    return conn


def begin_checkpointing(conn: sqlite3.Connection) -> None:
    """Let this connection move the WAL into the database, as only the holder of the lease may."""
    conn.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")


def refuse_network_disk(path: Path) -> None:
    """Refuse a database on a file system that other machines share.

    Raises:
        StoreError: it lies on one, as far as /proc/mounts tells.
    """
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = disk_kind(path, mounts)
    if kind in _NETWORK:
        raise StoreError(
            f"The job table cannot be in {path.parent}: this is a network disk ({kind}), and its "
            "locks are not safe there.",
            hint="Set CAPTIV_HOME to a folder on a local disk; the images may stay where they are.",
        )


def disk_kind(path: Path, mounts: str) -> str | None:
    """Return the type of the file system that holds `path`, by the text of /proc/mounts."""
    real = Path(os.path.realpath(path))
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1]))
        depth = len(point.parts)
        if real.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, fields[2]
    return found[1] if found else None


def _unescaped(field: str) -> str:
    """Undo the octal escapes of /proc/mounts."""
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, char)
    return field


def _use_wal(conn: sqlite3.Connection, path: Path) -> None:
    (mode,) = conn.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreError(
            f"The job table {path} cannot be shared between processes on this disk: its journal is"
            f" {mode} instead of wal.",
            hint="Set CAPTIV_HOME to a folder on a local disk.",
        )
