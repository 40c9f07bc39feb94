"""Keeps the album true: reads the folder, then follows the store and the disk.

Captions that runs make are in the store before their files are written, so a commit of anybody's is
seen at once (`PRAGMA data_version`, twice a second), and the image is looked at until its file has
come. What other programs change is found by reading the tree again, which costs little where
nothing changed; it happens when a person comes back to a tab, and else so seldom that it takes no
more than a two-hundredth of a core.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from captiv.clock import monotonic_s
from captiv.core.texts import content_hash
from captiv.core.unread import told as by_kind
from captiv.errors import StoreError
from captiv.gui.album import Album
from captiv.gui.entry import Entry, ImageId, image_id
from captiv.gui.live import Live
from captiv.gui.scan import Chunk, Reader
from captiv.images.find import FOLDER_UNREADABLE, FindProblem
from captiv.offload import offload
from captiv.store import Store, captions, jobs
from captiv.store.captions import News

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.5
_SHARE: Final = 200
_FILE_WITHIN_S: Final = 15.0
"""How long after its caption a file is expected; later the next reading of the tree finds it."""
_NEWS: Final = 2_000


@dataclass(slots=True)
class _Expected:
    """A caption that is in the store and may not be in its file yet."""

    hash: str
    until: float


@dataclass(slots=True)
class Watch:
    """Fills an album and keeps it up to date."""

    album: Album
    reader: Reader
    store: Store
    live: Live
    least_pause_s: float = 5.0
    """Between two readings of the tree that nobody asked for."""
    share: int = _SHARE
    """So many times as long as a reading took, the next one that nobody asked for waits."""
    _seen: int = 0
    """Id of the last caption of the store that was looked at."""
    _version: int = -1
    _expected: dict[ImageId, _Expected] = field(default_factory=dict)

    async def run(self) -> None:
        """Watch until cancelled."""
        self._seen = await self.store.aread(captions.last_id)
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._follow_disk)
            tg.start_soon(self._follow_store)

    # -- the disk --------------------------------------------------------------------------------

    async def _follow_disk(self) -> None:
        soon_s = self.least_pause_s
        while True:
            took_s = 0.0
            self.live.looked = anyio.Event()
            try:
                began = monotonic_s()
                await self._read_tree()
                took_s = monotonic_s() - began
            except StoreError as error:
                _log.warning("folder not read reason=%s", error.message)
            await self._failures()
            # What could not be read may be back in a moment, and is not left out for minutes; or it
            # never is, and is asked for less and less often.
            unread = any(p.code == FOLDER_UNREADABLE for p in self.album.problems)
            pause_s = self.share * took_s
            if unread:
                pause_s, soon_s = min(soon_s, pause_s), 2 * soon_s
            else:
                soon_s = self.least_pause_s
            with anyio.move_on_after(max(self.least_pause_s, pause_s)):
                await self.live.looked.wait()
                await anyio.sleep(min(1.0, took_s))

    async def _read_tree(self) -> None:
        order: list[ImageId] = []
        problems: list[FindProblem] = []
        unread = Counter[str]()
        first, before = not self.album.complete, len(self.album.entries)
        limiter = anyio.CapacityLimiter(1)
        known = dict(self.album.entries)
        passing = self.reader.pass_(known)
        while (chunk := await offload(_next, passing, limiter=limiter)) is not None:
            order += [entry.id for entry in chunk.entries]
            problems += chunk.problems
            unread.update(chunk.unread)
            changed = self.album.add(self._still(chunk, known))
            if first:
                self._tell_progress()
            else:
                self.live.changed(changed)
        told = self.album.problems, self.album.unread
        gone = self.album.close(order, problems)
        self.album.unread = unread
        if first or gone or (problems, unread) != told or len(self.album.entries) != before:
            self._tell_progress()

    def _still(self, chunk: Chunk, known: Mapping[ImageId, Entry]) -> Chunk:
        """Leave out what was changed, by a person on the page, since the pass began."""
        entries = self.album.entries
        return replace(
            chunk, entries=[e for e in chunk.entries if entries.get(e.id) is known.get(e.id)]
        )

    def _tell_progress(self) -> None:
        self.live.tell("folder", progress(self.album))

    # -- the store -------------------------------------------------------------------------------

    async def _follow_store(self) -> None:
        while True:
            await anyio.sleep(_TICK_S)
            try:
                version = await offload(self.store.data_version)
                if version != self._version:
                    self._version = version
                    await self._news()
                    await self._failures()
                await self._look_for_files()
            except StoreError as error:
                _log.warning("store not read reason=%s", error.message)

    async def _news(self) -> None:
        """Expect the files of captions that came into the store."""
        while news := await self.store.aread(captions.since, self._seen, _NEWS):
            self._seen = news[-1].id
            self._expect(news)

    def _expect(self, news: Iterable[News]) -> None:
        until = monotonic_s() + _FILE_WITHIN_S
        for item in news:
            id = image_id(item.place.image)
            if id in self.album.entries and self.reader.shows(item.place):
                self._expected[id] = _Expected(item.hash, until)

    async def _look_for_files(self) -> None:
        if not self._expected:
            return
        wanted = [e for id in self._expected if (e := self.album.entries.get(id)) is not None]
        found = await offload(self.reader.again, wanted)
        now = monotonic_s()
        for entry in found:
            expected = self._expected.get(entry.id)
            if expected is not None and _arrived(entry, expected.hash):
                del self._expected[entry.id]
        self._expected = {id: e for id, e in self._expected.items() if e.until > now}
        self.live.changed(self.album.put(self._unless_changed(wanted, found)))

    def _unless_changed(self, before: Iterable[Entry], found: Iterable[Entry]) -> list[Entry]:
        """Leave out what was changed, by a person on the page, while the files were looked at."""
        unchanged = {e.id for e in before if self.album.entries.get(e.id) is e}
        return [entry for entry in found if entry.id in unchanged]

    async def _failures(self) -> None:
        try:
            standing = await self.store.aread(jobs.failures_standing)
        except StoreError as error:
            _log.warning("failures not read reason=%s", error.message)
            return
        shown = {place.image: why for place, why in standing if self.reader.shows(place)}
        self.live.changed(self.album.fail(shown))


def progress(album: Album) -> dict[str, object]:
    """Return how much of the folder was read."""
    return {
        "images": len(album.entries),
        "complete": album.complete,
        "problems": [
            {"path": os.path.relpath(p.path, album.root), "reason": p.reason}
            for p in album.problems[:20]
        ],
        "more_problems": max(0, len(album.problems) - 20),
        "unread": by_kind(album.unread),
    }


def _next(passing: Iterator[Chunk]) -> Chunk | None:
    return next(passing, None)


def _arrived(entry: Entry, hash: str) -> bool:
    return entry.text is not None and content_hash(entry.text) == hash
