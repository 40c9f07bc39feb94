"""The composition root: puts store, sources and dispatcher together, takes the lease, owns signals.

A command enqueues its run and then either holds the lease and dispatches, or follows the process
that does. When that one dies, or has finished its own run, the follower takes the lease and goes on
with the run that it follows, and no other. The first signal drains, the second stops at once.
"""

import logging
import os
import socket
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from signal import Signals

import anyio

from captiv.clock import now_ms
from captiv.core.bill import Bill
from captiv.core.jobs import JobId, Run, RunId, RunState, SessionId, Stamp
from captiv.core.phase import Phase, Step
from captiv.core.pods import PodRowId
from captiv.core.spec import RunSpec
from captiv.core.strange import Strange
from captiv.dispatch.completer import Completer
from captiv.dispatch.dispatcher import Dispatcher
from captiv.dispatch.events import Reporter, Silence
from captiv.dispatch.follow import Follower
from captiv.dispatch.preparation import Preparation, leftover
from captiv.dispatch.queue import QueueContext
from captiv.dispatch.retrying import revive, stamps
from captiv.dispatch.scan import Intake
from captiv.dispatch.strangers import Strangers
from captiv.errors import CaptivError, Interrupted, StoreError, leading
from captiv.exits import ExitCode, with_pods
from captiv.images.budget import allow
from captiv.offload import offload
from captiv.output.sidecar import make_folder
from captiv.rental.estimate import rented_already
from captiv.rental.unended import Unended
from captiv.settings import Paths, Settings
from captiv.signals import ending, is_hangup, received
from captiv.sources import Sources
from captiv.store import Connection, Lease, Store, holding, jobs, lease, past, pods, runs
from captiv.store.commit import commit
from captiv.workers import FIRST_CONTACT_S

_log = logging.getLogger(__name__)

_BEAT_S = 2.0
_FOLLOW_S = 0.5
_BILL_S = 5.0
"""How often it is told what the run's pods have cost so far."""
_LAST_SWEEP_S = 20.0
_SILENT_S = 1.0
"""How long is looked whether a run can begin before that is said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    run: Run
    interrupted: bool = False
    error: CaptivError | None = None
    """Why it ended before everything was done."""
    bill: Bill | None = None
    """What its pods cost; None if it had none."""
    unended: tuple[Unended, ...] = ()
    """Pods that were to end, and were not seen to."""
    untried: int = 0
    """Of its failed images: how many failed before this command, and were not tried again."""
    as_it_is: bool = False
    """Whether the run was resumed by its number: every image in it was asked for, limit or not."""
    strange: Strange | None = None
    """What the built-in model captioned that are no drawn scenes."""

    @property
    def exit_code(self) -> int:
        """0 only when every image asked for has its caption, and no pod may still bill."""
        return with_pods(self._of_images, may_bill=bool(self.unended))

    @property
    def _of_images(self) -> int:
        counts = self.run.counts
        complete = self.run.scanned and not counts.open
        if self.interrupted and not complete:
            return ExitCode.INTERRUPTED
        if self.error is not None:
            return self.error.exit_code
        return of_images(self.run, as_it_is=self.as_it_is)


def of_images(run: Run, *, as_it_is: bool = False) -> ExitCode:
    """Return what became of the images that a run was asked for, as an exit code.

    A run with a limit was asked for so many captions, whatever failed on the way to them;
    `as_it_is`, for every image that is in it.
    """
    counts, limit = run.counts, run.spec.selection.limit
    if not run.scanned or counts.open or not (counts.total or counts.skipped):
        return ExitCode.LACKING
    reached = limit is not None and counts.promised >= limit and not as_it_is
    return ExitCode.DONE if reached or not counts.failed + counts.cancelled else ExitCode.LACKING


class Service:
    """One command at work on the queue of one installation."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        reporter: Reporter | None = None,
        *,
        signals: bool = True,
    ) -> None:
        """Args: `signals` False leaves the process's signals to whoever runs the service."""
        self._signals = signals
        self._scope = anyio.CancelScope()
        self._paths = paths
        self._settings = settings
        allow(settings.images.memory_mb)
        self._reporter = reporter or Silence()
        self._specs: dict[RunId, RunSpec] = {}
        self._sources = Sources(paths, settings, self._reporter, specs=self._specs, now_ms=now_ms)
        self._strangers = Strangers()
        self._dispatcher: Dispatcher | None = None
        self._interrupted = False
        self._looking: anyio.CancelScope | None = None
        """While it is looked what there is to do, which a signal may cut off."""
        self._as_it_is = False
        self._told_pods: set[PodRowId] = set()
        """Whose price was told, of pods that another process rented for the run."""
        self._since_ms = 0
        """When this command began."""

    async def caption(self, spec: RunSpec) -> Outcome:
        """Do what `spec` asks for, or go on with it where it stopped.

        Raises:
            CaptivError: it cannot begin; no run was made.
        """
        async with self._heard():
            return await self._caption(spec)

    async def _caption(self, spec: RunSpec) -> Outcome:
        await offload(self._paths.make_data_dir)
        with await offload(Store.open, self._paths.database) as store:
            await self._require(store, spec)
            await offload(_make_directory, spec)
            since_ms = now_ms()
            run, resumed = await commit(store, runs.open_run, spec, since_ms)
            if resumed:
                await revive(store, run)
            follower = self._opened(store, run, since_ms, resumed=resumed)
            await self._name_others(store, run)
            return await self._serve(store, run, follower)

    async def resume(self, run_id: RunId) -> Outcome:
        """Go on with a run that is in the job table, without looking for new images."""
        async with self._heard():
            return await self._resume(run_id)

    async def _resume(self, run_id: RunId) -> Outcome:
        await offload(self._paths.make_data_dir)
        with await offload(Store.open, self._paths.database) as store:
            since_ms = now_ms()
            run = await store.aread(runs.get, run_id)
            await offload(_make_directory, run.spec)
            self._as_it_is = True
            follower = self._opened(store, run, since_ms, resumed=True)
            return await self._serve(store, run, follower)

    async def _require(self, store: Store, spec: RunSpec) -> None:
        """Look whether the run can begin, before it is made.

        Captions that wait for their files need no worker: a run that has some is not looked at.

        Raises:
            CaptivError: there is an image to caption, and it could not be.
            Interrupted: a signal came.
        """
        before = await store.aread(runs.unfinished, spec.fingerprint())
        if before is not None and before.counts.captioned:
            return
        found: list[CaptivError | None] = []
        try:
            async with anyio.create_task_group() as tg:
                self._looking = tg.cancel_scope
                tg.start_soon(self._tell_of_looking)
                if not self._interrupted:
                    patience_s = FIRST_CONTACT_S
                    found.append(await self._sources.obstacle(spec, store, patience_s=patience_s))
                tg.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise leading(group) from group
        finally:
            self._looking = None
        self._reporter.phase(None)
        if not found:
            raise Interrupted("Interrupted before the run began; nothing was done.")
        if found[0] is not None:
            raise found[0]

    async def _tell_of_looking(self) -> None:
        """Say that the run is still to begin, if that takes a while."""
        await anyio.sleep(_SILENT_S)
        self._reporter.phase(Phase(Step.CHECKING))

    def _opened(self, store: Store, run: Run, since_ms: int, *, resumed: bool) -> Follower:
        self._since_ms = since_ms
        self._reporter.opened(run, resumed=resumed)
        return Follower(store, run, self._reporter, since_ms=since_ms)

    async def _name_others(self, store: Store, run: Run) -> None:
        leaderless = await offload(lease.is_free, self._paths.lock_file)
        others = await commit(store, runs.supersede, run, now_ms(), leaderless=leaderless)
        if others:
            self._reporter.warned(_others_named(others))

    async def _serve(self, store: Store, run: Run, follower: Follower) -> Outcome:
        session = await store.awrite(_begun, run.id, now_ms())
        try:
            error = await self._worked(store, session, run, follower)
            outcome = await self._outcome(store, run.id, error)
            # Whoever watches the run waits for the code, and shall not wait for the bill.
            await store.awrite(_left, run.id, session, outcome.exit_code, now_ms())
        finally:
            with anyio.CancelScope(shield=True):
                await store.awrite(lease.end_session, session, now_ms())
        with anyio.CancelScope() as self._scope:
            return replace(outcome, bill=await self._sources.bill(store, run.id))
        return outcome

    async def _worked(
        self, store: Store, session: SessionId, run: Run, follower: Follower
    ) -> CaptivError | None:
        """Work on the run; return why that ended before everything was done."""
        try:
            async with anyio.create_task_group() as tg:
                self._scope = tg.cancel_scope
                tg.start_soon(self._beat, store, session, run.id)
                if any(site.kind == "rented" for site in run.spec.placement.sites):
                    tg.start_soon(self._tell_cost, store, run.id)
                await self._work(store, session, run, follower)
                tg.cancel_scope.cancel()
        except ExceptionGroup as group:
            first = leading(group)
            if not isinstance(first, CaptivError):
                raise first from group
            return first
        return None

    async def _outcome(self, store: Store, run_id: RunId, error: CaptivError | None) -> Outcome:
        try:
            await commit(store, runs.finish_if_complete, run_id, now_ms())
        except StoreError as failed:
            error = error or failed
        run = await store.aread(runs.get, run_id)
        self._reporter.counted(run)
        return Outcome(
            run,
            self._interrupted,
            error,
            unended=self._sources.unended.all(),
            untried=await store.aread(past.failed_before, run_id, self._since_ms),
            as_it_is=self._as_it_is,
            strange=self._tell_strange(run),
        )

    def _tell_strange(self, run: Run) -> Strange | None:
        """Say once that captions mean nothing, if so, and return of how many pictures."""
        strange = self._strangers.of(run.id)
        if strange is not None:
            _log.warning("pictures strange run=%s others=%d", run.id, strange.others)
            self._reporter.warned(strange.sentence(saved=run.spec.output.save))
        return strange

    async def _work(self, store: Store, session: SessionId, run: Run, follower: Follower) -> None:
        async with anyio.create_task_group() as tg:
            intake = Intake(store, run, self._reporter, now_ms=now_ms, on_added=self._stir)
            if run.scanned:  # now: nothing holds the run open meanwhile
                with anyio.CancelScope() as self._looking:
                    if not self._interrupted:
                        await intake.restore()
                self._looking = None
            else:
                tg.start_soon(intake.scan)
            await commit(store, runs.want, run.id, session, now_ms())
            with Lease(self._paths.lock_file) as held:
                if not held.acquire():
                    await self._follow(store, run.id, held)
                    await follower.tell(at_end=not held.held)
                if held.held and not self._interrupted:
                    await self._dispatch(store, session, run.id)
            if self._interrupted:
                tg.cancel_scope.cancel()

    async def _follow(self, store: Store, run_id: RunId, held: Lease) -> None:
        """Report what the holder of the lease does, until nothing is left or the lease is ours."""
        while not (  # noqa: ASYNC110 - another process gives no event
            self._interrupted or held.acquire() or await self._followed(store, run_id)
        ):
            await anyio.sleep(_FOLLOW_S)

    def _stir(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.stir()

    async def _followed(self, store: Store, run_id: RunId) -> bool:
        """Report what the holder of the lease does; True when nothing is left to follow."""
        run = await store.aread(runs.get, run_id)
        await self._tell_prices(store, run)
        self._reporter.counted(run)
        self._reporter.phase(Phase(Step.FOLLOWING))
        return run.state is not RunState.ACTIVE or (run.scanned and not run.counts.open)

    # -- holding the lease -----------------------------------------------------------------------

    async def _dispatch(self, store: Store, session: SessionId, run_id: RunId) -> None:
        store.become_holder()
        trace = self._paths.data_dir / "preparing"
        suspects = await offload(leftover, trace)
        await store.awrite(_holding, run_id, session, now_ms())
        files = await offload(stamps, await store.aread(past.paths, suspects))
        recovered = await store.awrite(_recovered, session, files, now_ms())
        _log.info("lease taken recovered=%d suspects=%d", recovered, len(suspects))
        completer = Completer(store, self._reporter, spec_of=self._specs.__getitem__, now_ms=now_ms)
        async with AsyncExitStack() as stack:
            preparation = await stack.enter_async_context(Preparation(trace))
            tg = await stack.enter_async_context(anyio.create_task_group())
            tg.start_soon(completer.run)
            tg.start_soon(self._sources.sweep, store, session)
            self._dispatcher = Dispatcher(
                QueueContext(
                    store,
                    preparation,
                    completer,
                    self._reporter,
                    self._specs,
                    now_ms,
                    self._strangers,
                ),
                provide=self._sources.provider(store, session),
                incapable=self._sources.incapable,
            )
            if self._interrupted:
                self._dispatcher.drain()
            try:
                await self._dispatcher.serve(run_id)
            finally:
                self._dispatcher = None
                tg.cancel_scope.cancel()
                with anyio.move_on_after(_LAST_SWEEP_S, shield=True) as sweeping:
                    await self._sources.sweep(store, session)
                if sweeping.cancelled_caught:
                    with anyio.CancelScope(shield=True):
                        await self._sources.unswept(store)

    # -- signals and signs of life ---------------------------------------------------------------

    async def _beat(self, store: Store, session: SessionId, run_id: RunId) -> None:
        """Keep the run wanted for as long as this command lives."""
        while True:
            await commit(store, _still_there, run_id, session, now_ms())
            await anyio.sleep(_BEAT_S)

    async def _tell_cost(self, store: Store, run_id: RunId) -> None:
        """Tell what the run's pods have cost so far, by the ledger. Runs until cancelled."""
        while True:
            budget = await store.aread(pods.budget, run_id, None)
            self._reporter.paid(budget.spent(now_ms()))
            await anyio.sleep(_BILL_S)

    async def _tell_prices(self, store: Store, run: Run) -> None:
        """Tell once of each pod that the holder of the lease rented for the run what it costs."""
        if all(site.kind != "rented" for site in run.spec.placement.sites):
            return
        for pod in await store.aread(pods.of_run, run.id):
            if pod.state == "live" and pod.id not in self._told_pods:
                self._told_pods.add(pod.id)
                self._reporter.priced(rented_already(run.spec, run.id, pod))

    def interrupt(self) -> None:
        """Finish what is at the worker and end; the second time, end at once."""
        if self._interrupted:
            self._scope.cancel()
            return
        self._interrupted = True
        if self._looking is not None:
            self._looking.cancel()
        if self._dispatcher is not None:
            self._dispatcher.drain()

    @asynccontextmanager
    async def _heard(self) -> AsyncIterator[None]:
        """Hear the process's signals, if they are this service's, as long as the context lasts."""
        if not self._signals:
            yield
            return
        try:
            with received(ending()) as signals:
                async with anyio.create_task_group() as tg:
                    tg.start_soon(self._obey, signals)
                    yield
                    tg.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise leading(group) from group

    async def _obey(self, signals: AsyncIterable[Signals]) -> None:
        async for number in signals:
            _log.info("signal received name=%s", number.name)
            if not self._interrupted:
                limit_s = self._settings.worker.drain_limit
                self._reporter.warned(
                    f"{number.name}: finishing what is at the worker, for at most "
                    f"{limit_s:g} s; a second Ctrl-C or SIGTERM stops at once."
                )
            elif is_hangup(number):
                continue  # kernel and shell both hang up when a terminal is closed
            self.interrupt()


def _make_directory(spec: RunSpec) -> None:
    """Make the folder that the sidecars go into, if they go into one of their own."""
    if spec.output.save and spec.output.directory is not None:
        make_folder(spec.output.directory)


def _others_named(others: Sequence[Run]) -> str:
    """Return one line, however many runs somebody has left unfinished."""
    named = ", ".join(f"{other.id} ({other.counts.open} open)" for other in others)
    where = "over the same folder, with other settings"
    if len(others) == 1:
        cancel = f"captiv queue cancel {others[0].id}"
        return f"Run {named} {where}, is unfinished. `{cancel}` sets it aside."
    return f"Runs {named} {where}, are unfinished. `captiv queue cancel RUN` sets one aside."


def _begun(conn: Connection, run_id: RunId, now: int) -> SessionId:
    holding.forget(conn, run_id)
    return lease.begin_session(conn, os.getpid(), socket.gethostname(), "follower", now)


def _holding(conn: Connection, run_id: RunId, session: SessionId, now: int) -> None:
    lease.become_dispatcher(conn, session, now)
    holding.hold(conn, run_id, session)


def _left(conn: Connection, run_id: RunId, session: SessionId, code: int, now: int) -> None:
    holding.leave(conn, run_id, session, code)
    lease.end_session(conn, session, now)


def _recovered(
    conn: Connection, session: SessionId, suspects: Mapping[JobId, Stamp | None], now: int
) -> int:
    pods.release_uses(conn, session)
    jobs.charge_alone(conn, session, suspects, now)
    return jobs.recover(conn, session, list(suspects))


def _still_there(conn: Connection, run_id: RunId, session: SessionId, now: int) -> None:
    lease.beat(conn, session, now)
    runs.want(conn, run_id, session, now)
