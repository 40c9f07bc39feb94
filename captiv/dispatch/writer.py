"""Puts received captions into their sidecars, on threads, and never over a person's own words."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from captiv.core.jobs import JobId, RunId, Unwritten
from captiv.core.keeping import Keeping, Source, author, keeping
from captiv.core.spec import RunSpec
from captiv.core.texts import content_hash
from captiv.errors import SidecarError
from captiv.offload import offload
from captiv.output import sidecar
from captiv.output.sidecar import Written
from captiv.store import Connection, Store, captions
from captiv.store.commit import commit


class _Replaced(NamedTuple):
    """A text that captiv did not know, and what takes its place."""

    item: Unwritten
    text: str
    source: Source


class Writer:
    """Writes batches of captions where their runs want them."""

    def __init__(
        self, store: Store, *, spec_of: Callable[[RunId], RunSpec], now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._spec_of = spec_of
        self._now_ms = now_ms

    async def put(self, items: Sequence[Unwritten]) -> list[Written | SidecarError]:
        """Write these texts and sync their folders: one result each.

        Texts of a run that saves nothing count as written.
        """
        saving = [item for item in items if self._spec_of(item.run_id).output.save]
        decided = await self._decide(saving)
        writes = [
            sidecar.Sidecar(
                item.sidecar, item.text, replace=decided[item.job_id] is not Keeping.KEEP
            )
            for item in saving
        ]
        results = await offload(sidecar.write_many, writes)
        by_job = {item.job_id: result for item, result in zip(saving, results, strict=True)}
        return [by_job.get(item.job_id, Written.WRITTEN) for item in items]

    async def _decide(self, items: Sequence[Unwritten]) -> Mapping[JobId, Keeping]:
        """Look at the sidecars that are there; texts unknown to captiv are recorded first."""
        looked = await offload(_look, items)
        decided = {item.job_id: Keeping.KEEP for item, text in looked if text is None}
        there = [(item, text) for item, text in looked if text is not None]
        if not there:
            return decided
        known = await self._store.aread(captions.sources, [item.place for item, _ in there])
        record: list[_Replaced] = []
        for item, text in there:
            earlier = {
                k.hash: k.source for k in known.get(item.place, ()) if k.job_id != item.job_id
            }
            overwrite = self._spec_of(item.run_id).selection.overwrite
            digest = content_hash(text)
            decided[item.job_id] = keeping(digest, earlier, overwrite)
            if decided[item.job_id] is Keeping.RECORD_AND_REPLACE:
                record.append(_Replaced(item, text, author(digest, earlier)))
        if record:
            await commit(self._store, _record, record, self._now_ms())
        return decided


def _record(conn: Connection, texts: Sequence[_Replaced], now_ms: int) -> None:
    for item, text, source in texts:
        captions.record_replaced(conn, item.place, text, source, item.job_id, now_ms)


def _look(items: Sequence[Unwritten]) -> list[tuple[Unwritten, str | None]]:
    return [(item, _peek(item.sidecar)) for item in items]


def _peek(path: str) -> str | None:
    try:
        return sidecar.read(path)
    except SidecarError:
        return None
