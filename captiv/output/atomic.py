"""Files that appear whole under their name, or not at all.

The bytes go into a temporary file in the same folder, are forced to the disk, and get their name in
one step of the file system. A process killed anywhere leaves the old file, none, or the new one,
and at worst a `.captiv-…` temporary, which scans pass over and the next write in that folder
removes. Its writer holds a lock on it, so a leftover is one that nobody locks, whatever its age,
and whichever process or container made it.

A file that may not replace anything is named by a step that fails where the name is taken:

- a hard link (almost every disk of Linux and macOS), or a rename that refuses to replace (Linux's
  `renameat2` on disks without links, such as FAT; every rename on Windows): of two writers, in
  whatever processes, exactly one wins;
- where a disk knows neither (exFAT under macOS, some network shares) a look, then a rename. The
  file is still whole or not there, and one process does not race itself; but what another program
  makes under that name in the microseconds between is replaced.

Errors are those of the system, `OSError`; `captiv.output.sidecar` explains them.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.
# ruff: noqa: PTH104, PTH108, PTH118

import ctypes
import errno
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from captiv.clock import now_s

if sys.platform != "win32":
    import fcntl

TEMPORARY_NAME: Final = re.compile(r"\.captiv-[0-9a-f]{16}")

ABANDONED_AFTER_S: Final = 24 * 3600
"""Age at which a temporary is a leftover where a disk or system knows no locks."""

_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)
_NO_SYNC: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
)
_NO_FLAGS: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})

_swept: set[str] = set()
_sweeping = threading.Lock()
_looking = threading.Lock()


class Temporary:
    """A file whose bytes are forced to the disk, and which has no name of its own yet.

    Its writing is what takes long; `name` is one step in a folder. Close it, named or not.
    """

    def __init__(self, folder: str, data: bytes, mode: int | None = None) -> None:
        """Write `data`; its permissions are `mode`, or what the umask gives. Raises: OSError."""
        _sweep_once(folder)
        self._descriptor, self._path = _created(folder)
        try:
            if mode is not None and sys.platform != "win32":
                os.fchmod(self._descriptor, mode)
            _fill(self._descriptor, data)
        except BaseException:
            self.close()
            raise

    def name(self, path: str, *, replace: bool) -> None:
        """Give it the name `path`, in the same folder, in one step.

        Raises: FileExistsError if the name is taken and `replace` is False; OSError.
        """
        if sys.platform == "win32":  # which renames no open file
            self._shut()
        (os.replace if replace else name_new)(self._path, path)

    def close(self) -> None:
        """Let go of it; without a name it is gone."""
        self._shut()
        _unlink(self._path)

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def probe(folder: str) -> None:
    """Try that a file can be made, filled and removed in this folder. Raises: OSError."""
    descriptor, temporary = _created(folder)
    try:
        try:
            _fill(descriptor, b"\n")
        finally:
            os.close(descriptor)
    finally:
        _unlink(temporary)


def make_folder(folder: str) -> None:
    """Make a folder and those above it that are missing, their names forced to the disk.

    Raises: OSError.
    """
    if os.path.isdir(folder):  # noqa: PTH112
        return
    above = os.path.dirname(folder)
    if above != folder:
        make_folder(above)
    try:
        os.mkdir(folder)  # noqa: PTH102
    except FileExistsError:
        if not os.path.isdir(folder):  # noqa: PTH112
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None
    sync(above)


def sync(folder: str) -> None:
    """Force the names in this folder to the disk, where the system knows how. Raises: OSError."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder or ".", _flags(os.O_RDONLY, "O_DIRECTORY", "O_CLOEXEC"))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def name_new(temporary: str, path: str) -> None:
    """Give a file its name unless that is taken. Raises: FileExistsError, OSError."""
    if sys.platform == "win32":
        os.rename(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not rename_refusing(temporary, path):
            rename_looking(temporary, path)


def rename_refusing(temporary: str, path: str) -> bool:
    """Rename unless the name is taken, in one step; False if the system or disk cannot.

    Raises: FileExistsError, OSError.
    """
    rename = _renameat2()
    if rename is None:
        return False
    if rename(-100, os.fsencode(temporary), -100, os.fsencode(path), 1) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_FLAGS:
        return False
    raise OSError(code, os.strerror(code), path)


def rename_looking(temporary: str, path: str) -> None:
    """Rename if a look says that the name is free. Raises: FileExistsError, OSError."""
    with _looking:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        os.rename(temporary, path)


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """Return Linux's rename with flags, if there is one: AT_FDCWD is -100, RENAME_NOREPLACE 1."""
    if sys.platform != "linux":
        return None
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        rename.argtypes = (
            *(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint),
        )
    return rename


def _created(folder: str) -> tuple[int, str]:
    """Make and lock an empty temporary; return its descriptor and path."""
    flags = _flags(os.O_RDWR | os.O_CREAT | os.O_EXCL, "O_CLOEXEC", "O_NOFOLLOW", "O_BINARY")
    tries = 0
    while True:
        tries += 1
        path = os.path.join(folder, f".captiv-{secrets.token_hex(8)}")
        descriptor = os.open(path, flags, 0o666)
        with suppress(OSError):
            _lock(descriptor, wait=True)
        if os.fstat(descriptor).st_nlink > 0 or tries == 3:
            return descriptor, path
        os.close(descriptor)  # another process took it for a leftover before the lock was held


def _fill(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _unlink(temporary: str) -> None:
    with suppress(OSError):
        os.unlink(temporary)


def _sweep_once(folder: str) -> None:
    """Remove what killed writers left in this folder, once in the life of this process."""
    with _sweeping:
        if folder in _swept:
            return
        _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    descriptor = os.open(path, _flags(os.O_RDWR, "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))
    try:
        _lock(descriptor, wait=False)
        os.unlink(path)  # while it is locked, so that a writer just before its lock notices
        return
    except BlockingIOError:
        return  # its writer lives
    except OSError:
        old = now_s() - os.fstat(descriptor).st_mtime > ABANDONED_AFTER_S
    finally:
        os.close(descriptor)
    if old:
        os.unlink(path)


def _lock(descriptor: int, *, wait: bool) -> None:
    """Lock a file until it is closed. Raises: BlockingIOError; OSError where there are no locks."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _flags(flags: int, *names: str) -> int:
    """Add to `flags` those of `names` that this system has."""
    for name in names:
        flags |= getattr(os, name, 0)
    return flags
