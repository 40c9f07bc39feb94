"""Finding images: one folder at a time, in a stable order, whatever the disk is like.

A scan holds the names of one folder and the identities of the folders it has seen, so a million
images in many folders cost little memory. Nothing that is wrong on the disk ends it: a folder that
may not be read, a link to nothing or a root that is not there becomes a `FindProblem`, and the scan
goes on. A folder that cannot be listed, or an entry that cannot be looked at, because this machine
is short of something or its disk fails, is tried once more after all others. Hidden files and
folders (`.git`, macOS's `._a.jpg`, captiv's own `.captiv-…` temporaries) are passed over in a scan,
and taken where they are named as roots.

Folders are known by device and inode: a folder reached twice, or a loop of links, is visited once.
Linked folders come last, so that an image's path does not depend on where somebody put a link.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.
# ruff: noqa: PTH100, PTH114, PTH118, PTH208

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captiv.core.naming import IMAGE_EXTENSIONS, is_image_name
from captiv.core.unread import SPECIAL, unread_kind
from captiv.errors import ImageMissing, ImageUnreadable, UsageError
from captiv.shortage import shortage

__all__ = [
    "FOLDER_UNREADABLE",
    "IMAGE_EXTENSIONS",
    "FindProblem",
    "Folder",
    "find",
    "is_image_name",
    "require_folder",
]


_AGAIN_S = 1.0
"""How long after all others a folder is tried again that could not be listed for a moment."""

_Identity = tuple[int, int] | str
"""Device and inode of a folder, or its real path where a file system numbers nothing."""


FOLDER_UNREADABLE = "folder_unreadable"
"""Code of a folder that was to be searched. A file has the code of its kind of `ImageError`."""


@dataclass(frozen=True, slots=True)
class FindProblem:
    """Something that was to be searched or captioned, and cannot be."""

    path: str
    reason: str
    """What follows the path in a sentence: "may not be read by this user"."""
    code: str = FOLDER_UNREADABLE


@dataclass(frozen=True, slots=True)
class Folder:
    """What one folder holds for captiv. Paths are absolute; undecodable bytes are surrogates."""

    path: str
    images: tuple[str, ...]
    """Paths of the images, sorted."""
    names: frozenset[str]
    """Every entry's name, so that existing sidecars are seen without a question to the disk."""
    problems: tuple[FindProblem, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many files lie here that people look at and captiv does not read, by kind."""


def require_folder(path: Path) -> None:
    """Refuse what is no folder.

    Raises: UsageError.
    """
    if path.is_dir():
        return
    if os.path.lexists(path):
        raise UsageError(f"{path} is no folder.", hint="Give the folder that it lies in.")
    raise UsageError(f"There is no folder {path}.")


@dataclass(slots=True)
class _Listing:
    """One folder as it is being read."""

    path: str
    recursive: bool = False
    """Whether its folders are to be searched, too."""
    identity: _Identity = ""
    names: set[str] = field(default_factory=set)
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    problems: list[FindProblem] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    passing: bool = False
    """Whether what kept it, or an entry, from being read may pass: too many files, a bad cable."""

    def add(self, entry: os.DirEntry[str]) -> None:
        self.names.add(entry.name)
        if entry.name.startswith("."):
            return
        try:
            link = entry.is_symlink()
            # Only a link is looked up here: for all else the folder's own listing tells.
            if entry.is_dir():
                (self.linked if link else self.folders).append(entry.path)
            elif is_image_name(entry.name):
                if entry.is_file():
                    self.images.append(entry.path)
                elif link and not os.path.exists(entry.path):
                    self.problems.append(_missing(entry.path, "is a link to nothing"))
                else:
                    self.unread[SPECIAL] += 1
            elif (kind := unread_kind(entry.name)) is not None:
                self.unread[kind] += 1
        except OSError as error:
            self._unknown(entry, error)

    def _unknown(self, entry: os.DirEntry[str], error: OSError) -> None:
        """Note an entry of which the disk does not say what it is.

        One without an image's name may be a folder. Where that does not pass it is most often a
        link that leads nowhere: no image is missed.
        """
        passing = shortage(error) is not None
        if is_image_name(entry.name):
            self.problems.append(_missing(entry.path, _reason(error)))
            self.passing |= passing
        elif self.recursive and passing:
            self.problems.append(FindProblem(entry.path, _reason(error)))
            self.passing = True

    def folder(self, also: set[str]) -> Folder:
        """Return the finished folder, with the images `also` named as roots."""
        images = {*self.images, *(os.path.join(self.path, name) for name in also)}
        return Folder(
            self.path,
            tuple(sorted(images)),
            frozenset(self.names | also),
            tuple(self.problems),
            self.unread,
        )


def find(roots: Sequence[Path], *, recursive: bool) -> Iterator[Folder]:
    """Yield each folder that `roots` name, and with `recursive` those below, with its images.

    First come the problems of the roots themselves; then each root folder, itself before what is
    below it, by name; then the folders of the files named as roots, which are taken even if hidden.
    A folder or file that is named twice is found once.
    """
    folders: list[str] = []
    named: dict[_Identity, tuple[str, set[str]]] = {}
    for root in roots:
        path = os.path.abspath(root)
        problem = _place(path, folders, named)
        if problem is not None:
            yield Folder(os.path.dirname(path), (), frozenset(), (problem,))
    seen: set[_Identity] = set()
    later, failed, last = folders, list[str](), False
    while later or failed:
        if not later:
            later, failed, last = failed, [], True
            time.sleep(_AGAIN_S)
        todo, later = later[::-1], []
        while todo:
            path = todo.pop()
            listing = _listed(path, seen, recursive=recursive)
            if listing is None:
                continue
            if listing.passing and not last:
                seen.discard(listing.identity)
                failed.append(path)
                continue
            if recursive:
                todo += sorted(listing.folders, reverse=True)
                later += sorted(listing.linked)
            _, also = named.pop(listing.identity, ("", set[str]()))
            yield listing.folder(also)
    for path, also in named.values():
        yield _listed_names(path).folder(also)


def _place(
    path: str, folders: list[str], named: dict[_Identity, tuple[str, set[str]]]
) -> FindProblem | None:
    """Put a root among the folders or the named files, or return what is wrong with it."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            folders.append(path)
            return None
        if not stat.S_ISREG(mode):
            return _no_image(path, "is neither a file nor a folder")
        if not is_image_name(path):
            kind = unread_kind(path)
            what = f"is a {kind}, which captiv does not read" if kind else None
            return _no_image(path, what or "is not an image captiv knows")
        parent, name = os.path.split(path)
        named.setdefault(_identity(parent), (parent, set()))[1].add(name)
    except (OSError, ValueError) as error:
        if os.path.islink(path) and not os.path.exists(path):
            return _missing(path, "is a link to nothing")
        return (_missing if is_image_name(path) else FindProblem)(path, _reason(error))
    return None


def _missing(path: str, reason: str) -> FindProblem:
    return FindProblem(path, reason, ImageMissing.code)


def _no_image(path: str, reason: str) -> FindProblem:
    return FindProblem(path, reason, ImageUnreadable.code)


def _listed(path: str, seen: set[_Identity], *, recursive: bool) -> _Listing | None:
    """Return what a folder holds, or None if it was seen; what cannot be read is a problem."""
    listing = _Listing(path, recursive)
    try:
        listing.identity = _identity(path)
        if listing.identity in seen:
            return None
        seen.add(listing.identity)
        with os.scandir(path) as entries:
            for entry in entries:
                listing.add(entry)
    except OSError as error:
        listing.problems.append(FindProblem(path, _reason(error)))
        listing.passing |= shortage(error) is not None
    return listing


def _listed_names(path: str) -> _Listing:
    """Return a folder's names only; none if it may be entered but not read, as its files may be."""
    try:
        return _Listing(path, names=set(os.listdir(path)))
    except OSError:
        return _Listing(path)


def _identity(path: str) -> _Identity:
    status = os.stat(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "does not exist"
        case PermissionError():
            return "may not be read by this user"
        case OSError():
            return f"cannot be read: {error.strerror}"
        case _:
            return f"cannot be read: {error}"
