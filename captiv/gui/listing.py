"""What a person looks at: the images that pass a filter, as they were when it was asked for.

A listing does not move under the person's hands. While captions are saved, or a run writes them,
an image stays where it is, even if it would not pass the filter any more; asking again makes a
listing anew. Only ids are kept, eight bytes an image.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from captiv.gui.album import Album, Tally
from captiv.gui.entry import Entry, FolderId, ImageId

Show = Literal["all", "without", "failed", "hand"]
Shown = Show | Literal["unsaved"]
"""`unsaved` is known to the browser only, which names the images."""
SHOWS: Final[tuple[Shown, ...]] = ("all", "without", "failed", "hand", "unsaved")

_KEPT: Final = 16

_PASSES: Final[dict[Show, Callable[[Entry], bool]]] = {
    "all": lambda entry: True,
    "without": lambda entry: not entry.captioned,
    "failed": lambda entry: entry.failure is not None,
    "hand": lambda entry: entry.by == "hand",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for."""

    folder: FolderId
    deep: bool = True
    show: Shown = "all"
    text: str = ""
    """Words that all have to be in the caption or the name."""
    unsaved: frozenset[ImageId] = frozenset()
    """Images for which the browser keeps a text that was not saved."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer: ids in order, and how many there would be under each filter."""

    id: str
    ids: "array[int]"
    tally: Tally
    unsaved: int
    """How many there would be that were typed on and not saved."""
    version: int

    def page(self, album: Album, offset: int, limit: int) -> list[Entry | None]:
        """Return some of it as it is now; None for an image that is gone."""
        return [album.entries.get(ImageId(id)) for id in self.ids[offset : offset + limit]]


class Listings:
    """The listings that were made last."""

    def __init__(self, album: Album) -> None:
        self._album = album
        self._kept: OrderedDict[str, Listing] = OrderedDict()
        self._numbers = count(1)

    def make(self, filters: Filters) -> Listing:
        """Return a new listing. Looks at every image: 20,000 take some 20 ms."""
        version = self._album.version
        ids, tally, unsaved = _chosen(self._album, filters)
        listing = Listing(f"{next(self._numbers)}", ids, tally, unsaved, version)
        self._kept[listing.id] = listing
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return listing

    def get(self, id: str) -> Listing | None:
        """Return a listing that was made before, if it is still known."""
        listing = self._kept.get(id)
        if listing is not None:
            self._kept.move_to_end(id)
        return listing


def show_named(text: str) -> Shown | None:
    """Return the filter of that name."""
    return next((show for show in SHOWS if show == text), None)


def _chosen(album: Album, filters: Filters) -> "tuple[array[int], Tally, int]":
    words = filters.text.casefold().split()
    passes = _passes(filters)
    ids = array("Q")
    all_, without, failed, hand, unsaved = 0, 0, 0, 0, 0
    for entry in _in_folder(album, filters):
        if words and not _has(entry, words):
            continue
        all_ += 1
        without += not entry.captioned
        failed += entry.failure is not None
        hand += entry.by == "hand"
        unsaved += entry.id in filters.unsaved
        if passes(entry):
            ids.append(entry.id)
    return ids, Tally(all_, without, failed, hand), unsaved


def _passes(filters: Filters) -> Callable[[Entry], bool]:
    if filters.show == "unsaved":
        return lambda entry: entry.id in filters.unsaved
    return _PASSES[filters.show]


def _in_folder(album: Album, filters: Filters) -> Iterable[Entry]:
    entries = list(album.entries.values())  # one step, whatever the event loop changes meanwhile
    if filters.deep and filters.folder == album.top:
        return entries
    folders = album.below(filters.folder, deep=filters.deep)
    return (entry for entry in entries if entry.folder in folders)


def _has(entry: Entry, words: list[str]) -> bool:
    text = f"{entry.text or ''}\n{entry.name}".casefold()
    return all(word in text for word in words)
