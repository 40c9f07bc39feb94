"""Reading and writing sidecars: a sidecar is the whole caption or is not there.

`captiv.output.atomic` says how, and what is guaranteed on which disk. The text is written as UTF-8
exactly as given, with no newline added. A new sidecar gets the permissions that the umask gives,
so that a trainer of another user can read it; a replaced one keeps its own. A link that is replaced
becomes a file: what it points to, elsewhere, is never written to.

Everything here blocks and belongs on a thread, with one hop for a batch (`write_many`). aiofiles
hops for every call on every file: 200 captions took 1.5 times as long and twice the CPU.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from captiv.errors import SidecarError
from captiv.output import atomic
from captiv.shortage import no_inode, shortage

_REASONS: Final[dict[int, tuple[str, str]]] = {
    errno.ENOSPC: ("the disk is full", "Free some space there"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space there, or raise the quota"),
    errno.EROFS: ("the disk is read-only", "Mount it for writing"),
    errno.EACCES: ("this user may not write there", "Allow this user to read and write there"),
    errno.EPERM: ("this user may not write there", "Allow this user to read and write there"),
    errno.ENAMETOOLONG: ("its name is too long", "Give the image a shorter name"),
    errno.ENOENT: ("its folder is gone", "Put the folder back"),
    errno.ENOTDIR: ("its folder is gone", "Put the folder back"),
    errno.EISDIR: ("a folder has that name", "Move that folder away"),
    errno.EEXIST: ("something that is no file has that name", "Move it away"),
    errno.EIO: ("the disk failed", "Check the disk"),
    errno.EFBIG: ("no file may be so large (ulimit -f)", "Raise that limit"),
}
"""By the system's error: what is wrong, and what to do about it."""

_NO_INODE: Final = (
    "the disk has space, and no inode left for another file",
    "Remove files that nobody needs there",
)

_AND_THEN: Final = {
    "read": "then run the command again",
    "write": "then run `captiv queue retry`: until then captiv keeps the caption",
    "write in": "then run the command again",
    "remove": "then run the command again",
}


class Written(StrEnum):
    """What became of a caption that was to be written."""

    WRITTEN = "written"
    KEPT = "kept"
    """Another text is there, and was not to be replaced."""
    SAME = "same"
    """Exactly this text is there already: captiv wrote it before it died."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A text and where it goes; `replace` tells whether another text there may be overwritten."""

    path: str
    text: str
    replace: bool = False


def read(path: str | Path) -> str | None:
    """Return the text of a sidecar, or None if there is none.

    UTF-8, with or without a byte order mark; else UTF-16 if its mark says so; else what Windows
    wrote before UTF-8 (cp1252), so that a person's text is never lost to an error.

    Raises: SidecarError.
    """
    with _explained(os.fspath(path), "read"):
        held = _held(os.fspath(path))
        return None if held is None else _decoded(held[0])


def write(path: str | Path, text: str, *, replace: bool) -> Written:
    """Put `text` into the sidecar `path` in one step, its bytes forced to the disk.

    The name survives a power cut once `sync_folder` was called. With `replace` False a file that
    is there stays as it is, even if it came while this one was being written.

    Raises: SidecarError.
    """
    path = os.fspath(path)
    with _explained(path, "write"):
        data = text.encode()
        held = _held(path)
        if held is not None and (held[0] == data or not replace):
            return _there_already(held[0], data)
        try:
            atomic.put(path, data, replace=replace, mode=None if held is None else held[1])
        except FileExistsError:
            held = _held(path)
            if held is None:
                raise  # a link to nothing
            return _there_already(held[0], data)
        return Written.WRITTEN


def write_many(sidecars: Iterable[Sidecar]) -> list[Written | SidecarError]:
    """Write each sidecar, then force the names in each folder to the disk: one result for each.

    One that fails stops no other. Where a folder cannot be forced to the disk, its sidecars fail:
    written again, they are the same.
    """
    items = list(sidecars)
    results = [_tried(item) for item in items]
    unsafe: dict[str, SidecarError | None] = {}
    for at, item in enumerate(items):
        if results[at] not in (Written.WRITTEN, Written.SAME):
            continue
        folder = os.path.dirname(item.path)
        if folder not in unsafe:
            unsafe[folder] = _unsynced(folder)
        results[at] = unsafe[folder] or results[at]
    return results


def remove(path: str | Path) -> bool:
    """Remove a sidecar; return whether it was there. `sync_folder` makes it last.

    Raises: SidecarError.
    """
    with _explained(os.fspath(path), "remove"):
        try:
            os.unlink(path)  # noqa: PTH108 - paths are strings here
        except FileNotFoundError:
            return False
        return True


def sync_folder(path: str | Path) -> None:
    """Force the names in a folder to the disk; nothing to do where the system does not know how.

    Raises: SidecarError.
    """
    with _explained(os.fspath(path), "write in"):
        atomic.sync(os.fspath(path))


def probe_folder(path: str | Path) -> None:
    """Try that a sidecar can be made in this folder, before anything is paid for.

    Raises: SidecarError.
    """
    with _explained(os.fspath(path), "write in"):
        atomic.probe(os.fspath(path))


def _tried(item: Sidecar) -> Written | SidecarError:
    try:
        return write(item.path, item.text, replace=item.replace)
    except SidecarError as error:
        return error


def _unsynced(folder: str) -> SidecarError | None:
    try:
        sync_folder(folder)
    except SidecarError as error:
        return error
    return None


def _there_already(held: bytes, data: bytes) -> Written:
    return Written.SAME if held == data else Written.KEPT


def _held(path: str) -> tuple[bytes, int] | None:
    """Return the bytes and the permissions of the file `path`, or None if there is none."""
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb", buffering=0) as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EEXIST
            raise OSError(code, os.strerror(code), path)
        return file.read(), stat.S_IMODE(mode)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


@contextmanager
def _explained(path: str, doing: str) -> Iterator[None]:
    """Turn the system's errors into a SidecarError that says what is wrong and what to do."""
    shown = path if path.isprintable() else ascii(path)
    try:
        yield
    except UnicodeEncodeError as error:
        raise SidecarError(f"cannot {doing} {shown}: {error.reason}") from error
    except OSError as error:
        unknown = (error.strerror or str(error), "See to that")
        reason, remedy = _REASONS.get(error.errno or 0, unknown)
        if error.errno == errno.ENOSPC and no_inode(os.path.dirname(path) or "."):
            reason, remedy = _NO_INODE
        told = SidecarError(
            f"cannot {doing} {shown}: {reason}", hint=f"{remedy}, {_AND_THEN[doing]}."
        )
        told.passing = shortage(error) is not None
        raise told from error
    except ValueError as error:
        raise SidecarError(f"cannot {doing} {shown}: {error}") from error
