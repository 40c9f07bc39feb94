"""Which pod to rent, and what an error means for the next try.

Nothing here knows the provider's client: it is told what is on offer and answers with values.

- `candidates`: which offers to try, in order (`Ranking`), or why there is none (`NoOffer`);
- `next_after`: what to do when renting one of them failed (`Step`).

How far a rented pod is, `captiv.core.startup` tells; which pods there are, `captiv.core.pods`.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from enum import Enum
from typing import Final, Literal

from captiv.catalog.model import Variant
from captiv.core.cost import rate
from captiv.errors import (
    AccessDenied,
    ConfigurationError,
    NoCapacity,
    ProviderBusy,
    ProviderUnreachable,
    UsageError,
)

Stock = Literal["none", "low", "medium", "high", "unknown"]

# Choosing

_AUTO: Final = ("bfloat16", "float16", "float32")
_HALVES: Final = {"bfloat16": "float16", "float16": "bfloat16"}

_PER_IMAGE: Final = 0.01
"""Share of the need in 16 bit that each further image of a batch adds: its cache and activations.

An estimate. JoyCaption's cache is 131,072 bytes a token, so 0.117 GB for the 889 tokens of an image
and its caption, beside 17.5 GB. Quantised weights make neither smaller.
"""

_STOCK: Final[tuple[Stock, ...]] = ("high", "medium", "low", "unknown", "none")


_ALIKE: Final = 0.7
_NEAR: Final = 3
"""So many names are shown beside a misspelt one, each so like it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One GPU type in one cloud, as the catalog has it now."""

    gpu_id: str
    cloud: str
    """The provider's pool of hosts; empty where it has one."""
    vram_gb: float
    price_usd_h: Decimal
    stock: Stock
    """A hint: a type in stock may be refused, and one without any be had."""
    reliable: bool = True
    """Whether the provider answers for these hosts: of equal offers, they come first."""
    gpu_name: str = ""
    """For a person, where it is not the id."""
    maker: str = ""
    most: int = 1
    """How many of this GPU one pod can have."""
    unfit: str = ""
    """Why no pod can be made of it, or run what it is to run; empty if one can."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    gpu_type: str | None
    """An id of the catalog, or words of one: `RTX 4090`."""
    cloud: str
    """A pool of hosts, or `any`."""
    max_price_usd_h: Decimal
    price_setting: str = "max_price"
    """The setting that holds the limit, for a person."""
    named: Literal["", "command", "settings"] = ""
    """Where a person named the type: then one that nobody offers is a mistake. Empty for captiv's
    own default, which is a preference."""


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
    idle: bool = False
    """Whether it runs on the CPU, so that the GPU stays idle."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The offers to be tried, first to last, at least one; and what a person should know."""

    offers: tuple[Offer, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoOffer:
    """That nothing may be rented: what was missing, and why in a sentence."""

    missing: Literal["offers", "memory", "price", "type"]
    reason: str
    hint: str | None = None
    """What the person should do, where there is more than the reason to say."""
    said: Literal["command", "settings"] = "command"
    """Where the type that does not exist was named."""

    def error(self, provider: str) -> UsageError | ConfigurationError:
        """Return the error of a type that does not exist, at this provider."""
        hint = " ".join(filter(None, (self.hint, f"captiv {provider} gpus lists them.")))
        cls = UsageError if self.said == "command" else ConfigurationError
        return cls(self.reason, hint=hint)


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
    for stock is a hint. A type that was named with the command and that no cloud offers at all is
    misspelt: nothing is offered in its place.
    """
    listed = list(offers)
    wished = _wished(listed, wish.gpu_type)
    if wish.named and wish.gpu_type is not None and listed and not wished:
        return _unknown(wish, {offer.gpu_id for offer in listed})
    allowed = [o for o in listed if wish.cloud in ("any", o.cloud) and not o.unfit]
    fitting = [offer for offer in allowed if _fits(offer, demand.gb)]
    payable = [offer for offer in fitting if _payable(offer, wish)]
    if not payable:
        return _no_offer(listed, allowed, fitting, demand, wish)
    payable.sort(
        key=lambda offer: (offer.gpu_id not in wished, offer.stock == "none", _dear(offer))
    )
    notes = []
    if wish.gpu_type is not None and payable[0].gpu_id not in wished:
        notes.append(_unmet([o for o in listed if o.gpu_id in wished], payable[0], demand, wish))
    if demand.idle:
        notes.append("Taggers run on the CPU: this GPU stays idle; leave --runpod out.")
    elif demand.gb is None:
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


def fits(vram_gb: float, demand: Demand) -> bool:
    """Whether a GPU of so much memory holds the model, as far as that is known."""
    return demand.gb is None or vram_gb >= demand.gb


def _fits(offer: Offer, gb: float | None) -> bool:
    return gb is None or offer.vram_gb >= gb


def _payable(offer: Offer, wish: Wish) -> bool:
    # An offer without a price has an unknown one.
    return 0 < offer.price_usd_h <= wish.max_price_usd_h


def _dear(offer: Offer) -> tuple[Decimal, int, float, bool, str]:
    """Sort by price; among equals the better stocked, larger and more reliable."""
    stock = _STOCK.index(offer.stock)
    return offer.price_usd_h, stock, -offer.vram_gb, not offer.reliable, offer.gpu_id


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
    of_cloud = [offer for offer in wished if wish.cloud in ("any", offer.cloud)]
    allowed = [offer for offer in of_cloud if not offer.unfit]
    fitting = [offer for offer in allowed if _fits(offer, demand.gb)]
    if not wished:
        return f"There is no GPU type {wish.gpu_type!r} on offer: {taking}."
    if of_cloud and not allowed:
        return f"{wished[0].gpu_id} is not rented, for {_unfit(of_cloud)}: {taking}."
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
    has = f"{largest.gpu_id} has {largest.vram_gb:g} GB; {needs(demand)}"
    return f"{has}: {taking}{f', or {advice}' if advice else ''}."


def _unknown(wish: Wish, ids: Collection[str]) -> NoOffer:
    """Say that nobody offers such a type, and which have a name like it."""
    gpu_type = wish.gpu_type or ""
    said = gpu_type.strip().casefold()

    def likeness(id_: str) -> float:
        words = id_.casefold().split()  # people leave out the maker
        tails = (" ".join(words[start:]) for start in range(len(words)))
        return max(SequenceMatcher(None, said, tail).ratio() for tail in tails)

    near = [
        id_ for id_ in sorted(ids, key=lambda id_: (-likeness(id_), id_)) if likeness(id_) >= _ALIKE
    ]
    meant = f"Did you mean {', '.join(near[:_NEAR])}?" if near else ""
    return NoOffer(
        "type",
        f"No GPU type {gpu_type!r} is on offer; nothing was rented.",
        meant or None,
        wish.named or "command",
    )


def _no_offer(
    listed: Sequence[Offer],
    allowed: Sequence[Offer],
    fitting: Sequence[Offer],
    demand: Demand,
    wish: Wish,
) -> NoOffer:
    where = "" if wish.cloud == "any" else f" in the {wish.cloud} cloud"
    if not allowed:
        unfit = _unfit([offer for offer in listed if wish.cloud in ("any", offer.cloud)])
        able, why = (" that a pod can use", f": {unfit}") if unfit else ("", "")
        return NoOffer("offers", f"No GPU{able} is on offer{where}{why}.")
    advice = _advice([offer for offer in allowed if _payable(offer, wish)], demand)
    ending = f"; {advice}." if advice else "."
    if not fitting:
        largest = max(allowed, key=lambda offer: (offer.vram_gb, offer.gpu_id))
        has = f"the largest GPU on offer{where}, {largest.gpu_id}, has {largest.vram_gb:g} GB"
        return NoOffer("memory", f"{needs(demand)}; {has}{ending}")
    priced = [offer for offer in fitting if offer.price_usd_h > 0]
    if not priced:
        return NoOffer("price", f"No GPU that holds {demand.what} has a price{where}{ending}")
    cheapest = min(priced, key=_dear)
    costs = f"costs {rate(cheapest.price_usd_h)} ({cheapest.gpu_id})"
    above = f"above the limit of {rate(wish.max_price_usd_h)} ({wish.price_setting})"
    return NoOffer(
        "price", f"The cheapest GPU that holds {demand.what}{where} {costs}, {above}{ending}"
    )


def _unfit(offers: Sequence[Offer]) -> str:
    """Say why these are not rented, each reason once."""
    return "; ".join(dict.fromkeys(offer.unfit for offer in offers if offer.unfit))


def needs(demand: Demand) -> str:
    """Say what the model needs, for a person."""
    batches = f" for batches of {demand.batch}" if demand.batch > 1 else ""
    return f"{demand.what} needs {round(demand.gb or 0, 1):g} GB in {demand.dtype}{batches}"


def _advice(offers: Sequence[Offer], demand: Demand) -> str:
    """Name the precisions that one of these offers holds, one of each size; or nothing."""
    held = {gb: dtype for dtype, gb in demand.smaller if any(_fits(o, gb) for o in offers)}
    named = [f"{dtype} ({round(gb, 1):g} GB)" for gb, dtype in held.items()]
    return f"ask for --torch-dtype {' or '.join(named)}" if named else ""


# Renting

MAX_TRIES: Final = 25
"""Offers that are tried for one pod; the cheapest are gone by then, or something else is wrong."""

_MAX_WAITS: Final = 5
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 300.0
"""The provider's limits are by minute, hour and day; falling back is better than a day of it."""


_SETTLED_S: Final = 60.0
"""A pod may be listed so late after it was made."""
_ANSWERED_S: Final = 10.0


class Move(Enum):
    """What to do after an error."""

    NEXT = "try the next offer"
    WAIT = "try the same offer again, later"
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
}


def settling_s(*, answered: bool) -> float:
    """Return how long a pod is looked for by its name, before another is asked for.

    An answer that was lost says nothing: the pod is looked for as long as it may take to be listed.
    Where the service itself said that it failed, the pod most likely is not there, and a minute of
    waiting each time would be worse than the small chance that it is: its intent stays open, and it
    is looked for again when the next pod is up, at the end of the run, and by every sweep.

    Args:
        answered: whether the service itself answered that it failed (`PodMayExist.answered`).
    """
    return _ANSWERED_S if answered else _SETTLED_S


def never_made(asked_ms: int, now_ms: int) -> bool:
    """Whether a pod that is not listed was never made, if it was asked for so long ago."""
    return now_ms - asked_ms >= _SETTLED_S * 1000


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


# Losses

MAX_LOSSES: Final = 3
_LOSSES_S: Final = 3600.0
_PROGRESS: Final = 100
"""So many captions between losses show that pods are worth what they cost."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The pods that a run lost: gone, silent or hung, not those that ended as planned."""

    last: tuple[tuple[float, int], ...] = ()
    """When each was lost, in steady seconds, and how many captions the run had by then."""

    def one_more(self, now_s: float, captions: int) -> "Losses":
        """Return this with the loss of a pod now."""
        return Losses((*self.last, (now_s, captions))[-MAX_LOSSES:])

    @property
    def hopeless(self) -> bool:
        """Whether the last ones came within an hour, with next to no caption between."""
        if len(self.last) < MAX_LOSSES:
            return False
        (first_s, before), (last_s, after) = self.last[0], self.last[-1]
        return last_s - first_s <= _LOSSES_S and after - before < _PROGRESS
