"""A pod as a source of captions: used again or rented, waited for, ended, and paid for.

Whatever happens to a pod once it is there, `stop` ends it and asks until it is gone. The guard in
the pod ends it when this machine is not there to do so. Pods that somebody else made are only given
back, unless the run was asked to terminate them.
"""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import anyio

from captiv.clock import monotonic_s
from captiv.core import quiet
from captiv.core.fleet import Offer, Ranking
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.pods import PodRow, PodState, pod_name, unseen_end_ms
from captiv.core.quiet import Patience
from captiv.core.retry import Death
from captiv.core.startup import GivenUp
from captiv.core.timing import Timing
from captiv.errors import NoWorker, ProviderError, ProviderUnreachable
from captiv.offload import offload
from captiv.rental.adopt import Adoption
from captiv.rental.estimate import Estimator
from captiv.rental.fleet import Fleet
from captiv.rental.lifespan import Held, Lifespan
from captiv.rental.measured import past
from captiv.rental.podspec import Terms, engine_for
from captiv.rental.provision import Provisioning, RentalContext, TooDear
from captiv.rental.startup import LOOK_S, come_up, lasting_error
from captiv.rental.suspend import SleepWatch
from captiv.store import pods, runs, starts
from captiv.store.commit import commit
from captiv.workers import Address, Ended, Traits

_log = logging.getLogger(__name__)

_MAX_DEAR = 2
"""Pods that may turn out dearer than they were offered, and than is allowed."""
_MAX_HOSTS = 3
"""Hosts tried for one pod that does not come up."""
_GUARD_MARGIN_S = 60.0
"""So long before the guard's idle limit a pod that cannot be reached is given up."""
_ANSWER_S = 10.0
"""A provider that takes longer to say how a pod is says nothing."""
_LAST_LOOK_S = 10.0
"""So long the end of a run looks for a pod of which the provider never said whether it made it."""
_FRESH_S = 60.0
"""The log of an older pod may tell of losses that are long over."""


class RentedWorker:
    """One pod at a time for one lane of a run."""

    def __init__(
        self,
        context: RentalContext,
        terms: Terms,
        fleet: Fleet,
        *,
        new_token: Callable[[], str],
        patience: Patience = quiet.DEFAULT,
    ) -> None:
        """Join the fleet.

        Args:
            context: account and ledger; `stop` closes the account.
            terms: what is rented, for which run.
            fleet: what this pod shares with the run's others.
            new_token: makes a name that is used once.
            patience: when a silence is told, and how long a drain waits.
        """
        self._context = context
        self._account = context.account
        self._provider = context.account.provider
        self._ledger = context.ledger
        self._terms = terms
        self._fleet = fleet
        self._provisioning = Provisioning(
            context,
            terms,
            run_id=terms.run_id,
            new_name=lambda: pod_name(
                terms.owner.provider, terms.owner.installation, terms.run_id, new_token()
            ),
        )
        self._adoption = Adoption(context, terms, fleet, self._provisioning)
        self.traits = Traits(
            rented=True,
            look_s=LOOK_S,
            outage_s=max(0.0, terms.policy.guarded.idle_s - _GUARD_MARGIN_S),
            lost_after_s=terms.policy.lost_after_s,
            patience=replace(
                patience,
                limit_s=terms.policy.request_timeout_s,
                first_s=terms.policy.request_timeout_s,
            ),
        )
        self._held = Held()
        self._lifespan = Lifespan(context, terms, fleet, self._held)
        self._sleep = SleepWatch(context.now_ms)
        self._unanswered_s = -math.inf
        """When the provider last did not answer either."""
        self._asked_s = -math.inf
        """When the provider was last asked whether the pod is gone."""
        self._first = True
        """Whether no pod was rented for this lane yet: the next one replaces none."""
        fleet.join(self)

    def describe(self) -> str:
        """Name the worker for a person."""
        if self._held.row is None:
            return self._provider.label
        return f"{self._provider.label} pod {self._held.row.pod_id} ({self._held.row.gpu})"

    async def start(self, on_phase: OnPhase) -> Address:
        """Have a pod whose worker is ready.

        Raises:
            NoWorker: none is to be had: no offer, no money, no host that comes up.
            ProviderError: the provider refuses the key or the account.
        """
        await self._end("lost")
        await offload(self._terms.pack)
        await self._fleet.look_back(
            self._adoption.left_behind
        )  # before: it may have ended long ago
        await self._fleet.require_money()
        on_phase(Phase(Step.LOOKING))
        adopted = await self._adopt(on_phase)
        if adopted is not None:
            return adopted
        if not self._terms.policy.create:
            raise NoWorker(
                f"No pod can be used again, and {self._provider.name}.auto_create is false.",
                hint=f"Make one: captiv {self._provider.name} create.",
            )
        if not self._first:
            await self._fleet.lost()
        self._first = False
        return await self._rented(on_phase)

    def affordable(self) -> bool:
        """Whether another image may be claimed so that all ends within the run's cap."""
        self._sleep.look()
        return self._lifespan.affordable()

    async def ended(self) -> Ended | None:
        """Ask the provider whether the pod is gone; unknown counts as there.

        The provider counts calls by the minute, so it is not asked at every call of this.
        """
        fell_ms = self._sleep.look()
        if self._held.row is None or self._held.row.pod_id is None:
            return None
        if monotonic_s() - self._asked_s < self._context.ask_s:
            return None
        self._asked_s = monotonic_s()
        state = await self._state(self._held.row.pod_id)
        if state is PodState.ENDED and fell_ms is not None:
            await self._ended_meanwhile(self._held.row, fell_ms)
        if state not in (PodState.ENDED, PodState.STOPPED, PodState.FAILED):
            return None
        said = f"{self._provider.label} says that the pod is gone"
        return Ended(Death.KILLED, frozenset(), said)

    async def _state(self, pod_id: str) -> PodState | None:
        """Return what the provider says of a pod; None if it says nothing."""
        state, cut_off = None, True
        with anyio.move_on_after(_ANSWER_S):
            try:
                pod = await self._provider.get(pod_id)
                state, cut_off = PodState.ENDED if pod is None else pod.state, False
            except ProviderError as error:
                cut_off = isinstance(error, ProviderUnreachable) and not error.answered
        self._unanswered_s = monotonic_s() if cut_off else -math.inf
        return state

    @property
    def cut_off(self) -> bool:
        """Whether the provider does not answer either; what it did before a silence is over."""
        since_s = monotonic_s() - self._unanswered_s
        return since_s < self._context.ask_s + 2 * _ANSWER_S

    async def lost(self) -> Ended | None:
        """End a pod that is silent for too long."""
        said = "the pod did not answer any more"
        said += "; its guard has ended it, or will" if self.cut_off else ""
        await self._end("silent for too long")
        return Ended(Death.KILLED, frozenset(), said)

    @property
    def ends_in_s(self) -> float:
        """In how many seconds the pod's guard ends it; infinite where its part of the cap does."""
        return self._lifespan.ends_in_s

    async def tend(self) -> None:
        """Have the guard keep the pod as long as the run goes on. Runs until cancelled."""
        await self._lifespan.tend()

    async def hand_over(self) -> None:
        """End the pod shortly before its guard would: the next one replaces none that was lost."""
        await self._end("its planned end was near")
        self._first = True

    async def stop(self) -> None:
        """End the pod if this run rented it, and give it back if it only used it.

        The last lane of a run ends what an earlier command left to it, too.
        """
        with anyio.CancelScope(shield=True):
            await self._end("the run ended")
            await self._provisioning.end_doubtful(within_s=_LAST_LOOK_S)
            await self._fleet.leave(self)
            if self._fleet.abandoned:
                with suppress(ProviderError):
                    for row in await self._adoption.left_behind():
                        self._held.row = row
                        await self._end("its command was killed")
            await self._account.aclose()

    # -- as one of the fleet ---------------------------------------------------------------------

    @property
    def paying(self) -> bool:
        """Whether it has a pod."""
        return self._held.row is not None

    async def prolong(self, dollars: Decimal) -> None:
        """Let the pod live for so much longer, at most a day from now: others left their part."""
        await self._lifespan.prolong(dollars)

    # -- using one again -------------------------------------------------------------------------

    async def _adopt(self, on_phase: OnPhase) -> Address | None:
        """Use a pod that is there, if there is one."""
        while row := await self._fleet.inherit(self._adoption.left_behind):
            if (address := await self._taken_up(row, on_phase)) is not None:
                return address
        for row in await self._adoption.free():
            if (address := await self._borrowed(row, on_phase)) is not None:
                return address
        return None

    async def _taken_up(self, row: PodRow, on_phase: OnPhase) -> Address | None:
        """Use a pod that an earlier command of this run rented, ready or not yet; else end it."""
        from_ms = row.created_ms or self._context.now_ms()
        self._held.row = row
        failed: GivenUp | None = GivenUp("it is another captiv's")
        if row.version == self._terms.version:
            failed = await self._came_up(row, on_phase)
        else:
            other = f"{row.version}; this is {self._terms.version}"
            self._context.on_note(f"Pod {row.pod_id} is ended: it is another captiv's ({other}).")
        reason = failed.reason.rstrip(".") if failed else ""
        run_id = self._terms.run_id
        if reason or not await commit(self._ledger, pods.resume_use, row.id, run_id, from_ms):
            await self._end(reason)
            if failed is not None and failed.alike:
                raise lasting_error(failed, f"Pod {row.pod_id} was given up: {reason}.")
            return None
        await self._fleet.reckon()
        self._context.on_note(f"Using pod {row.pod_id} ({row.gpu}) again.")
        return self._address(row)

    async def _borrowed(self, row: PodRow, on_phase: OnPhase) -> Address | None:
        """Use a pod of somebody else, if it is still free and loads this run's model."""
        now = self._context.now_ms()
        if not await commit(self._ledger, pods.begin_use, row.id, self._terms.run_id, now):
            return None
        self._held.row, address = row, self._address(row)
        await self._fleet.reckon()
        reason = await self._adoption.load(row, on_phase)
        if not reason:
            self._context.on_note(f"Using pod {row.pod_id} ({row.gpu}) again.")
            return address
        self._fleet.unfit.add(row.id)
        self._context.on_note(f"Pod {row.pod_id} is not used: {reason}")
        await self._give_back(row)
        return None

    def _address(self, row: PodRow) -> Address:
        return self._account.address(row.pod_id or "", row.name)

    # -- renting ---------------------------------------------------------------------------------

    async def _rented(self, on_phase: OnPhase) -> Address:
        failed: GivenUp | None = None
        dear = 0
        for _ in range(_MAX_HOSTS):
            on_phase(Phase(Step.RENTING))
            row = await self._made()
            try:
                before, failed = failed, await self._timed(row, on_phase)
            except TooDear as error:
                dear += 1
                await self._end(f"it costs more than {self._terms.policy.wish.price_setting}")
                if dear >= _MAX_DEAR:
                    raise
                self._context.on_note(error.message)
                continue
            if failed is None:
                await self._provisioning.end_doubtful()
                return self._address(row)
            reason = failed.reason.rstrip(".")
            await self._end(reason)
            twice = before is not None and failed.repeats(before)
            if failed.alike or twice:
                raise lasting_error(failed, f"Pod {row.pod_id} was given up: {reason}.")
            self._context.on_note(f"Pod {row.pod_id} is given up: {reason}. Trying another host.")
        raise NoWorker(f"No pod came up; the last one: {reason}.")

    async def _made(self) -> PodRow:
        async def deadline_of(offer: Offer) -> int:
            return await self._fleet.deadline_ms(self, offer)

        try:
            self._held.row = (await self._provisioning.rent(deadline_of, self._announce)).row
        finally:
            with anyio.CancelScope(shield=True):
                await self._fleet.made(self)
        return self._held.row

    async def _announce(self, ranking: Ranking) -> None:
        """Say once in a run, before its first pod is asked for, what is expected of it."""
        if not self._fleet.announces():
            return
        run = await self._ledger.aread(runs.get, self._terms.run_id)
        policy, engine = self._terms.policy, engine_for(self._terms.policy, run.spec)
        before = await self._ledger.aread(past, self._provider.name, run.spec.captioning, engine)
        images = run.counts.pending + run.counts.running
        variant, volume = self._terms.variant, policy.volume
        estimator = Estimator(run.spec, variant, before, volume=volume, engine=engine)
        said = estimator.quote(ranking.offers[0], images).sentence(so_far=not run.enqueued)
        _log.info("rental priced run=%s %s", run.id, said)
        self._context.on_price(said)

    async def _timed(self, row: PodRow, on_phase: OnPhase) -> GivenUp | None:
        """Wait as `_came_up` for a pod that was just made, and keep how long its start took."""
        age_s = (self._context.now_ms() - (row.created_ms or row.intended_ms)) / 1000
        timing = Timing(monotonic_s() - max(0.0, age_s))

        def told(phase: Phase | None) -> None:
            nonlocal timing
            if phase is not None:
                timing = timing.enter(phase.name, monotonic_s())
            on_phase(phase)

        failed = await self._came_up(row, told)
        if failed is None:
            model, variant = self._terms.model, self._terms.variant
            await commit(
                self._ledger,
                starts.keep,
                row.id,
                timing.enter(Step.READY, monotonic_s()).startup,
                model=variant.name,
                dtype=model.dtype or "auto",
                download_bytes=variant.download_bytes,
                volume=self._terms.policy.volume,
            )
        return failed

    async def _came_up(self, row: PodRow, on_phase: OnPhase) -> GivenUp | None:
        """Wait until the worker is ready; return why it is given up, or None.

        An old pod that is only silent may be so for `lost_after`.
        """
        policy, age_s = self._terms.policy, (self._context.now_ms() - row.intended_ms) / 1000
        limit_s = policy.startup_timeout_s
        async with self._account.worker(row.pod_id or "", row.name) as worker:
            return await come_up(
                self._provider,
                worker,
                row.pod_id or "",
                timeout_s=limit_s,
                waited_s=max(0.0, min(age_s, limit_s - policy.lost_after_s)),
                fresh=age_s < _FRESH_S,
                on_phase=on_phase,
                on_pod=self._lifespan.priced,
            )

    # -- ending ----------------------------------------------------------------------------------

    async def _end(self, reason: str) -> None:
        """End the pod that this run rented, or is to end; give back any other."""
        row = self._held.row
        if row is None:
            return
        mine = row.run_id == self._terms.run_id and not row.lingers
        if not mine and not self._terms.terminate:
            await self._give_back(row)
            return
        self._held.row = None
        await self._provisioning.give_up(row, reason)
        await self._fleet.reckon()

    async def _ended_meanwhile(self, row: PodRow, heard_ms: int) -> None:
        """The pod is gone, and its guard ended it while this machine slept: paid till then."""
        now_ms = self._context.now_ms()
        at_ms = unseen_end_ms(row, self._terms.policy.guarded, heard_ms, Decimal(0), now_ms)
        with anyio.CancelScope(shield=True):
            await commit(
                self._ledger, pods.ended, row.id, at_ms, "it ended while this machine slept"
            )
        self._held.row = None
        await self._fleet.reckon()

    async def _give_back(self, row: PodRow) -> None:
        self._held.row = None
        with anyio.CancelScope(shield=True):
            await commit(
                self._ledger, pods.end_use, row.id, self._terms.run_id, self._context.now_ms()
            )
        await self._fleet.reckon()
