"""Every road to a folder's captions, priced: this machine, pods, one's own workers, a chat API.

A figure comes from a run of this installation where there is one, else from trying a few pictures
here or at one's own worker, else from the catalog and a GPU's data sheet; each road says which.
Nothing is rented, and no model is downloaded.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Final, Literal

from captiv.catalog import Variant
from captiv.core.cost import money
from captiv.core.fleet import NoOffer, Offer, candidates
from captiv.core.jobs import RunId
from captiv.core.spec import Placement, RunSpec
from captiv.errors import CaptivError
from captiv.offload import offload
from captiv.rental.estimate import Estimator, offered
from captiv.rental.estimate import Quote as PodQuote
from captiv.rental.measured import Measured, Past, elsewhere, past
from captiv.rental.podspec import demand_by, engine_for, extras_of, model_of
from captiv.rental.provider import ProviderType
from captiv.rental.views import pool
from captiv.request.options import Options
from captiv.request.placement import place
from captiv.settings import Settings
from captiv.sources import PROVIDERS
from captiv.store import Store
from captiv.workers.hub import is_here

RARELY_CHEAPEST: Final = 20_000
"""Below 10,000 to so many images a pod costs more than a batch API: by a vendor's $0.05 a thousand
images for a model of 30 billion parameters, and a pod at $0.49 an hour that starts for 5 min and
captions 3 images a second (docs/cost.md)."""

_RARELY: Final = (
    "Below some 10,000 to 20,000 images a pod is rarely the cheapest: its start is paid whatever "
    "it captions, and a chat API by the image."
)

_SEVERAL: Final = (2, 4)
"""So many pods are priced where nobody says how many."""

_MAY_CHARGE: Final = "not known: a chat server may charge for each answer, so it isn't tried"

Kind = Literal["local", "url", "rented", "api"]
Try = Callable[[RunSpec], Awaitable[float | str]]
"""Captions a few pictures where a run is placed: returns images a second, or why it could not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be priced."""

    spec: RunSpec
    """The captioning, as for rented pods."""
    variant: Variant
    images: int
    pods: int | None = None
    """None prices a few numbers of pods."""
    workers: Sequence[str] = ()
    """Addresses of one's own workers."""


@dataclass(frozen=True, slots=True)
class Road:
    """One way to have the images captioned, and what it takes."""

    kind: Kind
    what: str
    """Its name for a person."""
    price_usd_h: Decimal | None = None
    images_per_s: float | None = None
    seconds: float | None = None
    dollars: Decimal | None = None
    """For all images; None where it cannot be said, or the road cannot be taken."""
    told: str = ""
    """Where the figures come from."""
    as_run: RunId | None = None
    """The run that told them, if one did."""
    pods: int = 0
    problem: str | None = None
    """Why it cannot be taken, or what has to be done first."""


async def roads(asked: Asked, settings: Settings, store: Store | None, attempt: Try) -> list[Road]:
    """Return every road, the cheapest an image first; those without a price last."""
    found = [await _here(asked, settings, store, attempt)]
    found += [await _worker(asked, url, settings, store, attempt) for url in asked.workers]
    for kind in PROVIDERS.values():
        found += await _rented(asked, kind, settings, store)
    found.append(_api(asked, settings))
    return sorted(found, key=_order)


def notes(asked: Asked) -> list[str]:
    """Return what a person should know before choosing."""
    if asked.images >= RARELY_CHEAPEST:
        return []
    return [_RARELY]


def with_hint(error: CaptivError) -> str:
    """Return why a road cannot be taken, and what to do about it, on one line."""
    return f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message


async def _here(asked: Asked, settings: Settings, store: Store | None, attempt: Try) -> Road:
    road, engine = Road("local", "this machine"), asked.spec.placement.engine

    def here(placement: Placement) -> bool:
        return placement.kind == "local" and placement.engine == engine

    before = await _before(asked, store, here)
    if before is not None:
        return _free(road, asked, before.images_per_s, before.run)
    source = asked.spec.captioning.source
    if not await offload(is_here, source):
        size = asked.variant.download_bytes
        fetched = f" ({size / 1e9:.1f} GB)" if size else ""
        return replace(
            road, problem=f"not known: the model is not here{fetched}, and is not fetched to try it"
        )
    return await _tried(road, asked, attempt, place(Options(local=True, engine=engine), settings))


async def _worker(
    asked: Asked, url: str, settings: Settings, store: Store | None, attempt: Try
) -> Road:
    """Return the road of one's own worker, which costs what its owner knows.

    It is asked only for what it has loaded: no worker is made to load another model.
    """
    road, address = Road("url", url), url.rstrip("/")
    before = await _before(
        asked, store, lambda placement: (placement.url or "").rstrip("/") == address
    )
    if before is not None:
        return _free(road, asked, before.images_per_s, before.run)
    try:
        placement = place(Options(worker=(url,)), settings)
    except CaptivError as error:
        return replace(road, problem=f"not known: {with_hint(error)}")
    if placement.protocol == "openai":
        return replace(road, problem=_MAY_CHARGE)
    return await _tried(road, asked, attempt, placement)


async def _tried(road: Road, asked: Asked, attempt: Try, placement: Placement) -> Road:
    """Return the road with the speed at which a few pictures are captioned there now."""
    found = await attempt(asked.spec.model_copy(update={"placement": placement}))
    if isinstance(found, str):
        return replace(road, problem=f"not known: {found}")
    return _free(road, asked, found, None)


def _free(road: Road, asked: Asked, images_per_s: float, run: RunId | None) -> Road:
    """Return the road with the speed that was measured; captiv knows of no price."""
    return replace(
        road,
        images_per_s=images_per_s,
        seconds=asked.images / images_per_s,
        dollars=Decimal(0),
        told="measured now" if run is None else f"measured in run {run}",
        as_run=run,
    )


async def _before(
    asked: Asked, store: Store | None, placed: Callable[[Placement], bool]
) -> Measured | None:
    if store is None:
        return None
    return await store.aread(partial(elsewhere, placed=placed), asked.spec.captioning)


async def _rented(
    asked: Asked, kind: ProviderType, settings: Settings, store: Store | None
) -> list[Road]:
    """Return each GPU of a provider that holds the model, and several pods of the best of them."""
    none = Road("rented", kind.label)
    if not kind.has_key(settings):
        needs = f"needs an API key, for its prices too: captiv config set {kind.key_setting}"
        return [replace(none, problem=needs)]
    spec = _rented_spec(asked.spec, kind.name)
    model = model_of(spec.captioning, spec.placement.batch_size)
    try:
        policy = kind.policy(settings)
        offers = await offered(kind, settings, extras_of(model))
    except CaptivError as error:
        return [replace(none, problem=with_hint(error))]
    ranking = candidates(offers, demand_by(policy, spec), replace(policy.wish, gpu_type=None))
    if isinstance(ranking, NoOffer):
        return [replace(none, problem=ranking.reason)]
    engine = engine_for(policy, spec)
    before = await store.aread(past, kind.name, spec.captioning, engine) if store else Past((), {})
    estimator = Estimator(spec, asked.variant, before, volume=policy.volume, engine=engine)
    each = [estimator.quote(offer, asked.images, 1) for offer in _one_a_type(ranking.offers)]
    priced = [quote for quote in each if quote.expected is not None]
    return [_pods(quote) for quote in [*each, *_several(asked, estimator, priced)]]


def _rented_spec(spec: RunSpec, provider: str) -> RunSpec:
    placement = spec.placement.model_copy(update={"kind": "rented", "provider": provider})
    return spec.model_copy(update={"placement": placement})


def _one_a_type(offers: Sequence[Offer]) -> list[Offer]:
    """Return the first offer of each GPU: they are sorted by stock and price."""
    first: dict[str, Offer] = {}
    for offer in offers:
        first.setdefault(offer.gpu_id, offer)
    return list(first.values())


def _several(asked: Asked, estimator: Estimator, priced: Sequence[PodQuote]) -> list[PodQuote]:
    """Return what several pods of the cheapest GPU an image take together."""
    best = min(priced, key=_paid, default=None)
    if best is None or best.offer is None:
        return []
    numbers = _SEVERAL if asked.pods is None else (asked.pods,)
    return [
        estimator.quote(best.offer, asked.images, pods)
        for pods in numbers
        if 1 < pods <= asked.images
    ]


def _paid(quote: PodQuote) -> Decimal:
    return Decimal(0) if quote.expected is None else quote.expected.dollars


def _pods(quote: PodQuote) -> Road:
    offer, pace, expected = quote.offer, quote.pace, quote.expected
    assert offer is not None
    what = f"{offer.gpu_id}{pool(offer.cloud)}"
    road = Road(
        "rented",
        what if quote.pods == 1 else f"{quote.pods} pods, each {what}",
        price_usd_h=offer.price_usd_h * quote.pods,
        pods=quote.pods,
    )
    if pace is None or expected is None:
        return replace(road, problem="how fast it captions is not known")
    return replace(
        road,
        images_per_s=pace.images_per_s * quote.pods,
        seconds=expected.seconds,
        dollars=expected.dollars,
        told="estimated" if pace.as_run is None else f"measured in run {pace.as_run}",
        as_run=pace.as_run,
    )


def _api(asked: Asked, settings: Settings) -> Road:
    road, price = Road("api", "a chat API"), settings.api.price
    if price is None:
        todo = "captiv config set api.price DOLLARS (for 1,000 images) puts yours here"
        return replace(road, problem=todo)
    return replace(road, dollars=money(price) * asked.images / 1000, told="api.price")


def _order(road: Road) -> tuple[bool, Decimal, float]:
    """Sort by price; among equals the faster."""
    seconds = float("inf") if road.seconds is None else road.seconds
    return road.dollars is None, road.dollars or Decimal(0), seconds
