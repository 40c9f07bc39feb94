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
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import anyio
from anyio.abc import TaskStatus

from captiv.clock import monotonic_s
from captiv.core import fleet
from captiv.core.cost import micro, price_of, rate
from captiv.core.fleet import Move, NoOffer, Offer, Wish
from captiv.core.jobs import RunId
from captiv.core.pods import PodRow, PodRowId
from captiv.errors import (
    AccessDenied,
    NoCapacity,
    PodMayExist,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
    StoreError,
)
from captiv.rental import sweep
from captiv.rental.account import Account
from captiv.rental.podspec import Terms, pod_spec
from captiv.rental.provider import Pod
from captiv.rental.unended import Unended, UnendedPods
from captiv.store import Connection, Store, pods
from captiv.store.commit import commit

_log = logging.getLogger(__name__)

LOOK_S = 2.0
ASK_S = 5.0
"""Providers count calls by the minute, whatever they are about."""
_WRITE_FIRST_S = 1.0
"""How long the order that ends a pod waits for the ledger, which most often takes milliseconds."""


class Unclear(NoCapacity):
    """The provider gave no clear answer to a create, and the pod is not listed."""

    hint = "Try again in a few minutes."


class TooDear(NoCapacity):
    """A pod turned out to cost more than is allowed, and was ended."""


_TRIES = {AccessDenied: 3, Unclear: 3, TooDear: 2}
"""After so many errors of a kind no further offer is tried: it is not for want of machines."""


class Rented(NamedTuple):
    """A pod that was made: as the ledger has it, as the provider answered, and what was asked."""

    row: PodRow
    pod: Pod
    offer: Offer


@dataclass(frozen=True, slots=True)
class RentalContext:
    """What renting for one command works with."""

    account: Account
    ledger: Store
    now_ms: Callable[[], int]
    on_note: Callable[[str], None]
    """Tells a person."""
    look_s: float = LOOK_S
    """How often a pod that is awaited is looked for."""
    ask_s: float = ASK_S
    """How often the provider is asked about one pod, at most."""
    unended: UnendedPods = field(default_factory=UnendedPods)
    """Told of pods that were to end and were not seen to."""
    on_price: Callable[[str], None] = lambda _said: None
    """Tells a person what is expected of the pods, before the first is asked for."""

    def not_gone(self, pod_id: str) -> Unended:
        """Remember, and return, a pod that was to end and was not seen to."""
        provider = self.account.provider
        pod = Unended(provider.name, pod_id, provider.label, provider.console)
        self.unended.add([pod])
        return pod


class Provisioning:
    """Makes pods on the same terms, for one run or by hand."""

    def __init__(
        self,
        context: RentalContext,
        terms: Terms,
        *,
        run_id: RunId | None,
        new_name: Callable[[], str],
        settling_s: Callable[..., float] = fleet.settling_s,
    ) -> None:
        """Prepare to rent.

        Args:
            context: account and ledger.
            terms: what is asked for.
            run_id: who pays; None if a person makes the pod.
            new_name: a name that is used once.
            settling_s: how long a pod whose answer never came is looked for, if the service itself
                `answered` or did not.
        """
        self._context = context
        self._provider = context.account.provider
        self._ledger = context.ledger
        self._terms = terms
        self._run_id = run_id
        self._new_name = new_name
        self._settling_s = settling_s
        self._doubtful: set[str] = set()
        """Names of pods that the provider seems not to have made; their intents are open."""

    async def rent(
        self,
        deadline_of: Callable[[Offer], Awaitable[int | None]],
        announce: Callable[[fleet.Ranking], Awaitable[None]] | None = None,
    ) -> Rented:
        """Make a pod from the first offer that can be had.

        Args:
            deadline_of: when the guard of a pod from this offer ends it in any case, in ms; it
                raises what speaks against renting it at all.
            announce: is told the offers before the first of them is asked for.

        Raises:
            ConfigurationError: what the pod is to run cannot be had.
            NoCapacity: there is no offer, or none can be had.
            ProviderError: the provider refuses.
            UsageError: the GPU type that was named with the command does not exist.
        """
        await self._provider.verify(self._terms.extras, self._terms.image)
        ranking = await self._ranked()
        if announce is not None:
            await announce(ranking)
        refused: list[ProviderError] = []
        for tried, offer in enumerate(ranking.offers[: fleet.MAX_TRIES], start=1):
            had = await self._patiently(offer, tried, deadline_of)
            if isinstance(had, Rented):
                return had
            refused.append(had)
            if [error for error in refused if isinstance(error, AccessDenied)] == [had]:
                await self._require_rights()
            if all(isinstance(error, AccessDenied) for error in refused) and (
                tried in (_TRIES[AccessDenied], len(ranking.offers))
            ):
                raise self._may_not_make(had, tried)
            for kind, most in _TRIES.items():
                if sum(isinstance(error, kind) for error in refused) >= most:
                    raise refused[-1]
        raise self._no_capacity(
            f"{self._provider.label} has no capacity for any GPU that fits, at the allowed price "
            f"({len(refused)} tried; the last: {refused[-1].detail or refused[-1].message})."
        )

    async def arrived(self, name: str, pod: Pod, asked_ms: int) -> PodRow | None:
        """Keep what the provider answered, and pay from the pod's first second.

        None: the pod must not live, and is ended. It was made after it was asked for, whatever the
        clocks say.
        """
        now_ms = self._context.now_ms()
        began_ms = now_ms if pod.created_ms is None else pod.created_ms
        created_ms = max(asked_ms, min(began_ms, now_ms))
        price, url = micro(pod.price_usd_h), self._provider.url(pod.id)
        try:
            row = await commit(
                self._ledger, _kept, name, pod.id, price, created_ms, url, run_id=self._run_id
            )
        except StoreError:  # nobody would know it: it goes, whatever became of the ledger
            await self._end(pod.id)
            raise
        if row is None:
            await self._end(pod.id)
        return row

    async def give_up(self, row: PodRow, reason: str) -> bool:
        """End a pod; tell whether it is gone.

        One of a run that is still there is found by the next sweep, for it is ended in the ledger
        and listed. One that was made by hand no sweep would end: it stays live in the ledger. The
        pod is ended whatever becomes of the ledger.

        Raises:
            StoreError: the ledger could not be written; the pod was ended all the same.
        """
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tg:
                if row.made_by == "run":  # before: killed in between, captiv would pay on for it
                    written = await tg.start(self._call_ended, row, reason)
                    with anyio.move_on_after(_WRITE_FIRST_S):
                        await written.wait()
                gone = await sweep.end(self._provider, row.pod_id or "")
            if gone:
                await commit(self._ledger, _gone, row.id, self._context.now_ms(), reason)
        if not gone:
            left = self._context.not_gone(row.pod_id or "")
            self._context.on_note(f"{left.message} Its guard ends it later. {left.hint}")
        return gone

    async def _end(self, pod_id: str) -> None:
        if not await sweep.end(self._provider, pod_id):
            self._context.not_gone(pod_id)

    async def end_doubtful(self, *, within_s: float = 0.0) -> None:
        """End the pods that were made after all, though nothing was said or seen of them before.

        They are paid for like any other. One that is not listed is given up once it has been asked
        for long enough ago; until then its intent stays open, for the next look or the next start.

        Args:
            within_s: how long one that is not listed is looked for.
        """
        until_s = monotonic_s() + within_s
        with anyio.CancelScope(shield=True):
            while self._doubtful:
                with suppress(ProviderError):
                    await self._end_listed()
                left_s = until_s - monotonic_s()
                if left_s <= 0:
                    return
                if self._doubtful:
                    await anyio.sleep(min(left_s, self._context.look_s))

    async def _end_listed(self) -> None:
        """End what of the doubtful ones is listed now."""
        listed = {pod.name: pod for pod in await self._provider.list()}
        open_rows = await self._ledger.aread(pods.unsettled, self._provider.name)
        doubtful = [row for row in open_rows if row.name in self._doubtful]
        self._doubtful = {row.name for row in doubtful}
        for row in doubtful:
            if (pod := listed.get(row.name)) is not None:
                await self._too_late(row, pod)
                self._doubtful.discard(row.name)
            elif fleet.never_made(row.intended_ms, self._context.now_ms()):
                await self._ended(row.id, sweep.NEVER_ANSWERED)
                self._doubtful.discard(row.name)

    async def _ranked(self) -> fleet.Ranking:
        """Return the offers to be tried, and say what a person should know of them."""
        offers = await self._provider.offers()
        ranking = fleet.candidates(offers, self._terms.demand, self._terms.policy.wish)
        if isinstance(ranking, NoOffer):
            if ranking.missing == "type":
                raise ranking.error(self._provider.name)
            raise self._no_capacity(ranking.reason)
        for note in ranking.notes:
            self._context.on_note(note)
        return ranking

    async def _require_rights(self) -> None:
        """Tell a key that may not rent at all from hosts that this account may not use.

        Raises:
            AccessDenied: names the right that the key lacks.
        """
        with suppress(ProviderUnreachable, ProviderBusy):
            for right in await self._provider.rights():
                if right.missing is not None:
                    raise AccessDenied(
                        f"{self._provider.label}: the key may not {right.what}: {right.missing}",
                        hint=f"Give the key the right to {right.what} in the account's settings.",
                    )

    def _may_not_make(self, error: ProviderError, tried: int) -> AccessDenied:
        """Return the error of an account that was refused every offer, though it may do the rest.

        A key without this right and a pool of hosts that is not for this account read the same.
        """
        return AccessDenied(
            f"{self._provider.label} refused each of {tried} offers: the key may not make pods, or "
            f"the account may not use these hosts ({error.detail or error.message}).",
            detail=error.detail,
            hint="Give the key the right to make pods, or allow another cloud or GPU.",
        )

    def _no_capacity(self, reason: str) -> NoCapacity:
        offers = f"`captiv {self._provider.name} gpus` lists what is on offer"
        return NoCapacity(
            reason, hint=f"Try again later, or allow another cloud, GPU type or price: {offers}."
        )

    async def _too_late(self, row: PodRow, pod: Pod) -> None:
        arrived = await self.arrived(row.name, pod, row.intended_ms)
        if arrived is not None:
            self._context.on_note(
                f"Pod {pod.id}, which {self._provider.label} said it could not make, was there; "
                "ending it."
            )
            await self.give_up(arrived, "it came when another was rented already")

    async def _patiently(
        self, offer: Offer, tried: int, deadline_of: Callable[[Offer], Awaitable[int | None]]
    ) -> Rented | ProviderError:
        """Rent this offer, waiting where the provider asks for it; why not, if another may do."""
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
        name, now = self._new_name(), self._context.now_ms()
        row_id = await self._intend(name, offer, deadline_ms, now)
        row, unclear = None, None
        with anyio.CancelScope(shield=True):
            try:
                pod = await self._created(name, offer, deadline_ms)
            except PodMayExist as error:
                unclear = error
                self._doubtful.add(name)
            except ProviderError as error:
                await self._ended(row_id, error.message)
                raise
            else:
                row = await self.arrived(name, pod, now)
        if unclear is not None:
            row, pod = await self._looked_for(name, unclear, now)
        if row is None:
            raise NoCapacity(f"{name} was given up before {self._provider.label} answered.")
        price = price_of(row.price_micro)
        if price > self._terms.policy.wish.max_price_usd_h:
            await self.give_up(row, f"it costs more than {self._terms.policy.wish.price_setting}")
            raise too_dear(self._terms.policy.wish, offer.gpu_id, price)
        _log.info("pod rented pod=%s gpu=%s", pod.id, offer.gpu_id)
        return Rented(row, pod, offer)

    async def _intend(
        self, name: str, offer: Offer, deadline_ms: int | None, now_ms: int
    ) -> PodRowId:
        return await commit(
            self._ledger,
            pods.intend,
            name,
            provider=self._provider.name,
            run_id=self._run_id,
            gpu=offer.gpu_id,
            cloud=offer.cloud,
            price_micro=micro(offer.price_usd_h),
            version=self._terms.version,
            deadline_ms=deadline_ms,
            now_ms=now_ms,
            lingers=self._run_id is not None and self._terms.lingers,
        )

    async def _created(self, name: str, offer: Offer, deadline_ms: int | None) -> Pod:
        """Ask the provider for the pod, once.

        Raises:
            PodMayExist: what came of it is unknown.
            ProviderError: the provider refuses.
        """
        sha256 = hashlib.sha256(self._context.account.token_of(name).encode()).hexdigest()
        ahead_ms = self._provider.clock_ahead_ms
        deadline_s = None if deadline_ms is None else (deadline_ms + ahead_ms) // 1000
        now_s = (self._context.now_ms() + ahead_ms) / 1000
        ending = tuple(self._provider.ending())
        return await self._provider.create(
            pod_spec(self._terms, offer, name, sha256, deadline_s, ending, now_s)
        )

    async def _looked_for(
        self, name: str, unclear: PodMayExist, asked_ms: int
    ) -> tuple[PodRow | None, Pod]:
        """Settle by its name whether a pod was made whose answer never came, or is not clear.

        Given up half-way, it is looked for again when the run ends: its intent stays open.

        Raises:
            Unclear: it is not listed.
        """
        within_s = self._settling_s(answered=unclear.answered)
        self._context.on_note(f"{unclear.message} Looking for it, {within_s:.0f} s at most.")
        pod = await self._settled(name, within_s)
        if pod is None:
            raise Unclear(f"{unclear.message} It is not listed.") from unclear
        self._doubtful.discard(name)
        with anyio.CancelScope(shield=True):
            row = await self.arrived(name, pod, asked_ms)
        return row, pod

    async def _settled(self, name: str, within_s: float) -> Pod | None:
        """Find out by its name whether a pod exists whose answer never came."""
        if not self._provider.traits.names:
            return None
        with anyio.move_on_after(within_s):
            while True:
                with suppress(ProviderError):
                    for pod in await self._provider.list():
                        if pod.name == name:
                            return pod
                await anyio.sleep(min(self._context.look_s, 5.0))
        return None

    async def _call_ended(
        self, row: PodRow, reason: str, *, task_status: TaskStatus[anyio.Event]
    ) -> None:
        """Have the ledger call a pod ended; a table that stays busy keeps no pod alive meanwhile.

        What cannot be written is written once the pod is gone, or found by the next sweep.
        """
        written = anyio.Event()
        task_status.started(written)
        try:
            await commit(self._ledger, pods.ended, row.id, self._context.now_ms(), reason)
        except StoreError as error:
            _log.warning("pod not called ended pod=%s reason=%s", row.pod_id, error.message)
        written.set()

    async def _ended(self, row_id: PodRowId, reason: str) -> None:
        await commit(self._ledger, pods.ended, row_id, self._context.now_ms(), reason)


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
    row = pods.named(conn, name)
    assert row is not None
    if run_id is not None:
        pods.begin_use(conn, row.id, run_id, created_ms)
    return row


def too_dear(wish: Wish, gpu: str, price_usd_h: Decimal) -> TooDear:
    """Return the error of a pod that costs more than is allowed."""
    return TooDear(
        f"A pod with {gpu} turned out to cost {rate(price_usd_h)}, above the limit of "
        f"{rate(wish.max_price_usd_h)} ({wish.price_setting}), and was ended.",
        hint=f"Raise {wish.price_setting}, or ask for another GPU.",
    )
