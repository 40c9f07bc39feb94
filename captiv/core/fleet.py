"""Which pods: which to rent, what an error means for the next try, which nobody needs any more.

Nothing here knows the provider's client: it is told what is on offer, what is listed and what was
seen, and answers with values. Four questions:

- `candidates`: which offers to try, in order (`Ranking`), or why there is none (`NoOffer`);
- `next_after`: what to do when renting one of them failed (`Step`);
- `Waiting`: how far a rented pod is, and whether to wait on;
- `sweepable`: which pods of this installation nobody needs any more (`Orphan`).

A pod goes `intended → live → ended` in the ledger. The intent, with a name that is used once, is
kept before the provider is asked, so that a pod whose answer never came is found by its name.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Final, Literal, NewType

from captiv.catalog.model import Variant
from captiv.core.cost import rate
from captiv.core.jobs import RunId
from captiv.errors import (
    AccessDenied,
    NoCapacity,
    PodMayExist,
    ProviderBusy,
    ProviderUnreachable,
)
from captiv.wire import Health

Cloud = Literal["secure", "community"]
Stock = Literal["none", "low", "medium", "high", "unknown"]
PodRowId = NewType("PodRowId", int)

# Choosing

_AUTO: Final = ("bfloat16", "float16", "float32")
_HALVES: Final = {"bfloat16": "float16", "float16": "bfloat16"}

_PER_IMAGE: Final = 0.01
"""Share of the need in 16 bit that each further image of a batch adds: its cache and activations.

An estimate. JoyCaption's cache is 131,072 bytes a token, so 0.117 GB for the 889 tokens of an image
and its caption, beside 17.5 GB. Quantised weights make neither smaller.
"""

_STOCK: Final[tuple[Stock, ...]] = ("high", "medium", "low", "unknown", "none")


@dataclass(frozen=True, slots=True)
class Offer:
    """One GPU type in one cloud, as the catalog has it now."""

    gpu_id: str
    cloud: Cloud
    vram_gb: float
    price_usd_h: Decimal
    stock: Stock
    """A hint: a type in stock may be refused, and one without any be had."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    gpu_type: str | None
    """An id of the catalog, or words of one: `RTX 4090`."""
    cloud: Literal["any", "secure", "community"]
    max_price_usd_h: Decimal


@dataclass(frozen=True, slots=True)
class Demand:
    """What a model demands of a GPU."""

    what: str
    """The model and variant, for a person."""
    dtype: str
    gb: float | None
    """None where it is not known: any GPU may do."""
    batch: int = 1
    smaller: tuple[tuple[str, float], ...] = ()
    """Precisions of the same variant that need less, with their GB; the largest first."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The offers to be tried, first to last, at least one; and what a person should know."""

    offers: tuple[Offer, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoOffer:
    """That nothing may be rented: what was missing, and why in a sentence."""

    missing: Literal["offers", "memory", "price"]
    reason: str


def needed_gb(variant: Variant, dtype: str, batch: int | None) -> float | None:
    """Return the memory in GB to caption batches of that size; None where it is not known.

    Without a batch size, one image: the worker finds out how many more there is room for.
    """
    name = _precision(variant, dtype)
    gb = variant.vram_gb.get(name)
    if gb is None:
        return None
    halves = [variant.vram_gb[half] for half in _HALVES if half in variant.vram_gb]
    one = gb if name == "float32" or not halves else max(halves)
    return gb + (max(1, batch or 1) - 1) * _PER_IMAGE * one


def demand(what: str, variant: Variant, dtype: str, batch: int | None) -> Demand:
    """Return what the variant demands in that precision; `what` names it to a person."""
    gb = needed_gb(variant, dtype, batch)
    others = ((name, needed_gb(variant, name, batch)) for name in variant.vram_gb)
    smaller = [(name, less) for name, less in others if less is not None and gb and less < gb]
    smaller.sort(key=lambda other: -other[1])
    return Demand(what, _precision(variant, dtype), gb, max(1, batch or 1), tuple(smaller))


def candidates(offers: Iterable[Offer], demand: Demand, wish: Wish) -> Ranking | NoOffer:
    """Return the offers to be tried, in order, or why there is none.

    Each holds the model, is of an allowed cloud, and has a price of at most the wish's. The wished
    type comes first, whatever its stock; then the cheapest in stock; those out of stock come last,
    for stock is a hint.
    """
    listed = list(offers)
    allowed = [offer for offer in listed if wish.cloud in ("any", offer.cloud)]
    fitting = [offer for offer in allowed if _fits(offer, demand.gb)]
    payable = [offer for offer in fitting if _payable(offer, wish)]
    if not payable:
        return _no_offer(allowed, fitting, demand, wish)
    wished = _wished(listed, wish.gpu_type)
    payable.sort(
        key=lambda offer: (offer.gpu_id not in wished, offer.stock == "none", _dear(offer))
    )
    notes = []
    if wish.gpu_type is not None and payable[0].gpu_id not in wished:
        notes.append(_unmet([o for o in listed if o.gpu_id in wished], payable[0], demand, wish))
    if demand.gb is None:
        notes.append(f"How much memory {demand.what} needs is not known; it may not fit.")
    if all(offer.stock == "none" for offer in payable):
        notes.append("Nothing that fits is said to be in stock; it is tried all the same.")
    return Ranking(tuple(payable), tuple(notes))


def _precision(variant: Variant, dtype: str) -> str:
    if dtype == "auto":
        return next((name for name in _AUTO if name in variant.vram_gb), dtype)
    # The two halves take the same room, and the catalog may know only one of them.
    if dtype not in variant.vram_gb and _HALVES.get(dtype) in variant.vram_gb:
        return _HALVES[dtype]
    return dtype


def _fits(offer: Offer, gb: float | None) -> bool:
    return gb is None or offer.vram_gb >= gb


def _payable(offer: Offer, wish: Wish) -> bool:
    # An offer without a price has an unknown one.
    return 0 < offer.price_usd_h <= wish.max_price_usd_h


def _dear(offer: Offer) -> tuple[Decimal, int, float, bool, str]:
    """Sort by price; among equals the better stocked, larger and more reliable."""
    stock = _STOCK.index(offer.stock)
    return offer.price_usd_h, stock, -offer.vram_gb, offer.cloud == "community", offer.gpu_id


def _words(text: str) -> set[str]:
    return set(re.split(r"[\s-]+", text.strip().casefold()))


def _wished(offers: Sequence[Offer], gpu_type: str | None) -> set[str]:
    """Return the ids that are meant: the one named, else all that have its words."""
    if gpu_type is None:
        return set()
    ids = {offer.gpu_id for offer in offers}
    named = {id_ for id_ in ids if id_.casefold() == gpu_type.strip().casefold()}
    return named or {id_ for id_ in ids if _words(gpu_type) <= _words(id_)}


def _unmet(wished: Sequence[Offer], first: Offer, demand: Demand, wish: Wish) -> str:
    """Say why the wished type is not taken, what is, and what would make it do."""
    taking = f"taking {first.gpu_id} ({first.vram_gb:g} GB, {rate(first.price_usd_h)})"
    allowed = [offer for offer in wished if wish.cloud in ("any", offer.cloud)]
    fitting = [offer for offer in allowed if _fits(offer, demand.gb)]
    if not wished:
        return f"There is no GPU type {wish.gpu_type!r} on offer: {taking}."
    if not allowed:
        return f"{wished[0].gpu_id} is not on offer in the {wish.cloud} cloud: {taking}."
    if fitting:
        cheapest = max(fitting, key=lambda offer: (offer.price_usd_h > 0, -offer.price_usd_h))
        if not cheapest.price_usd_h:
            return f"{cheapest.gpu_id} has no price: {taking}."
        above = f"above the limit of {rate(wish.max_price_usd_h)}"
        return f"{cheapest.gpu_id} costs {rate(cheapest.price_usd_h)}, {above}: {taking}."
    largest = max(allowed, key=lambda offer: (offer.vram_gb, offer.gpu_id))
    advice = _advice([offer for offer in allowed if _payable(offer, wish)], demand)
    has = f"{largest.gpu_id} has {largest.vram_gb:g} GB; {_needs(demand)}"
    return f"{has}: {taking}{f', or {advice}' if advice else ''}."


def _no_offer(
    allowed: Sequence[Offer], fitting: Sequence[Offer], demand: Demand, wish: Wish
) -> NoOffer:
    where = "" if wish.cloud == "any" else f" in the {wish.cloud} cloud"
    if not allowed:
        return NoOffer("offers", f"No GPU is on offer{where}.")
    advice = _advice([offer for offer in allowed if _payable(offer, wish)], demand)
    ending = f"; {advice}." if advice else "."
    if not fitting:
        largest = max(allowed, key=lambda offer: (offer.vram_gb, offer.gpu_id))
        has = f"the largest GPU on offer{where}, {largest.gpu_id}, has {largest.vram_gb:g} GB"
        return NoOffer("memory", f"{_needs(demand)}; {has}{ending}")
    priced = [offer for offer in fitting if offer.price_usd_h > 0]
    if not priced:
        return NoOffer("price", f"No GPU that holds {demand.what} has a price{where}{ending}")
    cheapest = min(priced, key=_dear)
    costs = f"costs {rate(cheapest.price_usd_h)} ({cheapest.gpu_id})"
    above = f"above the limit of {rate(wish.max_price_usd_h)} (runpod.max_price)"
    return NoOffer(
        "price", f"The cheapest GPU that holds {demand.what}{where} {costs}, {above}{ending}"
    )


def _needs(demand: Demand) -> str:
    batches = f" for batches of {demand.batch}" if demand.batch > 1 else ""
    return f"{demand.what} needs {round(demand.gb or 0, 1):g} GB in {demand.dtype}{batches}"


def _advice(offers: Sequence[Offer], demand: Demand) -> str:
    """Name the largest precision that one of these offers holds, or nothing."""
    for dtype, gb in demand.smaller:
        if any(_fits(offer, gb) for offer in offers):
            return f"ask for --torch-dtype {dtype} ({round(gb, 1):g} GB)"
    return ""


# Renting

MAX_TRIES: Final = 25
"""Offers that are tried for one pod; the cheapest are gone by then, or something else is wrong."""

_MAX_WAITS: Final = 5
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 300.0
"""The provider's limits are by minute, hour and day; falling back is better than a day of it."""


class Move(Enum):
    """What to do after an error."""

    NEXT = "try the next offer"
    WAIT = "try the same offer again, later"
    SETTLE = "find out by its name whether the pod exists, before anything else"
    STOP = "no offer will do"


@dataclass(frozen=True, slots=True)
class Step:
    """A move, and how long to wait before it."""

    move: Move
    wait_s: float = 0.0


_MOVES: Final = {
    NoCapacity.code: Move.NEXT,
    AccessDenied.code: Move.NEXT,  # to this pool of machines, perhaps not to another
    ProviderBusy.code: Move.WAIT,
    ProviderUnreachable.code: Move.WAIT,
    PodMayExist.code: Move.SETTLE,
}


def next_after(
    error_code: str, *, tried: int, waited: int = 0, retry_after_s: float | None = None
) -> Step:
    """Return what to do after renting an offer failed.

    Whatever is not named here (no balance, a refused key or request) no other offer would mend.

    Args:
        error_code: `code` of the error.
        tried: how many offers were tried, this one included.
        waited: how often this one was waited for already; each time twice as long.
        retry_after_s: what the provider asked for, if it did.
    """
    move = _MOVES.get(error_code, Move.STOP)
    if move is Move.NEXT and tried >= MAX_TRIES:
        return Step(Move.STOP)
    if move is not Move.WAIT:
        return Step(move)
    wait_s = _FIRST_WAIT_S * 2**waited if retry_after_s is None else retry_after_s
    if waited >= _MAX_WAITS or wait_s > _LONGEST_WAIT_S:
        return Step(Move.STOP)
    return Step(move, wait_s)


# Waiting

_CRASH_LOOP: Final = 3
_STALL_S: Final = 60.0
"""A pull or download that was not seen to advance for so long has stalled."""


class Start(Enum):
    """What becomes of a pod that was waited for."""

    WAIT = "wait on"
    READY = "ready"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a starting pod showed."""

    status: str | None = None
    """The provider's word for it, in capitals; None until it has an id; TERMINATED if it is gone.
    Of these only the ends are believed: RUNNING shows before anything runs."""
    started: bool = False
    """Whether the provider reports something of the running container."""
    health: Health | None = None
    """What the worker answered."""
    progress_s: float | None = None
    """When the pod's log last told of a pull or download that advanced."""
    restarts: int = 0
    """How often the container or the worker was started again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod on its way to `ready`; each look returns the next state. Times in s, of one clock.

    It is waited for `timeout_s`, and up to twice that while a pull or download advances. A worker
    that says `failed`, a pod that ended and a crash loop end the wait at once.
    """

    began_s: float
    timeout_s: float
    phase: str = "renting"
    start: Start = Start.WAIT
    reason: str | None = None
    """Why it was given up."""
    advanced_s: float | None = None
    done_bytes: int = 0

    def look(self, seen: Seen, now_s: float) -> "Waiting":
        """Return the state after this look. What is ready or given up stays so."""
        if self.start is not Start.WAIT:
            return self
        if seen.health is not None and seen.health.status == "ready":
            return replace(self, phase="ready", start=Start.READY)
        after = replace(self._advanced(seen, now_s), phase=_phase(seen))
        reason = _broken(seen) or after._overdue(now_s)
        return after if reason is None else replace(after, start=Start.GIVE_UP, reason=reason)

    def limit_s(self, now_s: float) -> float:
        """Return for how long, from its beginning, it is waited for as things stand."""
        advancing = self.advanced_s is not None and now_s - self.advanced_s <= _STALL_S
        return self.timeout_s * (2 if advancing else 1)

    def _advanced(self, seen: Seen, now_s: float) -> "Waiting":
        times = [time for time in (self.advanced_s, seen.progress_s) if time is not None]
        loading = seen.health.loading if seen.health else None
        done = (loading and loading.done_bytes) or 0
        if done > self.done_bytes:
            times.append(now_s)
        return replace(
            self, advanced_s=max(times, default=None), done_bytes=max(done, self.done_bytes)
        )

    def _overdue(self, now_s: float) -> str | None:
        waited_s = now_s - self.began_s
        if waited_s < self.limit_s(now_s):
            return None
        return f"it was not ready after {waited_s:.0f} s (last seen: {self.phase})"


def _phase(seen: Seen) -> str:
    if seen.health is not None:
        loading = seen.health.loading
        if loading is None or not loading.total_bytes:
            return "loading the model"
        percent = min(100, 100 * (loading.done_bytes or 0) // loading.total_bytes)
        return f"loading the model ({percent} %)"
    if seen.status is None or seen.status == "PROVISIONING":
        return "renting"
    return "starting" if seen.started else "pulling the image"


def _broken(seen: Seen) -> str | None:
    if seen.health is not None and seen.health.status == "failed":
        return seen.health.reason or "its worker failed without a reason"
    if seen.status in ("EXITED", "ERROR", "TERMINATED"):
        return f"the pod ended while it was starting ({seen.status})"
    if seen.restarts >= _CRASH_LOOP:
        return f"it crashed {seen.restarts} times while starting"
    return None


# Names and the sweep

_NAME: Final = re.compile(r"captiv-([0-9a-z]+)-(?:r([1-9][0-9]*)|hand)-([0-9a-z]+)")


@dataclass(frozen=True, slots=True)
class PodName:
    """What the name of a pod tells."""

    installation: str
    run_id: RunId | None
    """The run that rented it; None of one that was made by hand."""
    token: str
    """Random, so that a name is used once."""


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod in the ledger."""

    id: PodRowId
    name: str
    pod_id: str | None
    """The provider's; None until its answer came."""
    state: Literal["intended", "live", "ended"]
    made_by: Literal["run", "hand"]
    run_id: RunId | None
    """The run that rented it."""
    lingers: bool
    """It is not ended with its run, but left to its guard, so that a later run may use it."""
    gpu: str
    cloud: Cloud
    price_micro: int
    """Micro-dollars an hour."""
    version: str
    """Of the worker in it."""
    url: str | None
    deadline_ms: int | None
    """When its guard ends it in any case; None of one that only ends when idle."""
    intended_ms: int
    created_ms: int | None
    """When its bill began."""
    ended_ms: int | None
    end_reason: str | None
    users: frozenset[RunId] = frozenset()
    """The runs that use it now, as far as the ledger knows."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A pod that the provider lists, and that is not terminated."""

    pod_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A pod that nobody needs, and why."""

    pod_id: str
    reason: str
    row_id: PodRowId | None
    """Its row in the ledger, if it has one."""


def pod_name(installation: str, run_id: RunId | None, token: str) -> str:
    """Return the name of a pod: `captiv-<installation>-r<run>-<token>`, or `-hand-` without a run.

    Raises:
        ValueError: it could not be read back.
    """
    name = f"captiv-{installation}-{'hand' if run_id is None else f'r{run_id}'}-{token}"
    if parse_pod_name(name) != PodName(installation, run_id, token):
        raise ValueError(f"no name for a pod: {name!r}")
    return name


def parse_pod_name(name: str) -> PodName | None:
    """Return what the name tells, or None if it is none of captiv's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    installation, run, token = match.groups()
    return PodName(installation, None if run is None else RunId(int(run)), token)


def sweepable(
    installation: str,
    listed: Iterable[Listed],
    ledger: Iterable[PodRow],
    live_runs: Collection[RunId],
    now_ms: int,
) -> list[Orphan]:
    """Return the listed pods of this installation that nobody needs.

    List first, and read the ledger and the live runs afterwards: else a pod that was made in
    between looks like nobody's. Never returned are pods of others, pods made by hand (they have
    their guard), and pods that the ledger does not call ended and that belong to a live run or are
    used by one.
    """
    rows = list(ledger)
    by_id = {row.pod_id: row for row in rows if row.pod_id is not None}
    by_name = {row.name: row for row in rows}
    found = []
    for pod in listed:
        row = by_id.get(pod.pod_id) or by_name.get(pod.name)
        reason = _orphaned(pod, row, installation, live_runs, now_ms)
        if reason is not None:
            own = row is not None and row.pod_id in (None, pod.pod_id)
            found.append(Orphan(pod.pod_id, reason, row.id if row is not None and own else None))
    return found


def _orphaned(
    pod: Listed,
    row: PodRow | None,
    installation: str,
    live_runs: Collection[RunId],
    now_ms: int,
) -> str | None:
    if row is None:
        name = parse_pod_name(pod.name)
        if name is None or name.installation != installation or name.run_id is None:
            return None
        return (
            None if name.run_id in live_runs else "the ledger of this installation has no such pod"
        )
    if row.made_by == "hand":
        return None
    if row.state == "ended":
        return (
            f"it was ended {_ago(row.ended_ms, now_ms)} ago ({row.end_reason}) and is still there"
        )
    if row.run_id in live_runs or not row.users.isdisjoint(live_runs):
        return None
    if row.state == "intended":
        return f"run {row.run_id} asked for it {_ago(row.intended_ms, now_ms)} ago and never got it"
    if row.pod_id != pod.pod_id:
        return f"it is a second pod under the name of {row.pod_id}"
    if row.deadline_ms is not None and row.deadline_ms < now_ms:
        return f"its deadline passed {_ago(row.deadline_ms, now_ms)} ago"
    if row.lingers:
        return None
    since = _ago(row.created_ms, now_ms)
    return f"run {row.run_id} rented it {since} ago, and the command of that run is gone"


def _ago(then_ms: int | None, now_ms: int) -> str:
    seconds = max(0, now_ms - (then_ms or now_ms)) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
