"""A pod as a source of captions: used again or rented, waited for, ended, and paid for.

The order is what keeps money from being lost. The intent is in the ledger before the provider is
asked; the id is in it the moment it arrives; a question without an answer is settled by the unique
name; and whatever happens afterwards, `stop` ends the pod and asks until it is gone. The guard in
the pod ends it when this machine is not there to do so.
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import anyio

from captiv.core import fleet
from captiv.core.cost import claims_allowed, cost, deadline_ms, micro, money, price_of, total
from captiv.core.fleet import Move, NoOffer, Offer
from captiv.core.pods import PodRow, PodRowId, pod_name
from captiv.core.retry import Death
from captiv.core.startup import Seen, Start, Waiting
from captiv.dispatch import sweep
from captiv.dispatch.terms import Terms, create_request, offers_of
from captiv.errors import (
    BudgetSpent,
    NoCapacity,
    NoWorker,
    PodMayExist,
    ProviderBusy,
    ProviderError,
    WorkerError,
    WorkerUnreachable,
)
from captiv.runpod import Pod, RunpodApi
from captiv.store import Store, pods
from captiv.wire import Health
from captiv.workers import Address, Ended, OnPhase, WorkerClient

_log = logging.getLogger(__name__)

_MAX_RENTALS = 3
"""The first, and two replacements a run."""
_MAX_HOSTS = 3
"""Hosts tried for one pod that does not come up."""
_LOOK_S = 2.0
_IN_FLIGHT_S = 20.0
_WIND_DOWN_S = 10.0
"""What is at the worker, and the pod's own end, still cost when claiming stops."""
_SETTLE_S = 60.0
"""A new pod may be missing in the list at first."""


class Rental:
    """Rents one pod at a time for a run."""

    def __init__(
        self,
        api: RunpodApi,
        store: Store,
        terms: Terms,
        *,
        token_of: Callable[[str], str],
        new_token: Callable[[], str],
        now_ms: Callable[[], int],
        on_note: Callable[[str], None],
        look_s: float = _LOOK_S,
    ) -> None:
        """Args: `token_of` a pod's name; `new_token` for a name; `on_note` tells the person."""
        self._api = api
        self._store = store
        self._terms = terms
        self._token_of = token_of
        self._new_token = new_token
        self._now_ms = now_ms
        self._on_note = on_note
        self._look_s = look_s
        self._began_ms = now_ms()
        self._row: PodRow | None = None
        self._rentals = 0
        self._spent = Decimal(0)
        """On pods of this run that have ended, whichever command rented them."""

    def describe(self) -> str:
        """Name the worker for a person."""
        if self._row is None:
            return "RunPod"
        return f"RunPod pod {self._row.pod_id} ({self._row.gpu})"

    async def start(self, on_phase: OnPhase) -> Address:
        """Have a pod whose worker is ready.

        Raises:
            NoWorker: none is to be had: no offer, no money, no host that comes up.
            ProviderError: RunPod refuses the key or the account.
        """
        await self._end("lost")
        await self._reckon()
        on_phase("looking for a pod")
        adopted = await self._adopt(on_phase)
        if adopted is not None:
            return adopted
        if not self._terms.create:
            raise NoWorker(
                "No pod can be used again, and runpod.auto_create is false.",
                hint="Make one: captiv runpod create.",
            )
        self._rentals += 1
        if self._rentals > _MAX_RENTALS:
            raise NoWorker(f"{_MAX_RENTALS} pods were lost in this run.")
        return await self._rented(on_phase)

    def affordable(self) -> bool:
        """Whether another image may be claimed so that all ends within the run's cap."""
        row, cap = self._row, self._terms.max_cost
        if cap is None or row is None or row.created_ms is None:
            return True
        price = price_of(row.price_micro)
        spent = self._spent + cost(price, row.created_ms, self._now_ms())
        return self._allows(price, spent)

    def _allows(self, price_usd_h: Decimal, spent: Decimal) -> bool:
        rate, cap = price_usd_h / 3600, self._terms.max_cost
        return claims_allowed(spent, rate, _IN_FLIGHT_S, _WIND_DOWN_S, cap)

    async def ended(self) -> Ended | None:
        """Ask RunPod whether the pod is gone; unknown counts as there."""
        if self._row is None or self._row.pod_id is None:
            return None
        try:
            pod = await self._api.pod(self._row.pod_id)
        except ProviderError:
            return None
        if pod is not None and pod.status not in ("EXITED", "ERROR"):
            return None
        return Ended(Death.KILLED, frozenset(), "RunPod says that the pod is gone")

    async def lost(self) -> Ended | None:
        """End a pod that is silent for too long."""
        await self._end("silent for too long")
        return Ended(Death.KILLED, frozenset(), "the pod did not answer any more")

    async def stop(self) -> None:
        """End the pod if this run rented it, and give it back if it only used it."""
        with anyio.CancelScope(shield=True):
            await self._end("the run ended")
            with suppress(ProviderError):
                for row in await self._left_behind():
                    self._row = row
                    await self._end("its command was killed")
            await self._api.aclose()

    # -- using one again -------------------------------------------------------------------------

    async def _adopt(self, on_phase: OnPhase) -> Address | None:
        """Use a live pod of this installation that nobody uses, if there is one."""
        for row in await self._left_behind():
            if (address := await self._taken_up(row, on_phase)) is not None:
                return address
        listed = {pod.id: pod for pod in await self._api.pods()}
        for row in await self._store.aread(pods.live):
            free = row.users <= {self._terms.run_id}
            if free and row.pod_id in listed and row.version == self._terms.version:
                address = self._address(row)
                if await self._healthy(address) and await self._use(row.id, self._now_ms()):
                    self._row = row
                    self._on_note(f"Using pod {row.pod_id} ({row.gpu}) again.")
                    return address
        return None

    async def _taken_up(self, row: PodRow, on_phase: OnPhase) -> Address | None:
        """Use a pod that an earlier command of this run rented, ready or not yet; else end it."""
        self._row, address = row, self._address(row)
        reason = "its worker is of another version"
        if row.version == self._terms.version:
            reason = await self._came_up(address, on_phase, row.intended_ms)
        if reason or not await self._use(row.id, row.created_ms or self._now_ms()):
            await self._end(reason)
            return None
        self._on_note(f"Using pod {row.pod_id} ({row.gpu}) again.")
        return address

    async def _left_behind(self) -> list[PodRow]:
        """Return the pods of an earlier command of this run, which was killed.

        One whose answer it did not live to see is found by its name.
        """
        unsettled = [row for row in await self._store.aread(pods.unsettled) if self._earlier(row)]
        if unsettled:
            listed = {pod.name: pod for pod in await self._api.pods()}
            for row in unsettled:
                if (pod := listed.get(row.name)) is not None:
                    await self._arrived(row.name, pod, row.intended_ms)
        return [row for row in await self._store.aread(pods.live) if self._earlier(row)]

    def _earlier(self, row: PodRow) -> bool:
        mine = row.run_id == self._terms.run_id and not row.lingers
        return mine and row.intended_ms < self._began_ms

    def _address(self, row: PodRow) -> Address:
        return Address(self._terms.url(row.pod_id or ""), self._token_of(row.name))

    async def _healthy(self, address: Address) -> bool:
        client = WorkerClient(address.url, address.token)
        try:
            health = await client.health()
            await client.load(self._terms.model)
        except WorkerError:
            return False
        else:
            return health.status != "failed"
        finally:
            await client.aclose()

    async def _use(self, row: PodRowId, from_ms: int) -> bool:
        return await self._store.awrite(pods.begin_use, row, self._terms.run_id, from_ms)

    # -- renting ---------------------------------------------------------------------------------

    async def _rented(self, on_phase: OnPhase) -> Address:
        reason = ""
        for _ in range(_MAX_HOSTS):
            on_phase("renting")
            row, address = await self._create()
            reason = await self._came_up(address, on_phase, row.intended_ms)
            if not reason:
                return address
            self._on_note(f"Pod {row.pod_id} is given up: {reason}. Trying another host.")
            await self._end(reason)
        raise NoWorker(f"No pod came up; the last one: {reason}.")

    async def _create(self) -> tuple[PodRow, Address]:
        """Rent the first offer that can be had."""
        ranking = fleet.candidates(
            offers_of(await self._api.gpus()), self._terms.demand, self._terms.wish
        )
        if isinstance(ranking, NoOffer):
            raise NoWorker(ranking.reason)
        for note in ranking.notes:
            self._on_note(note)
        for tried, offer in enumerate(ranking.offers, start=1):
            had = await self._patiently(offer, tried)
            if had is not None:
                return had
        raise NoWorker("RunPod has no capacity for any GPU that fits, at the allowed price.")

    async def _patiently(self, offer: Offer, tried: int) -> tuple[PodRow, Address] | None:
        """Rent this offer, waiting where RunPod asks for it; None if another may do."""
        waited = 0
        while True:
            try:
                return await self._ask_for(offer)
            except ProviderError as error:
                retry_after_s = error.retry_after_s if isinstance(error, ProviderBusy) else None
                step = fleet.next_after(
                    error.code, tried=tried, waited=waited, retry_after_s=retry_after_s
                )
                if step.move is Move.NEXT:
                    return None
                if step.move is not Move.WAIT:
                    raise
                waited += 1
                await anyio.sleep(step.wait_s)

    async def _ask_for(self, offer: Offer) -> tuple[PodRow, Address]:
        left = await self._reckon()
        if not self._allows(offer.price_usd_h, self._spent):
            raise BudgetSpent(
                f"What is left of --max-cost does not pay for a caption on {offer.gpu_id}."
            )
        terms, now = self._terms, self._now_ms()
        name = pod_name(terms.installation, terms.run_id, self._new_token())
        token = self._token_of(name)
        deadline = deadline_ms(now, offer.price_usd_h, left)
        row_id = await self._store.awrite(
            pods.intend,
            name,
            run_id=terms.run_id,
            gpu=offer.gpu_id,
            cloud=offer.cloud,
            price_micro=micro(offer.price_usd_h),
            version=terms.version,
            deadline_ms=deadline,
            now_ms=now,
            lingers=terms.lingers,
        )
        sha256 = hashlib.sha256(token.encode()).hexdigest()
        request = create_request(terms, offer, name, sha256, deadline // 1000)
        try:
            with anyio.CancelScope(shield=True):
                try:
                    pod = await self._api.create(request)
                except PodMayExist as error:
                    found = await self._settled(name)
                    if found is None:
                        raise NoCapacity(f"{error.message} It is not listed.") from error
                    pod = found
                row = self._row = await self._arrived(name, pod, now)
        except ProviderError as error:
            await self._store.awrite(pods.ended, row_id, self._now_ms(), error.message)
            raise
        if row is None:
            raise NoCapacity(f"{name} was given up before RunPod answered.")
        if price_of(row.price_micro) > terms.wish.max_price_usd_h:
            await self._end("it costs more than runpod.max_price")
            raise NoCapacity(f"{offer.gpu_id} turned out to cost {pod.cost_per_hour} $/h.")
        _log.info("pod rented pod=%s gpu=%s", pod.id, offer.gpu_id)
        return row, self._address(row)

    async def _arrived(self, name: str, pod: Pod, asked_ms: int) -> PodRow | None:
        """Keep what RunPod answered, and pay from the pod's first second; None: it must not live.

        RunPod's clock may be another; the pod was made after it was asked for.
        """
        now_ms = self._now_ms()
        began_ms = int(pod.created_at.timestamp() * 1000) if pod.created_at else now_ms
        created_ms = max(asked_ms, min(began_ms, now_ms))
        price = micro(money(pod.cost_per_hour))
        url = self._terms.url(pod.id)
        if not await self._store.awrite(pods.arrived, name, pod.id, price, created_ms, url):
            await self._api.terminate(pod.id)
            return None
        row = await self._store.aread(pods.find, pod.id)
        assert row is not None
        await self._use(row.id, created_ms)
        return row

    async def _reckon(self) -> Decimal | None:
        """Return what is left of the cap, after every pod that any command of this run has paid.

        Raises:
            BudgetSpent: nothing.
        """
        now = self._now_ms()
        shares = await self._store.aread(pods.share, self._terms.run_id, now)
        self._spent = total(share for share in shares if share.to_ms < now)
        cap = self._terms.max_cost
        if cap is not None and self._spent >= cap:
            raise BudgetSpent("The run has cost what it may (--max-cost); the rest stays pending.")
        return None if cap is None else cap - self._spent

    async def _settled(self, name: str) -> Pod | None:
        """Find out by its name whether a pod exists whose answer never came."""
        with anyio.move_on_after(_SETTLE_S):
            while True:
                with suppress(ProviderError):
                    for pod in await self._api.pods():
                        if pod.name == name:
                            return pod
                await anyio.sleep(min(self._look_s, 5.0))
        return None

    # -- waiting ---------------------------------------------------------------------------------

    async def _came_up(self, address: Address, on_phase: OnPhase, asked_ms: int) -> str:
        """Wait until the worker is ready; return why it is given up, or nothing.

        An old pod that is only silent may be so for `lost_after`.
        """
        assert self._row is not None and self._row.pod_id is not None
        limit_s, age_s = self._terms.startup_timeout_s, (self._now_ms() - asked_ms) / 1000
        waited_s = max(0.0, min(age_s, limit_s - self._terms.lost_after_s))
        waiting = Waiting(anyio.current_time() - waited_s, limit_s)
        client = WorkerClient(address.url, address.token)
        try:
            while waiting.start is Start.WAIT:
                seen = await self._seen(client, self._row.pod_id)
                waiting = waiting.look(seen, anyio.current_time())
                on_phase(waiting.phase)
                if waiting.start is Start.WAIT:
                    await anyio.sleep(self._look_s)
        finally:
            await client.aclose()
        return "" if waiting.start is Start.READY else waiting.reason or "it did not come up"

    async def _seen(self, client: WorkerClient, pod_id: str) -> Seen:
        health: Health | None = None
        with suppress(WorkerUnreachable):
            health = await client.health()
        try:
            pod = await self._api.pod(pod_id)
        except ProviderError:
            return Seen(health=health, restarts=health.restarts if health else 0)
        return Seen(
            status="TERMINATED" if pod is None else pod.status.value,
            started=pod is not None and pod.runtime is not None,
            health=health,
            restarts=health.restarts if health else 0,
        )

    # -- ending ----------------------------------------------------------------------------------

    async def _end(self, reason: str) -> None:
        """End the pod that this run rented; give back one that it only used, or that lingers."""
        row, self._row = self._row, None
        if row is None:
            return
        mine = row.run_id == self._terms.run_id and not row.lingers
        if not mine:
            await self._store.awrite(pods.end_use, row.id, self._terms.run_id, self._now_ms())
            return
        with anyio.CancelScope(shield=True):
            gone = await sweep.end(self._api, row.pod_id or "")
            now = self._now_ms()
            await self._store.awrite(pods.ended, row.id, now, reason)
        if not gone:
            self._on_note(
                f"Pod {row.pod_id} could not be ended, and bills until its guard ends it: "
                f"captiv runpod terminate {row.pod_id}"
            )
