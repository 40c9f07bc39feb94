"""Pods that are there already: what a killed command left to its run, and what nobody uses.

A pod is spoken to only once the ledger says that this run has it. One that serves another model
loads this run's; while captions of somebody else are in it, it is waited for a while.
"""

from contextlib import suppress

import anyio

from captiv.core import fleet
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.pods import PodRow
from captiv.errors import (
    ConfigurationError,
    ProviderError,
    WorkerBusy,
    WorkerError,
    WorkerUnreachable,
)
from captiv.rental.fleet import Fleet
from captiv.rental.podspec import Terms
from captiv.rental.provision import Provisioning, RentalContext
from captiv.rental.reconcile import close_if_gone
from captiv.rental.startup import come_up
from captiv.rental.sweep import YOUNG_MS
from captiv.store import pods
from captiv.workers import WorkerClient


class Adoption:
    """Finds pods for one run, and has them load its model."""

    def __init__(
        self, context: RentalContext, terms: Terms, fleet: Fleet, provisioning: Provisioning
    ) -> None:
        self._context = context
        self._provider = context.account.provider
        self._ledger = context.ledger
        self._terms = terms
        self._fleet = fleet
        self._provisioning = provisioning

    async def left_behind(self) -> list[PodRow]:
        """Return the pods of an earlier command of this run, which was killed.

        One whose answer it did not live to see is found by its name. One that is gone is none of
        them: it is ended in the ledger, at the time at which its guard ended it.
        """
        name = self._provider.name
        asked = await self._ledger.aread(pods.unsettled, name)
        unsettled = [row for row in asked if self._earlier(row)]
        if unsettled:
            listed = {pod.name: pod for pod in await self._provider.list()}
            for row in unsettled:
                if (pod := listed.get(row.name)) is not None:
                    await self._provisioning.arrived(row.name, pod, row.intended_ms)
        rows = [row for row in await self._ledger.aread(pods.live, name) if self._earlier(row)]
        return [row for row in rows if not await self._gone(row)]

    async def _gone(self, row: PodRow) -> bool:
        """Whether the provider does not know the pod any more; then it is ended in the ledger."""
        if self._context.now_ms() - row.intended_ms < YOUNG_MS:
            return False
        return await close_if_gone(
            self._context.account,
            self._ledger,
            row,
            session=self._fleet.session,
            now_ms=self._context.now_ms(),
        )

    async def free(self) -> list[PodRow]:
        """Return the live pods of this installation that nobody has, and that can hold the model.

        Pods that a run will end are none of them: they go with their run.
        """
        live = await self._ledger.aread(pods.live, self._provider.name)
        found = [row for row in live if self._usable(row)]
        if not found:
            return []
        listed = {pod.id for pod in await self._provider.list()}
        memory: dict[str, float] = {}
        with suppress(ProviderError, ConfigurationError):
            memory = {offer.gpu_id: offer.vram_gb for offer in await self._provider.offers()}
        return [row for row in found if row.pod_id in listed and self._holds(row, memory)]

    async def load(self, row: PodRow, on_phase: OnPhase) -> str:
        """Have the worker of a pod serve this run's model; return why it does not, or nothing."""
        within_s = self._terms.policy.startup_timeout_s
        young_s = within_s - (self._context.now_ms() - (row.created_ms or 0)) / 1000
        try:
            async with self._context.account.worker(row.pod_id or "", row.name) as worker:
                if young_s > 0:  # it may still be coming up, with the model it was made for
                    await self._ready(worker, row, on_phase, within_s=young_s)
                reason = await self._asked(worker, row, on_phase)
                return reason or await self._ready(worker, row, on_phase, within_s=within_s)
        except WorkerError as error:
            return error.message

    async def _asked(self, client: WorkerClient, row: PodRow, on_phase: OnPhase) -> str:
        """Ask for the model; what the worker has at hand for somebody else comes first."""
        with anyio.move_on_after(self._terms.policy.lost_after_s):
            while True:
                try:
                    await client.load(self._terms.model)
                except WorkerBusy:
                    on_phase(Phase(Step.WAITING, subject=row.pod_id or ""))
                except WorkerUnreachable as error:
                    return error.message
                else:
                    return ""
                await anyio.sleep(min(1.0, self._context.look_s))
        return "it captions for somebody else"

    async def _ready(
        self, client: WorkerClient, row: PodRow, on_phase: OnPhase, *, within_s: float
    ) -> str:
        failed = await come_up(
            self._provider,
            client,
            row.pod_id or "",
            timeout_s=within_s,
            fresh=False,
            on_phase=on_phase,
            look_s=self._context.look_s,
        )
        return failed.reason if failed else ""

    def _earlier(self, row: PodRow) -> bool:
        mine = row.run_id == self._terms.run_id and not row.lingers
        return mine and row.intended_ms < self._fleet.began_ms

    def _usable(self, row: PodRow) -> bool:
        theirs = row.made_by == "run" and not row.lingers
        fit = row.version == self._terms.version and row.id not in self._fleet.unfit
        return fit and not theirs and not row.users

    def _holds(self, row: PodRow, memory: dict[str, float]) -> bool:
        """Whether the pod's GPU holds the model, as far as that is known; else say so, once."""
        gb, demand = memory.get(row.gpu), self._terms.demand
        if gb is None or fleet.fits(gb, demand):
            return True
        self._fleet.unfit.add(row.id)
        self._context.on_note(
            f"Pod {row.pod_id} is not used: its {row.gpu} has {gb:g} GB; {fleet.needs(demand)}."
        )
        return False
