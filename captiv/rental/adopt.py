"""Pods that are there already: what a killed command left to its run, and what nobody uses.

A pod is spoken to only once the ledger says that this run has it. One that serves another model
loads this run's; while captions of somebody else are in it, it is waited for a while.
"""

from collections.abc import Callable
from contextlib import suppress

import anyio

from captiv.core import fleet
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.pods import PodRow
from captiv.errors import ProviderError, WorkerBusy, WorkerError, WorkerUnreachable
from captiv.rental.fleet import Fleet
from captiv.rental.podspec import Terms
from captiv.rental.provision import Renting
from captiv.rental.reconcile import close_if_gone
from captiv.rental.runpod import RunpodApi
from captiv.rental.startup import come_up
from captiv.rental.sweep import YOUNG_MS
from captiv.store import Store, pods
from captiv.workers import Address, WorkerClient


class Reuse:
    """Finds pods for one run, and has them load its model."""

    def __init__(
        self,
        api: RunpodApi,
        store: Store,
        terms: Terms,
        fleet: Fleet,
        renting: Renting,
        *,
        now_ms: Callable[[], int],
        on_note: Callable[[str], None],
        look_s: float,
    ) -> None:
        self._api = api
        self._store = store
        self._terms = terms
        self._fleet = fleet
        self._renting = renting
        self._now_ms = now_ms
        self._on_note = on_note
        self._look_s = look_s

    async def left_behind(self) -> list[PodRow]:
        """Return the pods of an earlier command of this run, which was killed.

        One whose answer it did not live to see is found by its name. One that is gone is none of
        them: it is ended in the ledger, at the time at which its guard ended it.
        """
        unsettled = [row for row in await self._store.aread(pods.unsettled) if self._earlier(row)]
        if unsettled:
            listed = {pod.name: pod for pod in await self._api.pods()}
            for row in unsettled:
                if (pod := listed.get(row.name)) is not None:
                    await self._renting.arrived(row.name, pod, row.intended_ms)
        rows = [row for row in await self._store.aread(pods.live) if self._earlier(row)]
        return [row for row in rows if not await self._gone(row)]

    async def _gone(self, row: PodRow) -> bool:
        """Whether RunPod does not know the pod any more; then it is ended in the ledger."""
        if self._now_ms() - row.intended_ms < YOUNG_MS:
            return False
        return await close_if_gone(
            self._api,
            self._store,
            row,
            self._terms.guarded,
            session=self._fleet.session,
            now_ms=self._now_ms(),
        )

    async def free(self) -> list[PodRow]:
        """Return the live pods of this installation that nobody has, and that can hold the model.

        Pods that a run will end are none of them: they go with their run.
        """
        found = [row for row in await self._store.aread(pods.live) if self._usable(row)]
        if not found:
            return []
        listed = {pod.id for pod in await self._api.pods()}
        memory: dict[str, float] = {}
        with suppress(ProviderError):
            memory = {gpu.id: float(gpu.memory_gb) for gpu in await self._api.gpus()}
        return [row for row in found if row.pod_id in listed and self._holds(row, memory)]

    async def load(self, row: PodRow, address: Address, on_phase: OnPhase) -> str:
        """Have the worker of a pod serve this run's model; return why it does not, or nothing."""
        client = WorkerClient(address.url, address.token, connections=2)
        young_s = self._terms.startup_timeout_s - (self._now_ms() - (row.created_ms or 0)) / 1000
        try:
            if young_s > 0:  # it may still be coming up, with whatever model it was made for
                await self._ready(client, row, on_phase, within_s=young_s)
            reason = await self._asked(client, row, on_phase)
            within_s = self._terms.startup_timeout_s
            return reason or await self._ready(client, row, on_phase, within_s=within_s)
        except WorkerError as error:
            return error.message
        finally:
            await client.aclose()

    async def _asked(self, client: WorkerClient, row: PodRow, on_phase: OnPhase) -> str:
        """Ask for the model; what the worker has at hand for somebody else comes first."""
        with anyio.move_on_after(self._terms.lost_after_s):
            while True:
                try:
                    await client.load(self._terms.model)
                except WorkerBusy:
                    on_phase(Phase(Step.WAITING, subject=row.pod_id or ""))
                except WorkerUnreachable as error:
                    return error.message
                else:
                    return ""
                await anyio.sleep(min(1.0, self._look_s))
        return "it captions for somebody else"

    async def _ready(
        self, client: WorkerClient, row: PodRow, on_phase: OnPhase, *, within_s: float
    ) -> str:
        return await come_up(
            self._api,
            client,
            row.pod_id or "",
            timeout_s=within_s,
            fresh=False,
            on_phase=on_phase,
            look_s=self._look_s,
        )

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
        self._on_note(
            f"Pod {row.pod_id} is not used: its {row.gpu} has {gb:g} GB; {fleet.needs(demand)}."
        )
        return False
