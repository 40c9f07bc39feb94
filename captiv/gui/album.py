"""Every image of the opened folder, in memory, in the order of the scan.

Changed only on the event loop; read from threads, too. Entries are values: a change puts another
entry in its place, so that a thread that looks through them sees each one whole.
"""

# ruff: noqa: PTH118

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from captiv.gui.entry import Entry, FolderId, ImageId, folder_id
from captiv.gui.scan import Chunk
from captiv.images.find import FOLDER_UNREADABLE, FindProblem


@dataclass(slots=True)
class Node:
    """One folder of the tree, and how much is in it, without what is below."""

    id: FolderId
    path: str
    images: int = 0
    captioned: int = 0


class Tally(NamedTuple):
    """How many images there are of each kind."""

    all: int = 0
    without: int = 0
    failed: int = 0
    hand: int = 0


@dataclass(slots=True)
class Album:
    """The images of one folder tree."""

    root: str
    entries: dict[ImageId, Entry] = field(default_factory=dict)
    """In the order of the last pass."""
    folders: dict[FolderId, Node] = field(default_factory=dict)
    problems: list[FindProblem] = field(default_factory=list)
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many files lie in the tree that captiv does not read, by kind."""
    complete: bool = False
    """Whether the tree was read to its end once."""
    version: int = 0
    """Moves with every change."""

    def __post_init__(self) -> None:
        self._make(self.root)

    def name(self, entry: Entry) -> str:
        """Return an image's path below the opened folder."""
        return os.path.relpath(entry.path, self.root)

    def add(self, chunk: Chunk) -> list[ImageId]:
        """Take in a part of a pass; return what is new or changed."""
        if chunk.entries:
            self._make(chunk.path)
        return self.put(chunk.entries)

    def put(self, entries: Iterable[Entry]) -> list[ImageId]:
        """Put entries in their place; return what is new or changed."""
        changed = []
        for entry in entries:
            before = self.entries.get(entry.id)
            if before is entry or before == entry:
                continue
            self.entries[entry.id] = entry
            self._count(before, -1)
            self._count(entry, 1)
            changed.append(entry.id)
        self.version += bool(changed)
        return changed

    def close(self, order: list[ImageId], problems: list[FindProblem]) -> list[ImageId]:
        """End a pass that found these images, in this order; return those that are gone.

        What is known of a folder that could not be read stays, in its place.
        """
        found = set(order)
        kept = self._unread(problems) - found
        if kept:
            known = [id for id in self.entries if id in found or id in kept]
            order = known + [id for id in order if id not in self.entries]
            found |= kept
        gone = [id for id in self.entries if id not in found]
        for id in gone:
            self._count(self.entries[id], -1)
        if gone or len(order) != len(self.entries) or not _same_order(order, self.entries):
            entries = self.entries
            self.entries = {id: entries[id] for id in order if id in entries}
            self.version += 1
        self._tidy()
        self.problems = problems
        self.version += not self.complete
        self.complete = True
        return gone

    def fail(self, reasons: Mapping[str, str]) -> list[ImageId]:
        """Mark the images whose last attempt failed, by path, and no others; return the changed."""
        changed = []
        for entry in self.entries.values():
            reason = reasons.get(entry.path)
            if entry.failure != reason:
                changed.append(replace(entry, failure=reason))
        return self.put(changed)

    def below(self, folder: FolderId, *, deep: bool) -> Collection[FolderId]:
        """Return a folder, and with `deep` every one below it."""
        node = self.folders.get(folder)
        if node is None:
            return ()
        if not deep:
            return (folder,)
        prefix = os.path.join(node.path, "")
        return {folder} | {n.id for n in self.folders.values() if n.path.startswith(prefix)}

    @property
    def top(self) -> FolderId:
        """The opened folder."""
        return folder_id(self.root)

    def _unread(self, problems: Iterable[FindProblem]) -> set[ImageId]:
        """Return the images in and below the folders that could not be read."""
        folders = {p.path for p in problems if p.code == FOLDER_UNREADABLE}
        if not folders:
            return set()
        below = tuple(os.path.join(path, "") for path in folders)
        return {id for id, entry in self.entries.items() if entry.path.startswith(below)}

    def _count(self, entry: Entry | None, n: int) -> None:
        node = None if entry is None else self.folders.get(entry.folder)
        if entry is not None and node is not None:
            node.images += n
            node.captioned += n * entry.captioned

    def _make(self, path: str) -> None:
        """Make the node of a folder, and of those between it and the opened one."""
        while folder_id(path) not in self.folders:
            self.folders[folder_id(path)] = Node(folder_id(path), path)
            if path == self.root:
                return
            path = os.path.dirname(path)

    def _tidy(self) -> None:
        """Forget folders with no image in or below them."""
        used = {self.root}
        for node in self.folders.values():
            path = node.path if node.images else self.root
            while path not in used:
                used.add(path)
                path = os.path.dirname(path)
        self.folders = {id: n for id, n in self.folders.items() if n.path in used}


def _same_order(order: list[ImageId], entries: Mapping[ImageId, Entry]) -> bool:
    return all(a == b for a, b in zip(order, islice(entries, len(order)), strict=False))
