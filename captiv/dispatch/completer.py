"""Keeps what came back, then writes it: commit, sidecar, done.

A caption that arrives is committed to the store within 50 ms, together with its neighbours; only
then is its file written, on a thread, synced together with its folder; only then is the job done.
What is between two of these steps when captiv dies is finished by the next start without a worker.
A file that cannot be written leaves its job `captioned`, and is named. What a store without space
does not take is tried once more at the end, and said.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from captiv.core.jobs import Failure, Job, JobId, Received, Run, RunId, Unwritten
from captiv.core.naming import Place
from captiv.core.spec import RunSpec
from captiv.dispatch.events import Reporter
from captiv.dispatch.writer import Writer
from captiv.errors import SidecarError, StoreError
from captiv.output.sidecar import Written
from captiv.store import Connection, Store, jobs
from captiv.store.commit import commit

_log = logging.getLogger(__name__)

_HOLD_S = 0.05
_BATCH = 64
_FLUSH_S = 60.0
_BOUND = 1024
"""Captions that may wait for their commit, and texts that may wait for their file."""


class _Ended(NamedTuple):
    """A job at the end of its way."""

    job_id: JobId
    attempt: int
    run_id: RunId


@dataclass(slots=True)
class _Buffer:
    """What the next commit takes along."""

    received: list[Received] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    finished: list[_Ended] = field(default_factory=list)
    kept: list[_Ended] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.received) + len(self.failures) + len(self.finished) + len(self.kept)

    def extend(self, later: "_Buffer") -> None:
        """Take over what has gathered in `later`."""
        self.received += later.received
        self.failures += later.failures
        self.finished += later.finished
        self.kept += later.kept


class Completer:
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
        self._writer = Writer(store, spec_of=spec_of, now_ms=now_ms)
        self._now_ms = now_ms
        self._buffer = _Buffer()
        self._ended = anyio.Event()
        self._some = anyio.Event()
        self._many = anyio.Event()
        self._room = anyio.Semaphore(_BOUND)
        self._open: Counter[RunId] = Counter()
        self._taken: set[tuple[JobId, int]] = set()
        """Jobs and attempts whose text was taken for writing, and not refused by its folder."""
        self._busy: dict[Place, JobId] = {}
        """Places between claim and file, so that two runs never do one at the same time."""
        self._texts: deque[Unwritten] = deque()
        self._writable = anyio.Event()

    def idle(self, run_id: RunId) -> bool:
        """Whether nothing of the run is between two steps."""
        return not self._open[run_id]

    # -- from the lanes --------------------------------------------------------------------------

    def begin(self, job: Job) -> bool:
        """Mark the image's files as in work; False if another job has one in work right now."""
        files = self._files(job.place, job.run_id)
        if any(self._busy.get(file, job.id) != job.id for file in files):
            return False
        self._busy |= dict.fromkeys(files, job.id)
        return True

    def released(self, job: Job) -> None:
        """Take back the mark of a job that was given back, if it has it."""
        self._free(job, job.id)

    async def received(self, received: Received) -> None:
        """Take a caption, at once; then wait if too many are under way."""
        self._open[received.job.run_id] += 1
        self._buffer.received.append(received)
        self._signal()
        await self._room.acquire()

    async def kept(self, job: Job) -> None:
        """Take note that the image got a sidecar meanwhile; nothing is to be written."""
        self._open[job.run_id] += 1
        self._free(job, job.id)
        self._buffer.kept.append(_Ended(job.id, job.attempt, job.run_id))
        self._reporter.kept(job.path)
        self._signal()
        await self._room.acquire()

    def failed(self, failure: Failure) -> None:
        """Take a failure."""
        self._open[failure.job.run_id] += 1
        self._free(failure.job, failure.job.id)
        self._buffer.failures.append(failure)
        self._signal()

    # -- from the dispatcher ---------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until nothing is between two steps."""
        while self._open.total():
            self._ended = anyio.Event()
            await self._ended.wait()

    async def write_leftovers(self, run: Run) -> None:
        """Write what was received earlier and not written; no worker is needed for it."""
        after = JobId(0)
        while page := await self._store.aread(jobs.unwritten, run.id, after, _BATCH):
            after = page[-1].job_id
            for item in page:
                if (item.job_id, item.attempt) not in self._taken:
                    await self._room.acquire()
                    self._open[item.run_id] += 1
                    for file in self._files(item.place, item.run_id):
                        self._busy.setdefault(file, item.job_id)
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

    # -- commit ----------------------------------------------------------------------------------

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
        try:
            unwritten = await commit(self._store, _transact, batch, self._now_ms())
        except StoreError:
            batch.extend(self._buffer)
            self._buffer = batch
            raise
        self._enqueue(unwritten)
        self._refuse(batch.received, {text.job_id for text in unwritten})
        for ended in (*batch.finished, *batch.kept):
            self._settle(ended.run_id)
        for failure in batch.failures:
            _log.info("job failed job=%s code=%s", failure.job.id, failure.code)
            self._reporter.failed(failure.job.path, failure.code, failure.reason)
            self._end(failure.job.run_id)

    def _refuse(self, received: Iterable[Received], taken: set[JobId]) -> None:
        """Forget answers for jobs that were taken away meanwhile."""
        for item in received:
            if item.job.id not in taken:
                _log.warning("answer refused job=%s attempt=%d", item.job.id, item.job.attempt)
                self._free(item.job, item.job.id)
                self._settle(item.job.run_id)

    def _enqueue(self, texts: Iterable[Unwritten]) -> None:
        for text in texts:
            if (text.job_id, text.attempt) in self._taken:
                self._settle(text.run_id)
                continue
            self._taken.add((text.job_id, text.attempt))
            self._texts.append(text)
        if self._texts:
            self._writable.set()

    def _free(self, job: Job | Unwritten, job_id: JobId) -> None:
        for file in self._files(job.place, job.run_id):
            if self._busy.get(file) == job_id:
                del self._busy[file]

    def _files(self, place: Place, run_id: RunId) -> tuple[Place, ...]:
        """Return what a job of this run writes: its sidecar, and the object beside it."""
        beside = self._spec_of(run_id).object_of(place.image)
        return (place,) if beside is None else (place, Place(place.image, beside))

    def _settle(self, run_id: RunId) -> None:
        """A caption is at the end of its way."""
        self._end(run_id)
        self._room.release()

    def _end(self, run_id: RunId) -> None:
        self._open[run_id] -= 1
        if not self._open[run_id]:
            del self._open[run_id]
            self._ended.set()

    # -- write -----------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        while True:
            await self._writable.wait()
            with anyio.CancelScope(shield=True):
                await self._write_some()

    async def _write_some(self) -> None:
        """Write a batch of files and hand their jobs to the next commit."""
        items = [self._texts.popleft() for _ in range(min(_BATCH, len(self._texts)))]
        if not self._texts:
            self._writable = anyio.Event()
        items = await self._writer.begin(items)
        unwritable: list[tuple[Unwritten, SidecarError]] = []
        for item, result in zip(items, await self._writer.put(items), strict=True):
            self._free(item, item.job_id)
            ended = _Ended(item.job_id, item.attempt, item.run_id)
            if isinstance(result, SidecarError):
                unwritable.append((item, result))
            elif result is Written.KEPT:
                self._buffer.kept.append(ended)
                self._reporter.kept(item.path)
            else:
                self._buffer.finished.append(ended)
                self._reporter.captioned(item.path, self._shown(item))
        if len(self._buffer):
            self._signal()
        if unwritable:
            await self._leave(unwritable)

    def _shown(self, item: Unwritten) -> str:
        """Return what a person sees of a caption: where no file is written, all of the answer."""
        if item.companion is None or self._spec_of(item.run_id).output.save:
            return item.text
        return item.companion.text.removesuffix("\n")

    async def _leave(self, refused: Sequence[tuple[Unwritten, SidecarError]]) -> None:
        """Leave these jobs captioned, with the reason."""
        await commit(
            self._store,
            jobs.note_unwritable,
            [(item.job_id, item.attempt, error.code, error.message) for item, error in refused],
        )
        for item, error in refused:
            _log.warning("sidecar unwritten job=%s reason=%s", item.job_id, error.message)
            self._taken.discard((item.job_id, item.attempt))
            self._reporter.unwritten(item.path, error.message)
            self._settle(item.run_id)

    async def _flush(self) -> None:
        """Bring everything that came back as far as it will go."""
        try:
            with anyio.move_on_after(_FLUSH_S) as scope:
                while self._texts or len(self._buffer):
                    if len(self._buffer):
                        await self._commit()
                    if self._texts:
                        await self._write_some()
        finally:
            if self._buffer.received:
                self._reporter.warned(
                    f"{len(self._buffer.received)} captions that had come back could not be kept; "
                    "the same command makes them again."
                )
        if scope.cancelled_caught:
            _log.warning("flush cut short texts=%d", len(self._texts))


def _transact(conn: Connection, batch: _Buffer, now_ms: int) -> list[Unwritten]:
    """One transaction for everything of a moment."""
    jobs.finish(conn, [(e.job_id, e.attempt) for e in batch.finished], now_ms)
    jobs.keep(conn, [(e.job_id, e.attempt) for e in batch.kept], now_ms)
    jobs.fail(conn, batch.failures, now_ms)
    return jobs.receive(conn, batch.received, now_ms)
