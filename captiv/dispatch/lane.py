"""Feeds one worker: claim, prepare, send, hand the outcome on.

Each image in flight is a task: it is prepared on a thread and delivered to the worker, and its
outcome goes to the completer. A worker that died leaves suspects: the images of its running batch.
They go back, and are tried alone once nothing else is pending, so that one culprit cannot hold up
its neighbours.
"""

import logging

import anyio

from captiv.core import retry
from captiv.core.jobs import Failure, Job, Received
from captiv.core.retry import Death, Verdict
from captiv.dispatch.claims import Claims
from captiv.dispatch.delivery import Deliveries, Drained, Suspected
from captiv.dispatch.judging import Miss, judged
from captiv.dispatch.neighbours import Neighbours
from captiv.dispatch.preflight import Preflight
from captiv.dispatch.queue import QueueContext
from captiv.dispatch.refusals import Refusals
from captiv.dispatch.supervisor import Supervisor
from captiv.errors import (
    BudgetSpent,
    CaptivError,
    EngineFailed,
    ImageCrashes,
    ImageRefused,
    MachineShort,
    NoWorker,
    WorkerError,
    WorkerRejected,
    leading,
)
from captiv.images.prepare import Prepared
from captiv.store import jobs
from captiv.store.commit import commit
from captiv.wire import CaptionReply, Generation
from captiv.workers import WorkerSource

_log = logging.getLogger(__name__)

_IDLE_S = 0.05
"""How soon a lane that found nothing to claim looks again."""
_HANDOVER_S = 60.0
"""So long before the planned end of a worker it is given nothing more, at least."""
_FULL_S = 0.5
"""How soon a lane whose worker gives no answer looks whether others could do what it has ahead."""

_CRASHES = "The process that captions dies of this image, with nothing else in its batch."
_HANGS = "The process that captions hangs on this image, with nothing else in its batch."


class Postponed(Exception):
    """The file of this image cannot be read, and other images go on meanwhile."""


class Lane:
    """One worker and the images on their way to it and back."""

    def __init__(
        self, queue: QueueContext, source: WorkerSource, claims: Claims, neighbours: Neighbours
    ) -> None:
        """Args: `source` provides the worker, `claims` what it is fed with."""
        self.captioned = 0
        """Captions that came back."""
        self._queue = queue
        self._source = source
        self._claims = claims
        self._neighbours = neighbours
        self._supervisor = Supervisor(
            source,
            on_phase=neighbours.phase,
            on_warning=neighbours.warned,
            shared=lambda: neighbours.shared,
        )
        self._deliveries = Deliveries(self._supervisor, source.traits.patience)
        self._preflight = Preflight(queue, claims, paid=source.traits.rented)
        self._in_flight = 0
        self._left = anyio.Event()
        self._draining = False
        self._drained = anyio.Event()
        self._refusals = Refusals()
        self._barren = 0
        """Engine failures in a row that are not plainly an image's own."""

    @property
    def at_worker(self) -> int:
        """Images that are prepared, and that the worker is asked for."""
        return self._deliveries.asking

    def drain(self) -> None:
        """Claim and send no more; `run` ends when what is at the worker has its outcome.

        What has none when the limit of a drain has passed goes back, uncharged.
        """
        self._draining = True
        self._drained.set()
        self._supervisor.drain()
        self._deliveries.drain()
        self._left.set()

    def dismiss(self) -> None:
        """Wait for no worker that is still to come: there is nothing for it to do."""
        if self._supervisor.number == 0 or self._supervisor.vacant:
            self.drain()

    async def run(self) -> None:
        """Serve until nothing is left to serve.

        Raises:
            NoWorker: the worker cannot be had, or was given up. Its jobs went back uncharged.
            SidecarError: no caption could be written; no worker was begun.
        """
        try:
            if not await self._worthwhile():
                return
            health = await self._supervisor.begin()
            if health is not None:
                self._deliveries.opened(health)
                await self._serve()
        except ExceptionGroup as group:
            raise leading(group) from group
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    refused = {self._claims.key(job) for job in self._refusals.jobs}
                    died = self._supervisor.suspects(self._supervisor.number)
                    await self._claims.give_back(died | refused)
                finally:
                    await self._supervisor.end()

    async def _worthwhile(self) -> bool:
        return await self._neighbours.worthwhile(self._preflight.look)

    # -- feeding ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._watch)
            tg.start_soon(self._source.tend)
            tg.start_soon(self._limit_drain, tg.cancel_scope)
            await self._feed()
            tg.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Look after a worker that gives nothing; over a suspect alone, it is charged with that."""
        try:
            await self._deliveries.watch()
        except NoWorker:
            if (culprit := self._deliveries.culprit) is not None:
                await self._suspected(culprit, Death.HUNG)
            raise

    async def _limit_drain(self, scope: anyio.CancelScope) -> None:
        """Give up what is at the worker when a drain has waited for long enough."""
        limit_s = self._source.traits.patience.drain_s
        await self._drained.wait()
        await anyio.sleep(limit_s)
        if self._in_flight:
            self._queue.reporter.warned(
                f"{self._in_flight} images were still at the worker after {limit_s:g} s "
                "(worker.drain_limit); they go back to the queue."
            )
        scope.cancel()

    async def _feed(self) -> None:
        async with anyio.create_task_group() as tg:
            while not self._draining and self._source.affordable():
                self._left = anyio.Event()
                if self._ends_soon and self._in_flight:
                    await self._left.wait()
                    continue
                another = self._supervisor.vacant or self._ends_soon
                if another and not await self._replaced():
                    break
                room = self._ahead - self._in_flight
                if room <= 0:
                    await self._full()
                    continue
                batch = await self._claims.next(room, self._queue.now_ms())
                for job in batch:
                    self._in_flight += 1
                    tg.start_soon(self._work, job)
                if batch:
                    continue
                if self._in_flight or not await self._try_suspect():
                    if not self._in_flight:
                        self._settle_refused()
                    if self._claims.empty_handed:
                        return
                    with anyio.move_on_after(_IDLE_S):
                        await self._left.wait()

        if not self._draining:
            raise BudgetSpent("The run has cost what it may (--max-cost); the rest stays pending.")

    async def _full(self) -> None:
        """Wait for room, and keep back meanwhile nothing that another lane could caption."""
        with anyio.move_on_after(_FULL_S):
            await self._left.wait()
            return
        await self._claims.give_back_displaced()

    async def _replaced(self) -> bool:
        """Have a worker after one that was lost, or is about to end; False if the lane drains.

        That may take long: what was claimed ahead is for the others meanwhile.
        """
        if self._ends_soon:
            await self._source.hand_over()
        await self._claims.give_back_ahead()
        health = await self._supervisor.begin()
        if health is not None:
            self._deliveries.opened(health)
        return health is not None

    @property
    def _ahead(self) -> int:
        """How many images may be in flight: at the worker, or on their way to it."""
        return self._deliveries.limit + 2 * self._queue.preparation.threads

    @property
    def _ends_soon(self) -> bool:
        """Whether the worker may end, as planned, before what is claimed now has its caption."""
        return self._source.ends_in_s < max(_HANDOVER_S, self._deliveries.takes_s(self._ahead))

    async def _try_suspect(self) -> bool:
        """Try one suspect with nothing else in flight; False if there is none."""
        suspect = await self._claims.suspect(self._queue.now_ms())
        if suspect is None:
            return False
        self._in_flight += 1
        await self._work(suspect)
        return True

    async def _work(self, job: Job) -> None:
        """Bring one image to its outcome."""
        answered = False
        try:
            await self._turn(job)
            prepared = await self._prepared(job)
            if prepared is None:
                self._claims.settled(job)
                await self._queue.completer.kept(job)
            else:
                request, key = self._claims.request(job), self._claims.key(job)
                reply = await self._deliveries.run(job, prepared, request, key)
                answered = await self._take(job, reply, request.generation, prepared)
        except Drained:
            await self._claims.release(job, suspect=False)
        except Postponed:
            await self._claims.release(job, suspect=False, postponed=True)
        except Suspected as signal:
            await self._suspected(job, signal.death)
        except CaptivError as error:
            await self._settle(job, error)
        finally:
            if not answered:
                self._queue.completer.released(job)
            self._queue.preparation.forget(job)
            self._in_flight -= 1
            self._left.set()

    async def _turn(self, job: Job) -> None:
        """Wait while another run has the same place in work: then its sidecar will be there."""
        while not self._queue.completer.begin(job):
            if self._draining:
                raise Drained
            await anyio.sleep(_IDLE_S)

    async def _prepared(self, job: Job) -> Prepared | None:
        """Return what is sent for this image; None if its sidecar is there by now.

        Raises:
            Postponed: its file cannot be read, and it may be this file alone.
            Drained: this machine is short of something, and the lane is ending.
            MachineShort: it is, and no image goes on.
        """
        before = self._neighbours.progress()
        try:
            return await self._queue.preparation.prepare(
                job,
                self._claims.policy,
                unless=self._files(job),
                accept_truncated=self._queue.specs[job.run_id].selection.accept_truncated,
                quality=self._queue.specs[job.run_id].image_quality,
                patient=lambda: not self._draining,
            )
        except MachineShort as error:
            if self._draining:
                raise Drained from error
            if error.own and self._neighbours.progress().goes_on(before):
                raise Postponed from error
            raise

    def _files(self, job: Job) -> tuple[str, ...]:
        """Return the files that, once all are there, make this job unnecessary; none if none do."""
        spec = self._queue.specs[job.run_id]
        return spec.files_of(job.path) if spec.selection.skips_captioned else ()

    # -- outcomes --------------------------------------------------------------------------------

    async def _take(
        self, job: Job, reply: CaptionReply, used: Generation, prepared: Prepared
    ) -> bool:
        """Hand a caption on; False if it is none, and the image goes back to be tried again."""
        self._supervisor.crashes = self._barren = 0
        self._settle_refused()
        spec = self._queue.specs[job.run_id]
        answer = await judged(reply, spec, prepared, job.path)
        if isinstance(answer, Miss):
            return await self._missed(job, answer, reply.caption)
        self._claims.settled(job)
        self.captioned += 1
        if spec.output.cut_short(answer.text):
            self._queue.reporter.cut_short(job.path)
        await self._queue.completer.received(
            Received(
                job=job,
                text=spec.output.text(answer.text),
                companion=answer.companion,
                prompt=reply.prompt,
                model=reply.model,
                variant=reply.variant,
                settings=used.model_dump_json(exclude_none=True),
                seed=used.seed,
                tokens=reply.tokens,
                adds=spec.adds(),
            )
        )
        await self._queue.strangers.look(job.run_id, spec, prepared)
        return True

    async def _missed(self, job: Job, miss: Miss, text: str) -> bool:
        """Try again or fail after an answer that is no caption; True if that ends the job."""
        if self._verdict(miss.error, job) is Verdict.FAIL:
            self._fail(job, miss.error, text)
            return True
        _log.info("answer missed job=%s try=%d reason=%s", job.id, job.tries, miss.error.message)
        await commit(self._queue.store, jobs.charge_try, job, missed=True, objection=miss.objection)
        self._claims.settled(job)
        return False

    def _verdict(self, error: CaptivError, job: Job) -> Verdict:
        return retry.verdict(error, job, self._queue.specs[job.run_id].answers.retries)

    async def _settle(self, job: Job, error: CaptivError) -> None:
        """Decide what an error means for this job; what ends the lane is raised."""
        if isinstance(error, EngineFailed) and self._engine_to_blame(job, error):
            raise NoWorker(
                "The worker's engine fails on one image after the other.",
                hint="Nothing is lost: the same command resumes with a new worker.",
            ) from error
        if isinstance(error, WorkerRejected):
            self._reject(job, error)
            return
        match self._verdict(error, job):
            case Verdict.FAIL:
                self._fail(job, error, tried=isinstance(error, WorkerError))
            case Verdict.TRY_AGAIN:
                await commit(self._queue.store, jobs.charge_try, job)
                self._claims.settled(job)
            case Verdict.RELEASE:
                raise error

    def _reject(self, job: Job, error: WorkerRejected) -> None:
        """Hold a refused image until it shows whose fault that is; a suspect fails.

        Raises:
            WorkerRejected: several images in a row were refused.
        """
        refused = ImageRefused(error.message)
        if job.suspect:
            self._fail(job, refused)
        else:
            file = self._queue.preparation.stamp(job)
            self._refusals.hold(Failure(job, refused.code, refused.message, file=file), error)

    def _settle_refused(self) -> None:
        """Another image was taken, or none is left: those that were refused have failed."""
        for failure in self._refusals.settle():
            self._failed(failure)

    def _engine_to_blame(self, job: Job, error: EngineFailed) -> bool:
        """Whether the engine fails on one image after the other, not on some of their own fault.

        A second try tells nothing: images that are bad alone come back together.
        """
        if not error.suspect and job.tries == job.misses:
            self._barren += 1
        return self._barren >= retry.BARREN_FAILURES

    def _fail(
        self, job: Job, error: CaptivError, text: str | None = None, *, tried: bool = False
    ) -> None:
        file = self._queue.preparation.stamp(job)
        self._failed(Failure(job, error.code, error.message, text, tried, file))

    def _failed(self, failure: Failure) -> None:
        self._claims.settled(failure.job)
        self._queue.completer.failed(failure)

    async def _suspected(self, job: Job, death: Death) -> None:
        """The worker died over this image: alone, it is charged; else it is tried alone next."""
        if not job.suspect:
            await self._claims.release(job, suspect=True)
            return
        reason = _HANGS if death is Death.HUNG else _CRASHES
        failed = await commit(
            self._queue.store,
            jobs.charge_crash,
            job,
            self._queue.now_ms(),
            weight=death.weight,
            reason=reason,
            file=self._queue.preparation.stamp(job),
        )
        self._claims.settled(job)
        if failed:
            self._supervisor.crashes = 0
            self._queue.reporter.failed(job.path, ImageCrashes.code, reason)
