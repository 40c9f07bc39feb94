"""Reading and writing sidecars: a sidecar is the whole caption or is not there.

`captiv.output.atomic` says how, and what is guaranteed on which disk. The text is written as UTF-8
exactly as given, with no newline added. A new sidecar gets the permissions that the umask gives,
so that a trainer of another user can read it; a replaced one keeps its own. A link that is replaced
becomes a file: what it points to, elsewhere, is never written to.

A path names a sidecar however its name is spelt on the disk (`captiv.core.naming.spellings`): one
that is there is read, replaced and removed under its own name. A file with nothing in it is no
caption.

Everything here blocks and belongs on a thread, with one hop for a batch (`write_many`). aiofiles
hops for every call on every file: 200 captions took 1.5 times as long and twice the CPU.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.

import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from captiv.core.naming import spellings
from captiv.core.texts import Content, content_of, is_blank
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
    errno.ENOTDIR: ("there is a file where a folder should be", "Put the folder back"),
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


_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)


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


@dataclass(frozen=True, slots=True)
class Swap:
    """The bytes that a sidecar holds, and those that it shall hold; None is no caption."""

    path: str
    old: bytes | None
    new: bytes | None


class _Held(NamedTuple):
    """A file that is there: where, what is in it, and its permissions."""

    path: str
    data: bytes
    mode: int


CHANGED: Final = SidecarError("its caption was changed meanwhile")
"""What becomes of a swap whose sidecar holds something else by now: it stays."""

_AT_ONCE: Final = 64
"""Temporaries that are open together."""
_SYNCS: Final = 8
"""Syncs under way at once: a journal writes those that wait together in one go."""

_swapping = threading.Lock()
"""Held while a sidecar is compared and gets its new content: never over a sync."""

_HEAD_BYTES: Final = 256
_WRITTEN: Final = re.compile(rb"[!-~]")


def look(path: str | Path) -> Content | None:
    """Return the caption in a sidecar, or None if there is none: no file, or a blank one.

    Raises: SidecarError.
    """
    with _explained(os.fspath(path), "read"):
        held = _held(os.fspath(path))
        return None if held is None else _caption(held.data)


def read(path: str | Path) -> str | None:
    """Return the text of a sidecar as `look` does, or None if there is no caption.

    Raises: SidecarError.
    """
    content = look(path)
    return None if content is None else content.text


def has_text(path: str | Path) -> bool:
    """Whether a sidecar is there and holds a caption, as far as it can be read."""
    try:
        held = _held(os.fspath(path), _HEAD_BYTES)
        if held is None or not held.data:
            return False
        # Nearly every caption has a letter at its beginning; the others are read to their end.
        return _WRITTEN.search(held.data) is not None or look(path) is not None
    except (OSError, SidecarError):
        return False


def actual(path: str) -> str:
    """Return the path of a sidecar as its name is spelt on the disk; `path` if it is not there."""
    return next(filter(os.path.lexists, spellings(path)), path)


def write(path: str | Path, text: str, *, replace: bool) -> Written:
    """Put `text` into the sidecar `path` in one step, its bytes forced to the disk.

    The name survives a power cut once `sync_folder` was called. With `replace` False a caption that
    is there stays as it is, even if it came while this one was being written.

    Raises: SidecarError.
    """
    path = os.fspath(path)
    with _explained(path, "write"):
        data = text.encode()
        held = _held(path)
        if held is not None and not _gives_way(held, data, replace=replace):
            return _there_already(held.data, data)
        temporary = _temporary(path, data, held)
        try:
            now = _held(path)
            if now is not None and not _gives_way(now, data, replace=replace):
                return _there_already(now.data, data)
            temporary.name(path if now is None else now.path, replace=replace or now is not None)
        except FileExistsError:
            held = _held(path)
            if held is None:
                raise  # a link to nothing
            return _there_already(held.data, data)
        finally:
            temporary.close()
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


def swap_many(swaps: Iterable[Swap]) -> list[SidecarError | None]:
    """Give each sidecar its new content if it holds the old one; return what went wrong, for each.

    All of it is on the disk when this returns: the texts are forced there several at a time, then
    the names, folder by folder. One that fails stops no other. Where a folder cannot be forced to
    the disk its sidecars have their new content all the same: their errors are `taken`.
    """
    items, results = list(swaps), list[SidecarError | None]()
    todo = iter(items)
    with ThreadPoolExecutor(_SYNCS) as threads:
        while group := list(islice(todo, _AT_ONCE)):
            results += _swapped(group, threads)
    return _made_safe([item.path for item in items], results)


def swap(path: str, old: bytes | None, new: bytes | None) -> None:
    """Give one sidecar its new content, if it holds the old one.

    Raises: SidecarError; it is `CHANGED` if something else is there; `taken` as for `swap_many`.
    """
    (result,) = swap_many([Swap(path, old, new)])
    if result is not None:
        raise result


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


def make_folder(path: str, *, within: str | None = None) -> None:
    """Make a folder for sidecars and those above it, but none above `within`.

    Where that is gone, its disk may be: nothing is made in its place.

    Raises: SidecarError.
    """
    with _explained(path, "write in"):
        if within is not None:
            os.stat(within)
        atomic.make_folder(path)


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


def _gives_way(held: _Held, data: bytes, *, replace: bool) -> bool:
    return held.data != data and (replace or _caption(held.data) is None)


def _temporary(path: str, data: bytes, held: _Held | None) -> atomic.Temporary:
    """Write what is to replace a sidecar, or to be one, beside it."""
    folder = os.path.dirname(path) or "."
    return atomic.Temporary(folder, data, None if held is None else held.mode)


def _swapped(group: Sequence[Swap], threads: ThreadPoolExecutor) -> list[SidecarError | None]:
    ready = list(threads.map(_ready, group))
    try:
        with _swapping:
            return [
                each if isinstance(each, SidecarError) else _named(item, each)
                for item, each in zip(group, ready, strict=True)
            ]
    finally:
        for each in ready:
            if isinstance(each, atomic.Temporary):
                each.close()


def _ready(item: Swap) -> atomic.Temporary | SidecarError | None:
    """Write what takes a sidecar's place; None where nothing does."""
    try:
        with _explained(item.path, "write" if item.new is not None else "remove"):
            held = _held(item.path)
            if _data(held) != item.old:
                return CHANGED
            return None if item.new is None else _temporary(item.path, item.new, held)
    except SidecarError as error:
        return error


def _named(item: Swap, temporary: atomic.Temporary | None) -> SidecarError | None:
    """Take the step from one content to the other, if the sidecar still holds the first."""
    try:
        with _explained(item.path, "write" if temporary is not None else "remove"):
            held = _held(item.path)
            if _data(held) != item.old:
                return CHANGED
            path = item.path if held is None else held.path
            if temporary is not None:
                temporary.name(path, replace=True)
            elif item.old is not None:
                os.unlink(path)  # noqa: PTH108 - paths are strings here
    except SidecarError as error:
        return error
    return None


def _made_safe(
    paths: Sequence[str], results: list[SidecarError | None]
) -> list[SidecarError | None]:
    """Force the names in each folder to the disk; where that fails, say so of its sidecars."""
    folders = {os.path.dirname(p) for p, r in zip(paths, results, strict=True) if r is None}
    unsafe = {folder: _unsafe(folder) for folder in folders}
    return [
        result or unsafe[os.path.dirname(path)] for path, result in zip(paths, results, strict=True)
    ]


def _unsafe(folder: str) -> SidecarError | None:
    error = _unsynced(folder)
    if error is None:
        return None
    told = SidecarError(f"its caption is changed, but not yet safe on the disk: {error.message}")
    told.taken = True
    return told


def _data(held: _Held | None) -> bytes | None:
    """Return the bytes of a caption; None of a file that is blank."""
    return None if held is None or _caption(held.data) is None else held.data


def _caption(data: bytes) -> Content | None:
    content = content_of(data)
    return None if is_blank(content.text) else content


def _held(path: str, most: int = -1) -> _Held | None:
    """Return the sidecar `path`, however its name is spelt, or None; `most` bytes of it at most."""
    held = _opened(path, most)
    if held is not None:
        return held
    others = (_opened(name, most) for name in spellings(path)[1:])
    return next((other for other in others if other is not None), None)


def _opened(path: str, most: int) -> _Held | None:
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EEXIST
            raise OSError(code, os.strerror(code), path)
        # A file object takes as long to make as the rest together.
        data = os.read(descriptor, status.st_size + 1 if most < 0 else most)
        while most < 0 and len(data) > status.st_size and (more := os.read(descriptor, 65_536)):
            data += more  # somebody is writing to it
        return _Held(path, data, stat.S_IMODE(status.st_mode))
    finally:
        os.close(descriptor)


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
