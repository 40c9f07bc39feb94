"""How a pod is made, for a run or by hand, so that none is unknown and none costs too much.

The intent is in the ledger before the provider is asked; the id is in it the moment it arrives, in
one transaction with the use of whoever pays for the pod; a question without an answer is settled by
the unique name, at once or, where the service said that it failed, later (`end_doubtful`); and a
pod that turns out dearer than allowed is ended at once.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import anyio

from captiv.core import fleet
from captiv.core.cost import micro, money, price_of, rate
from captiv.core.fleet import Move, NoOffer, Offer
from captiv.core.jobs import RunId
from captiv.core.pods import PodRow, PodRowId
from captiv.errors import (
    AccessDenied,
    NoCapacity,
    PodMayExist,
    ProviderBusy,
    ProviderError,
    UsageError,
)
from captiv.rental import sweep
from captiv.rental.podspec import Terms, create_request, offers_of
from captiv.rental.runpod import Pod, RunpodApi
from captiv.rental.runpod.contents import known
from captiv.store import Connection, Store, pods

_log = logging.getLogger(__name__)

LOOK_S = 2.0


class Rented(NamedTuple):
    """A pod that was made: as the ledger has it, as RunPod answered, and what was asked for."""

    row: PodRow
    pod: Pod
    offer: Offer


class Renting:
    """Makes pods on the same terms, for one run or by hand."""

    def __init__(
        self,
        api: RunpodApi,
        store: Store,
        terms: Terms,
        *,
        run_id: RunId | None,
        token_of: Callable[[str], str],
        new_name: Callable[[], str],
        now_ms: Callable[[], int],
        on_note: Callable[[str], None],
        look_s: float = LOOK_S,
        settling_s: Callable[..., float] = fleet.settling_s,
    ) -> None:
        """Prepare to rent.

        Args:
            api: the account.
            store: the ledger, to be written.
            terms: what is asked for.
            run_id: who pays; None if a person makes the pod.
            token_of: the worker's token, by the pod's name.
            new_name: a name that is used once.
            now_ms: the time.
            on_note: tells a person.
            look_s: how often it is looked for a pod whose answer never came.
            settling_s: how long, if the service itself `answered` or did not.
        """
        self._api = api
        self._store = store
        self._terms = terms
        self._run_id = run_id
        self._token_of = token_of
        self._new_name = new_name
        self._now_ms = now_ms
        self._on_note = on_note
        self._look_s = look_s
        self._settling_s = settling_s
        self._doubtful: set[str] = set()
        """Names of pods that RunPod seems not to have made; their intents are open."""

    async def rent(self, deadline_of: Callable[[Offer], Awaitable[int | None]]) -> Rented:
        """Make a pod from the first offer that can be had.

        Args:
            deadline_of: when the guard of a pod from this offer ends it in any case, in ms; it
                raises what speaks against renting it at all.

        Raises:
            ConfigurationError: what the pod is to run cannot be had.
            NoCapacity: there is no offer, or none can be had.
            ProviderError: RunPod refuses.
            UsageError: the GPU type that was named with the command is none.
        """
        self._terms = await known(self._api, self._terms)
        offers = offers_of(await self._api.gpus())
        ranking = fleet.candidates(offers, self._terms.demand, self._terms.wish)
        if isinstance(ranking, NoOffer):
            if ranking.missing == "type":
                raise UsageError(ranking.reason, hint=ranking.hint)
            raise NoCapacity(ranking.reason)
        for note in ranking.notes:
            self._on_note(note)
        refused: list[ProviderError] = []
        for tried, offer in enumerate(ranking.offers[: fleet.MAX_TRIES], start=1):
            had = await self._patiently(offer, tried, deadline_of)
            if isinstance(had, Rented):
                return had
            refused.append(had)
        if all(isinstance(error, AccessDenied) for error in refused):
            raise refused[-1]  # not for want of machines
        raise NoCapacity(
            "RunPod has no capacity for any GPU that fits, at the allowed price "
            f"({len(refused)} tried; the last: {refused[-1].detail or refused[-1].message})."
        )

    async def arrived(self, name: str, pod: Pod, asked_ms: int) -> PodRow | None:
        """Keep what RunPod answered, and pay from the pod's first second; None: it must not live.

        RunPod's clock may be another; the pod was made after it was asked for.
        """
        now_ms = self._now_ms()
        began_ms = int(pod.created_at.timestamp() * 1000) if pod.created_at else now_ms
        created_ms = max(asked_ms, min(began_ms, now_ms))
        price, url = micro(money(pod.cost_per_hour)), self._terms.url(pod.id)
        row = await self._store.awrite(
            _kept, name, pod.id, price, created_ms, url, run_id=self._run_id
        )
        if row is None:
            await sweep.end(self._api, pod.id)
        return row

    async def give_up(self, row: PodRow, reason: str) -> bool:
        """End a pod; tell whether it is gone.

        One of a run that is still there is found by the next sweep, for it is ended in the ledger
        and listed. One that was made by hand no sweep would end: it stays live in the ledger.
        """
        with anyio.CancelScope(shield=True):
            if row.made_by == "run":  # before: killed in between, captiv would go on paying for it
                await self._store.awrite(pods.ended, row.id, self._now_ms(), reason)
            gone = await sweep.end(self._api, row.pod_id or "")
            if gone:
                await self._store.awrite(_gone, row.id, self._now_ms(), reason)
        if not gone:
            self._on_note(
                f"Pod {row.pod_id} could not be ended, and bills until its guard ends it: "
                f"captiv runpod terminate {row.pod_id}"
            )
        return gone

    async def end_doubtful(self) -> None:
        """End the pods that were made after all, though nothing was said or seen of them before.

        They are paid for like any other. One that is not listed is given up once it has been asked
        for long enough ago; until then its intent stays open, for the next look or the next start.
        """
        if not self._doubtful:
            return
        with anyio.CancelScope(shield=True), suppress(ProviderError):
            listed = {pod.name: pod for pod in await self._api.pods()}
            for row in await self._store.aread(pods.unsettled):
                if row.name not in self._doubtful:
                    continue
                if (pod := listed.get(row.name)) is not None:
                    await self._too_late(row, pod)
                elif fleet.never_made(row.intended_ms, self._now_ms()):
                    await self._store.awrite(
                        pods.ended, row.id, self._now_ms(), sweep.NEVER_ANSWERED
                    )

    async def _too_late(self, row: PodRow, pod: Pod) -> None:
        arrived = await self.arrived(row.name, pod, row.intended_ms)
        if arrived is not None:
            self._on_note(
                f"Pod {pod.id}, which RunPod said it could not make, was there; ending it."
            )
            await self.give_up(arrived, "it came when another was rented already")

    async def _patiently(
        self, offer: Offer, tried: int, deadline_of: Callable[[Offer], Awaitable[int | None]]
    ) -> Rented | ProviderError:
        """Rent this offer, waiting where RunPod asks for it; why not, if another may do."""
        waited = 0
        while True:
            try:
                return await self._ask_for(offer, await deadline_of(offer))
            except ProviderError as error:
                retry_after_s = error.retry_after_s if isinstance(error, ProviderBusy) else None
                step = fleet.next_after(
                    error.code, tried=tried, waited=waited, retry_after_s=retry_after_s
                )
                if step.move is Move.NEXT or isinstance(error, NoCapacity | AccessDenied):
                    return error  # of the last one, `rent` says that there were no more
                if step.move is not Move.WAIT:
                    raise
                waited += 1
                await anyio.sleep(step.wait_s)

    async def _ask_for(self, offer: Offer, deadline_ms: int | None) -> Rented:
        name, now = self._new_name(), self._now_ms()
        row_id = await self._intend(name, offer, deadline_ms, now)
        with anyio.CancelScope(shield=True):
            try:
                pod = await self._made(name, offer, deadline_ms)
            except PodMayExist as error:
                self._doubtful.add(name)
                raise NoCapacity(f"{error.message} It is not listed.") from error
            except ProviderError as error:
                await self._store.awrite(pods.ended, row_id, self._now_ms(), error.message)
                raise
            row = await self.arrived(name, pod, now)
        if row is None:
            raise NoCapacity(f"{name} was given up before RunPod answered.")
        price = price_of(row.price_micro)
        if price > self._terms.wish.max_price_usd_h:
            await self.give_up(row, "it costs more than runpod.max_price")
            raise NoCapacity(f"{offer.gpu_id} turned out to cost {rate(price)}, and was ended.")
        _log.info("pod rented pod=%s gpu=%s", pod.id, offer.gpu_id)
        return Rented(row, pod, offer)

    async def _intend(
        self, name: str, offer: Offer, deadline_ms: int | None, now_ms: int
    ) -> PodRowId:
        return await self._store.awrite(
            pods.intend,
            name,
            run_id=self._run_id,
            gpu=offer.gpu_id,
            cloud=offer.cloud,
            price_micro=micro(offer.price_usd_h),
            version=self._terms.version,
            deadline_ms=deadline_ms,
            now_ms=now_ms,
            lingers=self._run_id is not None and self._terms.lingers,
        )

    async def _made(self, name: str, offer: Offer, deadline_ms: int | None) -> Pod:
        """Ask RunPod for the pod; an answer that never comes is settled by the name.

        Raises:
            PodMayExist: it is not listed.
            ProviderError: RunPod refuses.
        """
        sha256 = hashlib.sha256(self._token_of(name).encode()).hexdigest()
        deadline_s = None if deadline_ms is None else deadline_ms // 1000
        try:
            return await self._api.create(
                create_request(self._terms, offer, name, sha256, deadline_s)
            )
        except PodMayExist as error:
            found = await self._settled(name, self._settling_s(answered=error.answered))
            if found is None:
                raise
            return found

    async def _settled(self, name: str, within_s: float) -> Pod | None:
        """Find out by its name whether a pod exists whose answer never came."""
        with anyio.move_on_after(within_s):
            while True:
                with suppress(ProviderError):
                    for pod in await self._api.pods():
                        if pod.name == name:
                            return pod
                await anyio.sleep(min(self._look_s, 5.0))
        return None


def _gone(conn: Connection, row_id: PodRowId, now_ms: int, reason: str) -> None:
    """Record that the pod is gone, whether it was called ended before or not."""
    pods.ended(conn, row_id, now_ms, reason)
    pods.gone(conn, row_id, now_ms)


def _kept(
    conn: Connection,
    name: str,
    pod_id: str,
    price_micro: int,
    created_ms: int,
    url: str,
    *,
    run_id: RunId | None,
) -> PodRow | None:
    """Record that the pod came, and that this run pays for it, in one transaction."""
    if not pods.arrived(conn, name, pod_id, price_micro, created_ms, url):
        return None
    row = pods.find(conn, pod_id)
    assert row is not None
    if run_id is not None:
        pods.begin_use(conn, row.id, run_id, created_ms)
    return row
