"""What SQLite's errors mean to a person. Nothing above the store names sqlite3."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from captiv.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreShort
from captiv.shortage import largest_file_bytes, no_inode

_MOVE = "set CAPTIV_HOME to a folder on a local disk that can be written"

_GROWS_BYTES = 64 * 1024
"""At most so much is written at once."""

_FULL_BELOW_BYTES = 64 * 1024
"""An I/O error with less free space than this is a full disk: shared memory alone needs 32 KB."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the SQLite errors of the block, about the database `path`, into captiv's.

    Raises:
        StoreError: one of its classes, by the error's code.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error, path) from error


def damaged(path: Path, reason: str) -> StoreDamaged:
    """Return the error for a file that is no usable database."""
    return StoreDamaged(
        f"The job table {path} cannot be read: {reason}.",
        hint="Move that file away and run the command again. Captions in sidecars are safe.",
    )


def _meaning(error: sqlite3.Error, path: Path) -> StoreError:
    # The low byte is the primary code; the rest says where: https://sqlite.org/rescode.html
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        if _out_of_files():
            return StoreShort(f"The job table {path} cannot be opened: too many files are open.")
        if _at_its_largest(path):
            return StoreFull(
                f"The job table {path} cannot grow: no file may be larger (ulimit -f).",
                hint="Raise that limit, and run the command again.",
            )
        if _disk_is_full(path.parent):
            return _full(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(
            f"Another process has held the job table {path} for too long.",
            hint="Try again; if it stays so, look for a captiv that hangs.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreError(
            f"The job table {path} cannot be written: {error}.",
            hint=f"Give yourself write access to it and its folder, or {_MOVE}.",
        )
    return StoreError(f"The job table {path} failed: {error}.")


def _full(path: Path) -> StoreFull:
    if no_inode(str(path.parent)):
        return StoreFull(
            f"The disk that holds the job table {path} has no inode left for another file.",
            hint="Remove files that nobody needs there, or move captiv's data with CAPTIV_HOME.",
        )
    return StoreFull(f"No space left on the disk that holds the job table {path}.")


def _out_of_files() -> bool:
    """Whether this process can open no file at all."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _at_its_largest(path: Path) -> bool:
    """Whether one of the table's files is as large as any may be, but for a page or two."""
    largest = largest_file_bytes()
    if largest is None:
        return False
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            if name.stat().st_size + _GROWS_BYTES > largest:
                return True
    return False


def _disk_is_full(folder: Path) -> bool:
    """Whether the disk has no space or no inode left."""
    try:
        if shutil.disk_usage(folder).free < _FULL_BELOW_BYTES:
            return True
    except OSError:
        return False
    return no_inode(str(folder))
