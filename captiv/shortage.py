"""What this machine is short of, in words; and the limit of open files, raised at the start.

A file that cannot be opened because too many are open, a read that a disk answers with EIO, a
thread that cannot be started: none of it says anything of the image. `shortage` tells such errors
from all others.
"""

import errno
import os
import sys
from typing import Final

from captiv.errors import MachineShort

if sys.platform != "win32":
    import resource

MOST_FILES: Final = 65_536
"""More open files than any run needs; some systems allow a thousand million."""
_OTHER_FILES: Final = 64
"""What else is open: the job table, images in preparation, sidecars, logs, Python's own."""
_FEW_INODES: Final = 16
"""What failed has given back by now what it had taken: a temporary, and a few beside it."""
_FEW_BLOCKS: Final = 16

_FILES: Final = "Raise the limit of open files (`ulimit -n`), and run the command again."
_DISK: Final = "Check the disk and its connection, and run the command again."

_SHARED: Final[dict[str, tuple[str, str]]] = {
    "EMFILE": ("this process may not open more files", _FILES),
    "ENFILE": ("no process may open more files", _FILES),
    "EAGAIN": (
        "no more threads or processes may be started",
        "End other programs, or raise `ulimit -u`, and run the command again.",
    ),
    "ENOLCK": ("no more files may be locked", _DISK),
}
"""By the system's error: what is short for every image, and what to do about it."""

_OWN: Final[dict[str, tuple[str, str]]] = {
    "ENOMEM": (
        "the memory is used up",
        "End other programs, or give captiv more memory, and run the command again.",
    ),
    "EIO": ("the disk fails to read or write", _DISK),
    "ESTALE": ("the network disk has lost the file (a stale handle)", _DISK),
    "EREMOTEIO": ("the network disk fails", _DISK),
    "ETIMEDOUT": ("the disk does not answer", _DISK),
    "EHOSTDOWN": ("the network disk is not there", _DISK),
    "EHOSTUNREACH": ("the network disk cannot be reached", _DISK),
    "ENOTCONN": ("the disk is not connected", _DISK),
    "ENODEV": ("the disk is gone", _DISK),
    "ENXIO": ("the disk is gone", _DISK),
}
"""The same of what may be short for one file alone: a picture too large, a bad sector."""


def shortage(error: BaseException) -> MachineShort | None:
    """Return what this machine is short of, if that is why; None if the error is of its subject."""
    name = _name(error)
    words = _SHARED.get(name) or _OWN.get(name)
    if words is None:
        return None
    reason, hint = words
    return MachineShort(reason, hint=hint, own=name in _OWN)


def no_thread(error: BaseException) -> bool:
    """Whether this is what Python raises when no thread can be started."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def no_inode(folder: str) -> bool:
    """Whether a disk that has no space for another file lacks inodes, not blocks."""
    if not hasattr(os, "statvfs"):
        return False
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    return state.f_files > 0 and state.f_favail < _FEW_INODES and state.f_bavail > _FEW_BLOCKS


def largest_file_bytes() -> int | None:
    """Return how large this process may make a file (`ulimit -f`); None if there is no limit."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS refuses more than its kernel has
            return


def connections(most: int) -> int:
    """Return how many connections to a worker the limit of open files leaves room for."""
    if sys.platform == "win32":
        return most
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    return min(most, max(4, (soft - _OTHER_FILES) // 2))


def _name(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "ENOMEM"
    if no_thread(error):
        return "EAGAIN"
    return errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
