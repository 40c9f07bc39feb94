"""Reads a folder tree: its images, their captions and who wrote them. Blocks; belongs on a thread.

The same pass fills the page's album when it opens and finds later what other programs changed: a
caption is read again only if its file's size or time changed. Nothing outside of the folder is
looked at, whatever links lead there.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from captiv.core.keeping import author
from captiv.core.naming import Place, spellings
from captiv.core.texts import content_hash
from captiv.editing import Sidecars
from captiv.errors import ImageMissing, SidecarError
from captiv.gui.entry import Entry, FolderId, ImageId, Stamp, folder_id, image_id, stamp_of
from captiv.gui.inside import Inside
from captiv.images.find import FindProblem, Folder, find
from captiv.output import sidecar
from captiv.store import Store, captions

_CHUNK = 500
_OUTSIDE = "is a link that leaves the opened folder"
_GONE = "is gone"
_SWAPPED = "is empty, and on another disk than before"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some images of one folder, in order."""

    folder: FolderId
    path: str
    entries: Sequence[Entry]
    problems: Sequence[FindProblem] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many files lie in the folder that captiv does not read, by kind."""


class Reader:
    """Reads images and their captions from the disk and the store."""

    def __init__(self, root: str, sidecars: Sidecars, store: Store) -> None:
        self._root = root
        self._sidecars = sidecars
        self._store = store
        self._inside = Inside(root)
        self._device: int | None = None
        """Of the disk on which the opened folder was seen last."""

    def shows(self, place: Place) -> bool:
        """Whether this is the sidecar that is looked at, of the image's perhaps several."""
        return self._sidecars.place(place.image) == place

    def pass_(self, known: Mapping[ImageId, Entry]) -> Iterator[Chunk]:
        """Yield everything in the tree, by folder; what is `known` and unchanged, as it is."""
        for folder in find([Path(self._root)], recursive=True):
            lost = [problem for problem in folder.problems if problem.path == self._root]
            if lost or self._swapped(folder):
                lost = lost or [FindProblem(self._root, _SWAPPED)]
                yield Chunk(folder_id(self._root), self._root, (), lost)
                continue
            if not self._inside.holds(folder.path):
                yield _refused(folder)
                continue
            first = True
            for at in range(0, max(len(folder.images), 1), _CHUNK):
                paths = folder.images[at : at + _CHUNK]
                chunk = self._chunk(folder, paths, known)
                yield chunk if first else replace(chunk, problems=(), unread={})
                first = False

    def _swapped(self, folder: Folder) -> bool:
        """Whether the opened folder is empty and on another disk than before: it was unmounted."""
        if folder.path != self._root:
            return False
        try:
            device = os.stat(self._root).st_dev
        except OSError:
            return not folder.names
        if not folder.names and self._device not in (None, device):
            return True
        self._device = device
        return False

    def again(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return these entries with what their captions are now; images that are gone are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        looked = [self._entry(e.folder, e.path, True, {}) for e in entries]
        found = [
            replace(before, stamp=now.stamp, trouble=now.trouble)
            if now.trouble is not None
            else replace(now, failure=before.failure)
            for before, now in zip(entries, looked, strict=True)
            if isinstance(now, Entry)
        ]
        return self._attributed(found, {})

    def _chunk(self, folder: Folder, paths: Sequence[str], known: Mapping[ImageId, Entry]) -> Chunk:
        problems = list(folder.problems)
        entries = []
        id = folder_id(folder.path)
        # A listing that broke off does not tell which sidecars are there: the disk is asked.
        partly = any(p.path == folder.path for p in folder.problems)
        for path in paths:
            names = spellings(os.path.basename(self._sidecars.of(path)))
            beside = partly or any(name in folder.names for name in names)
            found = self._entry(id, path, beside, known)
            if isinstance(found, Entry):
                entries.append(found)
            else:
                problems.append(found)
        return Chunk(id, folder.path, self._attributed(entries, known), problems, folder.unread)

    def _entry(
        self, folder: FolderId, path: str, beside: bool, known: Mapping[ImageId, Entry]
    ) -> Entry | FindProblem:
        stamp = self._stamp(path)
        id = image_id(path)
        before = known.get(id)
        if isinstance(stamp, str):
            if before is not None and stamp not in (_GONE, _OUTSIDE):
                return before
            return FindProblem(path, stamp, ImageMissing.code)
        failure = None if before is None else before.failure
        bare = Entry(id, folder, path, stamp, None, None, None, None, failure)
        if not beside:
            return bare
        place = self._sidecars.of(path)
        mark = self._stamp(sidecar.actual(place))
        if isinstance(mark, str):
            kept = bare if before is None else replace(before, stamp=stamp)
            return bare if mark == _GONE else replace(kept, trouble=f"The caption's file {mark}.")
        if before is not None and before.sidecar == mark and before.trouble is None:
            return before if before.stamp == stamp else replace(before, stamp=stamp)
        text, trouble = _read(place)
        if trouble is not None and before is not None:
            return replace(before, stamp=stamp, trouble=trouble)
        return replace(bare, sidecar=mark, text=text, trouble=trouble)

    def _attributed(self, entries: Sequence[Entry], known: Mapping[ImageId, Entry]) -> list[Entry]:
        """Say of each text that was read who wrote it."""
        of = self._sidecars.place
        asked = [of(e.path) for e in entries if e.text is not None and known.get(e.id) is not e]
        if not asked:
            return list(entries)
        sources = self._store.read(captions.sources, asked)
        result = []
        for entry in entries:
            if entry.text is None or known.get(entry.id) is entry:
                result.append(entry)
                continue
            texts = {k.hash: k.source for k in sources.get(of(entry.path), ())}
            result.append(replace(entry, by=author(content_hash(entry.text), texts)))
        return result

    def _stamp(self, path: str) -> Stamp | str:
        """Return a file's stamp, or what is wrong with it."""
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not self._inside.holds(path):
                    return _OUTSIDE
                status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return _GONE
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return stamp_of(status)


def _read(path: str) -> tuple[str | None, str | None]:
    try:
        return sidecar.read(path), None
    except SidecarError as error:
        return None, error.message


def _refused(folder: Folder) -> Chunk:
    return Chunk(folder_id(folder.path), folder.path, (), (FindProblem(folder.path, _OUTSIDE),))
