"""Keeps what came back, then writes it: commit, sidecar, done.

A caption that arrives is committed to the store within 50 ms, together with its neighbours; only
then is its file written, on a thread, synced together with its folder; only then is the job done.
What is between two of these steps when captiv dies is finished by the next start without a worker.
A file that cannot be written leaves its job `captioned`, and is named.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio import to_thread

from captiv.core.jobs import Failure, Job, JobId, Received, Run, RunId, Unwritten
from captiv.core.keeping import Keeping, keeping
from captiv.core.naming import sidecar_path
from captiv.core.spec import RunSpec
from captiv.core.texts import content_hash
from captiv.dispatch.events import Reporter
from captiv.errors import SidecarError
from captiv.output import sidecar
from captiv.store import Connection, Store, captions, jobs

_log = logging.getLogger(__name__)

_HOLD_S = 0.05
_BATCH = 64
_FLUSH_S = 60.0
_BOUND = 1024
"""Captions that may wait for their commit, and texts that may wait for their file."""


@dataclass(slots=True)
class _Buffer:
    """What the next commit takes along."""

    received: list[Received] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    finished: list[tuple[JobId, int]] = field(default_factory=list)
    kept: list[tuple[JobId, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.received) + len(self.failures) + len(self.finished) + len(self.kept)


class Completions:
    """Takes outcomes from the lanes; `run` must be going while they come."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        *,
        spec_of: Callable[[RunId], RunSpec],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._reporter = reporter
        self._spec_of = spec_of
        self._now_ms = now_ms
        self._buffer = _Buffer()
        self._ended = anyio.Event()
        self._some = anyio.Event()
        self._many = anyio.Event()
        self._room = anyio.Semaphore(_BOUND)
        self._open = 0
        self._tried: set[JobId] = set()
        self._busy: set[str] = set()
        """Paths between claim and file, so that two runs never do one image at the same time."""
        self._texts: deque[Unwritten] = deque()
        self._writable = anyio.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is between two steps."""
        return self._open == 0

    async def received(self, received: Received) -> None:
        """Take a caption; returns at once unless too many wait."""
        await self._room.acquire()
        self._open += 1
        self._buffer.received.append(received)
        self._signal()

    def begin(self, job: Job) -> bool:
        """Mark the image as in work; False if another run has it in work right now."""
        if job.path in self._busy:
            return False
        self._busy.add(job.path)
        return True

    def released(self, job: Job) -> None:
        """The image was given back."""
        self._busy.discard(job.path)

    async def kept(self, job: Job) -> None:
        """The image got a sidecar meanwhile; nothing is to be written."""
        await self._room.acquire()
        self._open += 1
        self._busy.discard(job.path)
        self._buffer.kept.append((job.id, job.attempt))
        self._reporter.kept(job.path)
        self._signal()

    def failed(self, failure: Failure) -> None:
        """Take a failure."""
        self._open += 1
        self._busy.discard(failure.job.path)
        self._buffer.failures.append(failure)
        self._signal()

    async def settled(self) -> None:
        """Wait until nothing is between two steps."""
        while self._open:
            self._ended = anyio.Event()
            await self._ended.wait()

    async def write_leftovers(self, run: Run) -> None:
        """Write what an earlier process received and did not write; no worker is needed for it."""
        after = JobId(0)
        while page := await self._store.aread(jobs.unwritten, run.id, after, _BATCH):
            after = page[-1].job_id
            for item in page:
                if item.job_id not in self._tried:
                    await self._room.acquire()
                    self._open += 1
                    self._enqueue([item])

    async def run(self) -> None:
        """Commit and write until cancelled, then commit and write the rest."""
        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._write_forever)
                await self._commit_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._flush()

    def _signal(self) -> None:
        self._some.set()
        if len(self._buffer) >= _BATCH:
            self._many.set()

    async def _commit_forever(self) -> None:
        while True:
            await self._some.wait()
            with anyio.move_on_after(_HOLD_S):
                await self._many.wait()
            with anyio.CancelScope(shield=True):
                await self._commit()

    async def _commit(self) -> None:
        batch, self._buffer = self._buffer, _Buffer()
        self._some, self._many = anyio.Event(), anyio.Event()
        unwritten = await self._store.awrite(_transact, batch, self._now_ms())
        self._enqueue(unwritten)
        refused = len(batch.received) - len(unwritten)
        self._settle(refused + len(batch.finished) + len(batch.kept))
        self._end(len(batch.failures))
        for failure in batch.failures:
            _log.info("job failed job=%s code=%s", failure.job.id, failure.code)
            self._reporter.failed(failure.job.path, failure.code, failure.reason)

    def _enqueue(self, texts: Iterable[Unwritten]) -> None:
        for text in texts:
            self._tried.add(text.job_id)
            self._texts.append(text)
        if self._texts:
            self._writable.set()

    def _settle(self, captions_: int) -> None:
        """So many captions are at the end of their way."""
        self._end(captions_)
        for _ in range(captions_):
            self._room.release()

    def _end(self, outcomes: int) -> None:
        self._open -= outcomes
        if self._open == 0:
            self._ended.set()

    async def _write_forever(self) -> None:
        while True:
            await self._writable.wait()
            with anyio.CancelScope(shield=True):
                await self._write_some()

    async def _write_some(self) -> None:
        items = [self._texts.popleft() for _ in range(min(_BATCH, len(self._texts)))]
        if not self._texts:
            self._writable = anyio.Event()
        await self._write(items)

    async def _write(self, items: Sequence[Unwritten]) -> None:
        """Write these files and hand their jobs to the next commit."""
        saving = [item for item in items if self._spec_of(item.run_id).output.save]
        for item in items:
            if not self._spec_of(item.run_id).output.save:
                self._busy.discard(item.path)
                self._done(item)
        decided = await self._decide(saving)
        writes = [
            sidecar.Sidecar(
                self._sidecar(item), item.text, replace=decided[item.job_id] is not Keeping.KEEP
            )
            for item in saving
        ]
        results = await to_thread.run_sync(sidecar.write_many, writes)
        unwritable: list[tuple[JobId, int, str, str]] = []
        for item, result in zip(saving, results, strict=True):
            self._busy.discard(item.path)
            if isinstance(result, SidecarError):
                self._settle(1)
                _log.warning("sidecar unwritten job=%s reason=%s", item.job_id, result.message)
                unwritable.append((item.job_id, item.attempt, result.code, result.message))
                self._reporter.unwritten(item.path, result.message)
            elif result is sidecar.Written.KEPT:
                self._buffer.kept.append((item.job_id, item.attempt))
                self._reporter.kept(item.path)
            else:
                self._done(item)
        if unwritable:
            await self._store.awrite(jobs.note_unwritable, unwritable)
        self._signal()

    def _done(self, item: Unwritten) -> None:
        self._buffer.finished.append((item.job_id, item.attempt))
        self._reporter.captioned(item.path, item.text)
        self._signal()

    def _sidecar(self, item: Unwritten) -> str:
        output = self._spec_of(item.run_id).output
        return sidecar_path(item.path, extension=output.extension, naming=output.naming)

    async def _decide(self, items: Sequence[Unwritten]) -> Mapping[JobId, Keeping]:
        """Look at the sidecars that are there; texts unknown to captiv are recorded first."""
        decided: dict[JobId, Keeping] = {}
        looked = await to_thread.run_sync(_look, [(item, self._sidecar(item)) for item in items])
        there = [(item, text) for item, text in looked if text is not None]
        if there:
            known = await self._store.aread(captions.sources, [i.path for i, _ in there])
            record: list[tuple[str, str]] = []
            for item, text in there:
                earlier = {
                    k.hash: k.source for k in known.get(item.path, ()) if k.job_id != item.job_id
                }
                overwrite = self._spec_of(item.run_id).selection.overwrite
                decided[item.job_id] = keeping(_hash(text), earlier, overwrite)
                if decided[item.job_id] is Keeping.RECORD_AND_REPLACE:
                    record.append((item.path, text))
            if record:
                await self._store.awrite(_record, record, self._now_ms())
        absent = {item.job_id: Keeping.KEEP for item, text in looked if text is None}
        return decided | absent

    async def _flush(self) -> None:
        """Bring everything that came back as far as it will go."""
        with anyio.move_on_after(_FLUSH_S):
            while self._texts or len(self._buffer):
                if len(self._buffer):
                    await self._commit()
                if self._texts:
                    await self._write_some()


def _transact(conn: Connection, batch: _Buffer, now_ms: int) -> list[Unwritten]:
    """One transaction for everything of a moment."""
    jobs.finish(conn, batch.finished, now_ms)
    jobs.keep(conn, batch.kept, now_ms)
    jobs.fail(conn, batch.failures, now_ms)
    return jobs.receive(conn, batch.received, now_ms)


def _record(conn: Connection, texts: Sequence[tuple[str, str]], now_ms: int) -> None:
    for path, text in texts:
        captions.record(conn, path, text, content_hash(text), "import", now_ms)


def _look(items: Sequence[tuple[Unwritten, str]]) -> list[tuple[Unwritten, str | None]]:
    return [(item, _peek(path)) for item, path in items]


def _peek(path: str) -> str | None:
    try:
        return sidecar.read(path)
    except SidecarError:
        return None


def _hash(text: str) -> str | None:
    return content_hash(text) if text.strip() else None
