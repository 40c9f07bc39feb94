"""The composition root: puts store, workers and dispatcher together, takes the lease, owns signals.

A command enqueues its run and then either holds the lease and dispatches, or follows the process
that does. When that one dies, or has finished its own run, the follower takes the lease and goes on
with the run that it follows, and no other. The first signal drains, the second stops at once.
"""

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import anyio

from captiv.catalog import ImagePolicy, family_named
from captiv.core.cost import total
from captiv.core.jobs import JobId, Run, RunId, RunState, SessionId
from captiv.core.spec import Captioning, RunSpec
from captiv.dispatch.commit import commit
from captiv.dispatch.completions import Completions
from captiv.dispatch.dispatcher import WANTED_MS, Dispatcher
from captiv.dispatch.events import Reporter, Silence
from captiv.dispatch.following import Following
from captiv.dispatch.intake import Intake
from captiv.dispatch.preparation import Preparation, leftover
from captiv.dispatch.rental import Rental
from captiv.dispatch.supply import Supply
from captiv.dispatch.sweep import sweep
from captiv.dispatch.terms import terms_of
from captiv.errors import CaptivError, ConfigurationError, ProviderError, StoreError, leading
from captiv.runpod import RunpodApi
from captiv.settings import Paths, Secret, Settings, installation_secret, worker_token
from captiv.store import Connection, Lease, Store, jobs, lease, pods, runs
from captiv.workers import LocalWorker, UrlWorker, WorkerSource
from captiv.workers.local import LocalSettings

_log = logging.getLogger(__name__)

_BEAT_S = 2.0
_FOLLOW_S = 0.5
_LAST_SWEEP_S = 20.0
_SUSPICIOUS_MS = 24 * 3_600_000
"""A pod that was ended in this time is looked for again: RunPod may not have done it."""
ENGINE_VARIABLE = "CAPTIV_ENGINE"
"""`module:attribute` of an engine for local workers instead of the family's; for tests."""
ENGINE_OPTIONS_VARIABLE = "CAPTIV_ENGINE_OPTIONS"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    run: Run
    interrupted: bool = False
    error: CaptivError | None = None
    """Why it ended before everything was done."""
    cost: Decimal | None = None
    """This run's share of what its pods cost, in dollars; None if it rented none."""

    @property
    def exit_code(self) -> int:
        """0 only when every image asked for has its caption."""
        counts = self.run.counts
        complete = self.run.scanned and not counts.open
        if self.interrupted and not complete:
            return 130
        if self.error is not None:
            return self.error.exit_code
        return 0 if complete and not counts.failed and not counts.cancelled else 1


def now_ms() -> int:
    """Return the time as the store keeps it."""
    return time.time_ns() // 1_000_000


class Service:
    """One command at work on the queue of one installation."""

    def __init__(self, paths: Paths, settings: Settings, reporter: Reporter | None = None) -> None:
        self._paths = paths
        self._settings = settings
        self._reporter = reporter or Silence()
        self._specs: dict[RunId, RunSpec] = {}
        self._dispatcher: Dispatcher | None = None
        self._interrupted = False

    async def caption(self, spec: RunSpec) -> Outcome:
        """Do what `spec` asks for, or go on with it where it stopped."""
        self._paths.make_data_dir()
        with await anyio.to_thread.run_sync(Store.open, self._paths.database) as store:
            since_ms = now_ms()
            run, resumed = await commit(store, runs.open_run, spec, since_ms)
            following = await self._opened(store, run, since_ms, resumed=resumed)
            await self._name_others(store, run)
            scan = not (resumed and run.scanned and spec.selection.fixed)
            return await self._serve(store, run, following, scan=scan)

    async def resume(self, run_id: RunId) -> Outcome:
        """Go on with a run that is in the job table, without looking for new images."""
        self._paths.make_data_dir()
        with await anyio.to_thread.run_sync(Store.open, self._paths.database) as store:
            since_ms = now_ms()
            run = await store.aread(runs.get, run_id)
            following = await self._opened(store, run, since_ms, resumed=True)
            return await self._serve(store, run, following, scan=not run.scanned)

    async def _opened(self, store: Store, run: Run, since_ms: int, *, resumed: bool) -> Following:
        self._reporter.opened(run, resumed=resumed)
        following = Following(store, run.id, self._reporter, since_ms=since_ms)
        if resumed:
            await following.tell_failures()
        return following

    async def _name_others(self, store: Store, run: Run) -> None:
        for other in await store.aread(runs.overlapping, run.spec):
            self._reporter.warned(
                f"Run {other.id} over the same folder, with other settings, is unfinished "
                f"({other.counts.open} images). `captiv queue cancel {other.id}` sets it aside."
            )

    async def _serve(self, store: Store, run: Run, following: Following, *, scan: bool) -> Outcome:
        session = await store.awrite(
            lease.begin_session, os.getpid(), socket.gethostname(), "follower", now_ms()
        )
        error: CaptivError | None = None
        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._watch_signals, tg.cancel_scope)
                tg.start_soon(self._beat, store, session, run.id)
                await self._work(store, session, run, following, scan)
                tg.cancel_scope.cancel()
        except ExceptionGroup as group:
            first = leading(group)
            if not isinstance(first, CaptivError):
                raise first from group
            error = first
        finally:
            with anyio.CancelScope(shield=True):
                await store.awrite(lease.end_session, session, now_ms())
        return await self._outcome(store, run.id, error)

    async def _outcome(self, store: Store, run_id: RunId, error: CaptivError | None) -> Outcome:
        try:
            await commit(store, runs.finish_if_complete, run_id, now_ms())
        except StoreError as failed:
            error = error or failed
        run = await store.aread(runs.get, run_id)
        self._reporter.counted(run)
        shares = await store.aread(pods.share, run_id, now_ms())
        return Outcome(run, self._interrupted, error, total(shares) if shares else None)

    async def _work(
        self, store: Store, session: SessionId, run: Run, following: Following, scan: bool
    ) -> None:
        async with anyio.create_task_group() as tg:
            if scan:
                tg.start_soon(self._scan, store, run)
            await commit(store, runs.want, run.id, session, now_ms())
            with Lease(self._paths.lock_file) as held:
                if not held.acquire():
                    await self._follow(store, run.id, held)
                    await following.tell(at_end=not held.held)
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

    async def _scan(self, store: Store, run: Run) -> None:
        intake = Intake(store, run, self._reporter, now_ms=now_ms, on_added=self._stir)
        await intake.scan()

    def _stir(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.stir()

    async def _followed(self, store: Store, run_id: RunId) -> bool:
        """Report what the holder of the lease does; True when nothing is left to follow."""
        run = await store.aread(runs.get, run_id)
        self._reporter.counted(run)
        self._reporter.phase("another captiv is at work; following it")
        return run.state is not RunState.ACTIVE or (run.scanned and not run.counts.open)

    # -- holding the lease -----------------------------------------------------------------------

    async def _dispatch(self, store: Store, session: SessionId, run_id: RunId) -> None:
        store.become_holder()
        trace = self._paths.data_dir / "preparing"
        suspects = await anyio.to_thread.run_sync(leftover, trace)
        await store.awrite(lease.become_dispatcher, session, now_ms())
        recovered = await store.awrite(_recovered, session, suspects, now_ms())
        _log.info("lease taken recovered=%d suspects=%d", recovered, len(suspects))
        completions = Completions(
            store, self._reporter, spec_of=self._specs.__getitem__, now_ms=now_ms
        )
        async with AsyncExitStack() as stack:
            preparation = await stack.enter_async_context(Preparation(trace))
            tg = await stack.enter_async_context(anyio.create_task_group())
            tg.start_soon(completions.run)
            tg.start_soon(self._sweep, store)
            self._dispatcher = Dispatcher(
                store,
                session,
                provide=self._provider(store, session),
                preparation=preparation,
                completions=completions,
                reporter=self._reporter,
                specs=self._specs,
                now_ms=now_ms,
                pod_lost_after_s=self._settings.runpod.lost_after,
            )
            if self._interrupted:
                self._dispatcher.drain()
            try:
                await self._dispatcher.serve(run_id)
            finally:
                self._dispatcher = None
                tg.cancel_scope.cancel()
                with anyio.move_on_after(_LAST_SWEEP_S, shield=True):
                    await self._sweep(store)

    def _provider(
        self, store: Store, session: SessionId
    ) -> Callable[[Run], tuple[WorkerSource, Supply]]:
        secret = installation_secret(self._paths.secret_file)

        def provide(run: Run) -> tuple[WorkerSource, Supply]:
            supply = Supply(
                store,
                session,
                installation=secret.id,
                policy=_policy(run.spec.captioning),
                specs=self._specs,
            )
            return self._source(store, run, secret), supply

        return provide

    def _source(self, store: Store, run: Run, secret: Secret) -> WorkerSource:
        placement, captioning = run.spec.placement, run.spec.captioning
        if placement.kind == "runpod":
            return self._rental(store, run, secret)
        if placement.kind == "url":
            token = self._settings.worker.token
            if token is None:
                raise ConfigurationError(
                    "The worker's token is not known.",
                    hint="Set CAPTIV_WORKER_TOKEN, or `captiv config set worker.token`.",
                )
            return UrlWorker(
                placement.url or "", token.get_secret_value(), insecure=placement.insecure
            )
        local = LocalSettings(
            model=captioning.model,
            variant=captioning.variant,
            source=captioning.source,
            device=placement.device,
            dtype=captioning.dtype,
            batch_size=placement.batch_size,
            engine=os.environ.get(ENGINE_VARIABLE),
            engine_options=os.environ.get(ENGINE_OPTIONS_VARIABLE),
        )
        log = self._paths.log_file.with_name("worker.log")
        return LocalWorker(local, folder=self._paths.data_dir, log=log)

    async def _sweep(self, store: Store) -> None:
        """End the pods of this installation that nobody needs.

        At the start, beside the run; and at its end, when a pod of an earlier command of this very
        run, which had nothing left to caption, is nobody's either.
        """
        key = self._settings.runpod.api_key
        billing = await store.aread(_has_pods)
        if key is None:
            if billing:
                self._reporter.warned("Pods of earlier runs may bill, and there is no API key.")
            return
        if not billing and not await store.aread(pods.recent, now_ms() - _SUSPICIOUS_MS):
            return
        secret = installation_secret(self._paths.secret_file)
        try:
            async with RunpodApi(key.get_secret_value(), url=self._settings.runpod.api_url) as api:
                since_ms = now_ms() - WANTED_MS
                swept = await sweep(api, store, secret.id, now_ms, wanted_since_ms=since_ms)
        except ProviderError as error:
            self._reporter.warned(f"Pods of earlier runs could not be looked for: {error.message}")
            return
        for pod in swept:
            if pod.outcome in ("terminated", "still there"):
                self._reporter.warned(f"Pod {pod.pod_id}: {pod.outcome} ({pod.reason}).")

    def _rental(self, store: Store, run: Run, secret: Secret) -> WorkerSource:
        key = self._settings.runpod.api_key
        if key is None:
            raise ConfigurationError(
                "There is no RunPod API key.",
                hint="captiv config set runpod.api_key, or RUNPOD_API_KEY.",
            )
        return Rental(
            RunpodApi(key.get_secret_value(), url=self._settings.runpod.api_url),
            store,
            terms_of(run, self._settings, secret.id),
            token_of=partial(worker_token, secret),
            new_token=lambda: secrets.token_hex(6),
            now_ms=now_ms,
            on_note=self._reporter.warned,
        )

    # -- signals and signs of life ---------------------------------------------------------------

    async def _beat(self, store: Store, session: SessionId, run_id: RunId) -> None:
        """Keep the run wanted for as long as this command lives."""
        while True:
            await commit(store, _still_there, run_id, session, now_ms())
            await anyio.sleep(_BEAT_S)

    async def _watch_signals(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(*_watched()) as received:
            async for number in received:
                if self._interrupted:
                    scope.cancel()
                    return
                self._interrupted = True
                self._reporter.warned(
                    f"{signal.Signals(number).name}: finishing what is at the worker; "
                    "once more stops at once."
                )
                if self._dispatcher is not None:
                    self._dispatcher.drain()


def _watched() -> list[signal.Signals]:
    """Return the signals that end a run; not those that captiv was told to ignore (nohup)."""
    ending = [signal.SIGINT, signal.SIGTERM]
    with suppress(AttributeError):
        ending.append(signal.SIGHUP)
    return [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]


def _has_pods(conn: Connection) -> bool:
    return bool(pods.live(conn) or pods.unsettled(conn))


def _recovered(conn: Connection, session: SessionId, suspects: Collection[JobId], now: int) -> int:
    jobs.charge_alone(conn, session, suspects, now)
    return jobs.recover(conn, session, suspects)


def _still_there(conn: Connection, run_id: RunId, session: SessionId, now: int) -> None:
    lease.beat(conn, session, now)
    runs.want(conn, run_id, session, now)


def _policy(captioning: Captioning) -> ImagePolicy:
    family = family_named(captioning.model)
    assert family is not None
    return family.image
