"""What is expected of the pod that would be rented: which GPU, for how long and how much.

The same is said before a run rents, by a dry run and by `captiv quote`. For a dry run the
provider's offers are asked for and nothing else; what stands in the way of renting is said, not
raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from captiv.catalog import Variant
from captiv.catalog.engines import Engine
from captiv.core import hardware
from captiv.core.cost import (
    DEADLINE_CAP_S,
    Estimate,
    cost,
    deadline_ms,
    dollars,
    estimate,
    price_of,
    rate,
)
from captiv.core.estimate import FACTS, Facts, Started, Startup, is_kept, startup
from captiv.core.fleet import NoOffer, Offer, candidates, needed_gb
from captiv.core.jobs import RunId
from captiv.core.pods import PodRow
from captiv.core.spec import Captioning, RunSpec
from captiv.errors import CaptivError
from captiv.rental.measured import Past, past
from captiv.rental.podspec import Terms, demand_by, engine_for, extras_of, model_of, wish_of
from captiv.rental.provider import ProviderType
from captiv.rental.views import duration, pool
from captiv.settings import Settings
from captiv.store import Store

_TOKENS: Final = 200
"""How long a caption is taken to be, unless the run allows fewer: JoyCaption's mean."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many images one pod captions in a second, and who says so."""

    images_per_s: float
    as_run: RunId | None = None
    """The run of this installation that told it; None where it is calculated."""

    def __str__(self) -> str:
        """Return it as it follows a time."""
        told = "estimated" if self.as_run is None else f"as in run {self.as_run}"
        return f"{self.images_per_s:.2g} images/s a pod, {told}"


@dataclass(frozen=True, slots=True)
class Quote:
    """The offer that would be tried first, and what is known of its cost."""

    offer: Offer | None
    """None if nothing would be rented; `problem` says why."""
    problem: str | None = None
    images: int = 0
    pods: int = 1
    """How many of it would be rented."""
    notes: tuple[str, ...] = ()
    startup: Startup | None = None
    """How long one pod takes to start."""
    image_bytes: int = 0
    """What a pod's container image takes to fetch, as is assumed."""
    download_bytes: int | None = None
    """What the model's weights take to fetch; None where that is not known."""
    kept: Literal["no", "maybe", "yes"] = "no"
    """Whether an earlier pod has fetched the weights for this one."""
    pace: Pace | None = None
    """None where neither a run of this installation nor the GPU's data sheet tells."""
    expected: Estimate | None = None
    """How long all of it takes, and what the pods cost together; None where `pace` is."""
    longest: Estimate | None = None
    """How long pods live at most, by the run's cap or their guards, and what all cost by then."""
    max_cost: Decimal | None = None

    def facts(self) -> dict[str, object]:
        """Return it for JSON; money in dollars, as text where it is a sum."""
        offer, pace = self.offer, self.pace
        return {
            "gpu": offer and offer.gpu_id,
            "pods": 0 if offer is None else self.pods,
            "cloud": offer and offer.cloud,
            "vram_gb": offer and offer.vram_gb,
            "stock": offer and offer.stock,
            "price_usd_h": None if offer is None else float(offer.price_usd_h),
            "fetched_bytes": self.fetched_bytes,
            "startup": _parts(self.startup),
            "images_per_s": pace and pace.images_per_s,
            "as_run": pace and pace.as_run,
            "expected": _amount(self.expected),
            "at_most": _amount(self.longest),
            "max_cost_usd": None if self.max_cost is None else str(self.max_cost),
            "notes": list(self.notes),
            "problem": self.problem,
        }

    @property
    def fetched_bytes(self) -> int | None:
        """What each pod fetches before it captions; None where nothing would be rented."""
        if self.offer is None:
            return None
        return self.image_bytes + (0 if self.kept == "yes" else self.download_bytes or 0)

    def lines(self, cap: str = "--max-cost") -> list[str]:
        """Return it for a person, to whom the cap on the cost is known by that name."""
        if self.offer is None:
            return [f"nothing would be rented: {self.problem}"]
        said = [f"{self._what(self.offer)}, stock {self.offer.stock}", *self.notes, self._fetched()]
        if self.expected is not None and self.startup is not None:
            start = f"{duration(self.startup.total_s)} for its start"
            said.append(f"about {_told(self.expected)}: {start}, then {self.pace}")
        else:
            said.append("how long it takes is not known: nothing tells how fast this GPU is")
        if self.longest is not None:
            pods = "a pod" if self.pods == 1 else f"for {self.pods} pods"
            why = f"{pods}, for want of {cap}" if self.max_cost is None else f"by {cap}"
            said.append(f"at most {_told(self.longest)} {why}")
        if self.max_cost is not None and self.expected and self.expected.dollars > self.max_cost:
            said.append(f"what {cap} does not pay for stays pending")
        return said

    def sentence(self, *, so_far: bool = False) -> str:
        """Return it on one line, for a person whose run is about to rent.

        `so_far`: more images may be found yet.
        """
        if self.offer is None:
            return f"Nothing can be rented: {self.problem}"
        parts = [f"{self._what(self.offer)}", self._fetched()]
        images = f"{self.images:,} image{'' if self.images == 1 else 's'}"
        images += " found so far" if so_far else ""
        if self.expected is None:
            parts.append(f"how long {images} take is not known")
        else:
            parts.append(f"about {_told(self.expected)} for {images}")
        if self.longest is not None:
            parts.append(_most(self.longest, self.max_cost))
        return f"Renting {'; '.join(parts)}."

    def sentence_by_hand(self, idle_s: float) -> str:
        """Return it on one line, for a person about to rent a pod that no run's end terminates.

        Its guard ends it after so long without a request.
        """
        if self.offer is None:
            return f"Nothing can be rented: {self.problem}"
        parts = [self._what(self.offer), self._fetched()]
        if self.expected is not None:
            parts.append(f"about {_told(self.expected)} until it is ready")
        idle = f"after {duration(idle_s)} without a request"
        each_day = f"{dollars(self.offer.price_usd_h * 24)} a day while it is used"
        parts.append(f"no cap: its guard ends it {idle}, and it costs {each_day}")
        return f"Renting {'; '.join(parts)}."

    def _what(self, offer: Offer) -> str:
        what = f"{offer.gpu_id} ({offer.vram_gb:g} GB){pool(offer.cloud)}"
        if self.pods == 1:
            return f"{what}, {rate(offer.price_usd_h)}"
        together = f" (together {rate(offer.price_usd_h * self.pods)})"
        return f"{self.pods} pods, each {what}, {rate(offer.price_usd_h)}{together}"

    def _fetched(self) -> str:
        each = "fetches" if self.pods == 1 else "each fetches"
        image = f"an image of some {self.image_bytes / 1e9:.0f} GB"
        if self.kept == "yes":
            return f"{each} {image}; the model is on the network volume"
        unless = ", unless they are on the network volume" if self.kept == "maybe" else ""
        if self.download_bytes is None:
            return f"{each} {image} and the model's weights{unless}"
        if not self.download_bytes:
            return f"{each} {image}"
        return f"{each} {image} and {_gigabytes(self.download_bytes)} of weights{unless}"


@dataclass(frozen=True, slots=True)
class Estimator:
    """Prices offers for one run."""

    spec: RunSpec
    variant: Variant
    past: Past = field(default_factory=lambda: Past((), {}))
    """What this installation has measured."""
    facts: Facts = FACTS
    volume: str | None = None
    """On which models stay for the next pod; None if on none."""
    engine: Engine = "transformers"
    """What drives the model in them."""

    def quote(
        self, offer: Offer, images: int, pods: int | None = None, notes: Sequence[str] = ()
    ) -> Quote:
        """Return what so many images take on an offer; without `pods`, on as many as are asked."""
        placement = self.spec.placement
        cap = None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd)
        several = max(1, min(placement.pods if pods is None else pods, images))
        start = self.startup(offer)
        pace = self.pace(offer)
        expected = None
        if pace is not None:
            one = estimate(
                -(-images // several), pace.images_per_s, offer.price_usd_h, start.total_s
            )
            expected = one._replace(dollars=one.dollars * several)
        return Quote(
            offer,
            images=images,
            pods=several,
            notes=tuple(notes),
            startup=start,
            image_bytes=self.facts.image_bytes,
            download_bytes=self.variant.download_bytes,
            kept=_kept(self.past.starts, self.variant.name, self.volume),
            pace=pace,
            expected=expected,
            longest=_longest(offer.price_usd_h, several, cap),
            max_cost=cap,
        )

    def startup(self, offer: Offer) -> Startup:
        """Return how long a pod of this offer takes to start."""
        return startup(
            self.variant.download_bytes,
            self.past.starts,
            gpu=offer.gpu_id,
            cloud=offer.cloud,
            model=self.variant.name,
            dtype=self.spec.captioning.dtype,
            engine=self.engine,
            volume=self.volume,
            facts=self.facts,
        )

    def pace(self, offer: Offer) -> Pace | None:
        """Return how fast a pod of this offer captions, as far as anything tells."""
        before = self.past.paces.get(offer.gpu_id)
        if before is not None:
            return Pace(before.images_per_s, before.run)
        if self.variant.images_per_s is not None:
            return Pace(self.variant.images_per_s)
        batch = self.spec.placement.batch_size
        per_s = calculated(offer, self.variant, self.spec.captioning, batch, self.engine)
        return None if per_s is None else Pace(per_s)


def calculated(
    offer: Offer,
    variant: Variant,
    captioning: Captioning,
    batch: int | None = None,
    engine: Engine = "transformers",
) -> float | None:
    """Return how many images such a GPU captions in a second by its data sheet; None if unknown."""
    gpu = hardware.gpu_of(offer.gpu_id)
    gb = needed_gb(variant, captioning.dtype, None)
    if gpu is None or gb is None:
        return None
    float32 = needed_gb(variant, "float32", None)
    halves = needed_gb(variant, "bfloat16", None) or (float32 and float32 / 2) or gb
    tokens = min(captioning.generation.max_new_tokens or _TOKENS, _TOKENS)
    load = hardware.Load(gb, halves, tokens, batch, engine)
    return hardware.images_per_s(gpu, offer.vram_gb, load)


async def quoted(
    kind: ProviderType,
    spec: RunSpec,
    variant: Variant,
    settings: Settings,
    images: int,
    store: Store | None = None,
    *,
    facts: Facts = FACTS,
) -> Quote:
    """Ask what so many images would be captioned on; the store tells how it went before."""
    if not images:
        return Quote(None, "there is no image to caption.")
    try:
        policy = kind.policy(settings)
        captioning, placement = spec.captioning, spec.placement
        model = model_of(captioning, placement.batch_size)
        offers = await offered(kind, settings, extras_of(model))
    except CaptivError as error:
        return Quote(None, " ".join(filter(None, (error.message, error.hint))))
    if not policy.create:
        return Quote(None, f"{kind.name}.auto_create is false; only a pod that is there is used.")
    ranking = candidates(offers, demand_by(policy, spec), wish_of(placement, policy))
    if isinstance(ranking, NoOffer):
        listing = f"captiv {kind.name} gpus lists them." if ranking.missing == "type" else None
        return Quote(None, " ".join(filter(None, (ranking.reason, ranking.hint, listing))))
    engine = engine_for(policy, spec)
    before = await store.aread(past, kind.name, captioning, engine) if store else Past((), {})
    estimator = Estimator(spec, variant, before, facts, policy.volume, engine)
    return estimator.quote(ranking.offers[0], images, notes=ranking.notes)


async def offered(kind: ProviderType, settings: Settings, extras: tuple[str, ...]) -> list[Offer]:
    """Return what is on offer, once it is sure that a pod would have something to run.

    Raises:
        CaptivError: there is no key, or it is refused; nothing could be run; no answer.
    """
    provider = kind.open(settings)
    try:
        offers = await provider.offers()
        await provider.verify(extras, None)
        return offers
    finally:
        await provider.aclose()


def by_hand(
    offer: Offer, terms: Terms, before: Sequence[Started] = (), facts: Facts = FACTS
) -> Quote:
    """Return what is expected of a pod that is rented for no run, until it is ready."""
    variant, engine = terms.variant, terms.brought or "transformers"
    start = startup(
        variant.download_bytes,
        before,
        gpu=offer.gpu_id,
        cloud=offer.cloud,
        model=variant.name,
        dtype=terms.model.dtype or "auto",
        engine=engine,
        volume=terms.policy.volume,
        facts=facts,
    )
    return Quote(
        offer,
        startup=start,
        image_bytes=facts.image_bytes,
        download_bytes=variant.download_bytes,
        kept=_kept(before, variant.name, terms.policy.volume),
        expected=estimate(0, 1, offer.price_usd_h, start.total_s),
    )


def _kept(
    before: Sequence[Started], model: str, volume: str | None
) -> Literal["no", "maybe", "yes"]:
    """Return whether the volume has the model: somebody else may have left it there, too."""
    if volume is None:
        return "no"
    return "yes" if is_kept(before, model, volume) else "maybe"


def rented_already(spec: RunSpec, run: RunId, pod: PodRow) -> str:
    """Return on one line what a run pays for a pod, for a person who watches another's run."""
    cap = None if spec.placement.max_cost_usd is None else Decimal(spec.placement.max_cost_usd)
    price = price_of(pod.price_micro)
    most = _most(_longest(price, 1, cap), cap)
    return f"Run {run} rents {pod.gpu}{pool(pod.cloud)}, {rate(price)}; {most}."


def _most(longest: Estimate, cap: Decimal | None) -> str:
    most = f"at most {dollars(longest.dollars)}"
    if cap is not None:
        return f"{most} (--max-cost)"
    hours = duration(longest.seconds).removesuffix(" 0 min")
    return f"{most} ({hours}; no cap is set)"


def _longest(price_usd_h: Decimal, pods: int, cap: Decimal | None) -> Estimate:
    ends_ms = deadline_ms(0, price_usd_h, None if cap is None else cap / pods, DEADLINE_CAP_S)
    return Estimate(ends_ms / 1000, pods * cost(price_usd_h, 0, ends_ms))


def _parts(start: Startup | None) -> dict[str, object] | None:
    if start is None:
        return None
    return {
        "host_s": round(start.host_s, 1),
        "download_s": round(start.download_s, 1),
        "load_s": round(start.load_s, 1),
        "measured": start.measured,
    }


def _amount(amount: Estimate | None) -> dict[str, object] | None:
    if amount is None:
        return None
    return {"seconds": round(amount.seconds), "dollars": str(round(amount.dollars, 4))}


def _told(amount: Estimate) -> str:
    return f"{duration(amount.seconds)} and {dollars(amount.dollars)}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.0f} GB" if size >= 10e9 else f"{size / 1e9:.1f} GB"
