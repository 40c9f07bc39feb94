"""Puts received captions into their sidecars, on threads, and never over a person's own words."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from captiv.core.adding import Where
from captiv.core.jobs import JobId, RunId, Unwritten
from captiv.core.keeping import Keeping, Source, author, keeping
from captiv.core.spec import Output, RunSpec
from captiv.core.texts import Content, content_hash
from captiv.dispatch.adding import Adding
from captiv.dispatch.writing import Result, patiently
from captiv.errors import SidecarError
from captiv.offload import offload
from captiv.output import sidecar
from captiv.output.sidecar import Written
from captiv.store import Connection, Store, captions, standings
from captiv.store.commit import commit


class _Replaced(NamedTuple):
    """A text that captiv did not know, and what takes its place."""

    item: Unwritten
    held: Content
    source: Source


class Writer:
    """Writes batches of captions where their runs want them."""

    def __init__(
        self, store: Store, *, spec_of: Callable[[RunId], RunSpec], now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._spec_of = spec_of
        self._now_ms = now_ms
        self._adding = Adding(store, where_of=self._where_of, now_ms=now_ms)

    async def begin(self, items: Sequence[Unwritten]) -> list[Unwritten]:
        """Return these with what their sidecars are to hold, where they are added to a text."""
        added = [item for item in items if self._is_added(item)]
        begun = {item.job_id: item for item in await self._adding.begin(added)} if added else {}
        return [begun.get(item.job_id, item) for item in items]

    async def put(self, items: Sequence[Unwritten]) -> list[Result]:
        """Write these texts, and the objects beside them, and sync their folders: one result each.

        Texts of a run that saves nothing count as written. An object goes first: if it can't be
        written, the text isn't written either.
        """
        by_job = await offload(_without_folder, self._with_output(items))
        saving = [
            item
            for item in items
            if self._spec_of(item.run_id).output.save and item.job_id not in by_job
        ]
        objects = await self._put_objects(saving)
        by_job |= {job: each for job, each in objects.items() if isinstance(each, SidecarError)}
        saving = [item for item in saving if item.job_id not in by_job]
        added = [item for item in saving if self._is_added(item)]
        replacing = [item for item in saving if not self._is_added(item)]
        for write, some in ((self._adding.write, added), (self._replace, replacing)):
            results = await write(some) if some else ()
            by_job |= {item.job_id: result for item, result in zip(some, results, strict=True)}
        return [self._together(item, by_job, objects) for item in items]

    async def _put_objects(self, items: Sequence[Unwritten]) -> dict[JobId, Result]:
        """Write the objects that these texts have beside them."""
        objects = [
            replace(item, sidecar=beside.sidecar, text=beside.text, companion=None)
            for item in items
            if (beside := item.companion) is not None
        ]
        results = await self._replace(objects) if objects else ()
        return {item.job_id: result for item, result in zip(objects, results, strict=True)}

    def _together(
        self, item: Unwritten, texts: Mapping[JobId, Result], objects: Mapping[JobId, Result]
    ) -> Result:
        """Return what became of a text and its object: kept if something wanted was not replaced.

        A run that replaces nothing wants what was lacking, and that is written; but an image whose
        object isn't there has not got what it was to have.
        """
        text = texts.get(item.job_id, Written.WRITTEN)
        beside = objects.get(item.job_id, text)
        if isinstance(text, SidecarError) or text is beside:
            return text
        if beside is Written.KEPT:
            return Written.KEPT
        lacking = self._spec_of(item.run_id).selection.skips_captioned
        return Written.KEPT if text is Written.KEPT and not lacking else Written.WRITTEN

    def _with_output(self, items: Sequence[Unwritten]) -> list[tuple[Unwritten, Output]]:
        return [(item, self._spec_of(item.run_id).output) for item in items]

    def _is_added(self, item: Unwritten) -> bool:
        spec = self._spec_of(item.run_id)
        return spec.output.save and spec.selection.add is not None

    def _where_of(self, item: Unwritten) -> Where:
        where = self._spec_of(item.run_id).selection.add
        assert where is not None
        return where

    def _is_strange(self, item: Unwritten, earlier: Mapping[str, Source]) -> bool:
        """Whether a file that is there may be another program's: many write `.json` files."""
        spec = self._spec_of(item.run_id)
        is_object = item.sidecar == spec.object_of(item.path)
        return is_object and not earlier and spec.selection.overwrite != "all"

    async def _replace(self, items: Sequence[Unwritten]) -> list[Result]:
        """Write these texts, over others where these may be replaced."""
        decided = await self._decide(items)
        writes = [
            sidecar.Sidecar(
                item.sidecar, item.text, replace=decided[item.job_id] is not Keeping.KEEP
            )
            for item in items
        ]
        return await patiently(sidecar.write_many, writes)

    async def _decide(self, items: Sequence[Unwritten]) -> Mapping[JobId, Keeping]:
        """Look at the sidecars that are there; texts unknown to captiv are recorded first."""
        looked = await offload(_look, items)
        decided = {item.job_id: Keeping.KEEP for item, held in looked if held is None}
        there = [(item, held) for item, held in looked if held is not None]
        if not there:
            return decided
        known = await self._store.aread(captions.sources, [item.place for item, _ in there])
        record: list[_Replaced] = []
        for item, held in there:
            if held.data == item.text.encode("utf-8", "surrogatepass"):
                decided[item.job_id] = Keeping.REPLACE  # captiv wrote it before it died
                continue
            earlier = {
                k.hash: k.source for k in known.get(item.place, ()) if k.job_id != item.job_id
            }
            overwrite = self._spec_of(item.run_id).selection.overwrite
            digest = content_hash(held.text)
            decided[item.job_id] = keeping(digest, earlier, overwrite)
            if self._is_strange(item, earlier):
                decided[item.job_id] = Keeping.KEEP
            if decided[item.job_id] is Keeping.RECORD_AND_REPLACE:
                record.append(_Replaced(item, held, author(digest, earlier)))
        if record:
            await commit(self._store, _record, record, self._now_ms())
        return decided


def _without_folder(items: Sequence[tuple[Unwritten, Output]]) -> dict[JobId, Result]:
    """Make the folders of sidecars that mirror others; return why one could not be, by job."""
    tried: dict[str, SidecarError | None] = {}
    for item, output in items:
        folder = os.path.dirname(item.sidecar)
        if output.save and output.directory is not None and folder not in tried:
            tried[folder] = _unmade(folder, output.directory)
    return {
        item.job_id: error
        for item, _ in items
        if (error := tried.get(os.path.dirname(item.sidecar))) is not None
    }


def _unmade(folder: str, directory: str) -> SidecarError | None:
    try:
        sidecar.make_folder(folder, within=directory)
    except SidecarError as error:
        return error
    return None


def _record(conn: Connection, texts: Sequence[_Replaced], now_ms: int) -> None:
    for item, held, source in texts:
        captions.record_replaced(conn, item.place, held.text, source, item.job_id, now_ms)
        if held.data != held.text.encode():  # the captions alone would bring back other bytes
            standings.settle(conn, item.place, held, now_ms)


def _look(items: Sequence[Unwritten]) -> list[tuple[Unwritten, Content | None]]:
    return [(item, _peek(item.sidecar)) for item in items]


def _peek(path: str) -> Content | None:
    try:
        return sidecar.look(path)
    except SidecarError:
        return None
