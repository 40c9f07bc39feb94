"""What a dry run says of the pod that would be rented: which GPU, for how long and how much.

The provider's offers are asked for and nothing else; what stands in the way of renting is said, not
raised.
"""

from dataclasses import dataclass
from decimal import Decimal

from captiv.catalog import Variant
from captiv.core.cost import Estimate, cost, deadline_ms, dollars, estimate, rate
from captiv.core.fleet import NoOffer, Offer, candidates
from captiv.core.jobs import RunId
from captiv.core.spec import RunSpec
from captiv.errors import CaptivError
from captiv.rental.measured import measured
from captiv.rental.podspec import demand_of, extras_of, model_of, wish_of
from captiv.rental.provider import ProviderType
from captiv.rental.views import duration, pool
from captiv.settings import Settings
from captiv.store import Store


@dataclass(frozen=True, slots=True)
class Quote:
    """The offer that would be tried first, and what is known of its cost."""

    offer: Offer | None
    """None if nothing would be rented; `problem` says why."""
    problem: str | None = None
    pods: int = 1
    """How many of it would be rented."""
    notes: tuple[str, ...] = ()
    images_per_s: float | None = None
    """Of one pod, by a run of this installation, else by the catalog; None where neither tells."""
    as_run: RunId | None = None
    """The run that told it."""
    expected: Estimate | None = None
    """How long all of it takes, and what the pods cost together; None where `images_per_s` is."""
    longest: Estimate | None = None
    """How long pods live at most, by the run's cap or their guards, and what all cost by then."""
    max_cost: Decimal | None = None

    def facts(self) -> dict[str, object]:
        """Return it for JSON; money in dollars, as text where it is a sum."""
        offer = self.offer
        return {
            "gpu": offer and offer.gpu_id,
            "pods": 0 if offer is None else self.pods,
            "cloud": offer and offer.cloud,
            "vram_gb": offer and offer.vram_gb,
            "stock": offer and offer.stock,
            "price_usd_h": None if offer is None else float(offer.price_usd_h),
            "images_per_s": self.images_per_s,
            "as_run": self.as_run,
            "expected": _amount(self.expected),
            "at_most": _amount(self.longest),
            "max_cost_usd": None if self.max_cost is None else str(self.max_cost),
            "notes": list(self.notes),
            "problem": self.problem,
        }

    def lines(self, cap: str = "--max-cost") -> list[str]:
        """Return it for a person, to whom the cap on the cost is known by that name."""
        if self.offer is None:
            return [f"nothing would be rented: {self.problem}"]
        offer = self.offer
        what = f"{offer.gpu_id} ({offer.vram_gb:g} GB){pool(offer.cloud)}"
        several = "" if self.pods == 1 else f"{self.pods} pods, each "
        each = "" if self.pods == 1 else f" (together {rate(offer.price_usd_h * self.pods)})"
        price = f"{rate(offer.price_usd_h)}{each}"
        said = [f"{several}{what}, {price}, stock {offer.stock}", *self.notes]
        if self.expected is not None:
            said.append(f"about {_told(self.expected)}, its start included{self._pace()}")
        else:
            said.append("how long it takes is not known: this model's rate is not measured yet")
        if self.longest is not None:
            pods = "a pod" if self.pods == 1 else f"for {self.pods} pods"
            why = f"{pods}, for want of {cap}" if self.max_cost is None else f"by {cap}"
            said.append(f"at most {_told(self.longest)} {why}")
        if self.max_cost is not None and self.expected and self.expected.dollars > self.max_cost:
            said.append(f"what {cap} does not pay for stays pending")
        return said

    def _pace(self) -> str:
        if self.as_run is None or self.images_per_s is None:
            return ""
        return f", at {self.images_per_s:.2g} images/s a pod as in run {self.as_run}"


async def quoted(
    kind: ProviderType,
    spec: RunSpec,
    variant: Variant,
    settings: Settings,
    images: int,
    store: Store | None = None,
) -> Quote:
    """Ask what so many images would be captioned on; the store tells how fast it went before."""
    if not images:
        return Quote(None, "there is no image to caption.")
    try:
        policy = kind.policy(settings)
        captioning, placement = spec.captioning, spec.placement
        model = model_of(captioning, placement.batch_size)
        offers = await _offers(kind, settings, extras_of(model))
    except CaptivError as error:
        return Quote(None, " ".join(filter(None, (error.message, error.hint))))
    if not policy.create:
        return Quote(None, f"{kind.name}.auto_create is false; only a pod that is there is used.")
    ranking = candidates(offers, demand_of(model), wish_of(placement, policy))
    if isinstance(ranking, NoOffer):
        listing = f"captiv {kind.name} gpus lists them." if ranking.missing == "type" else None
        return Quote(None, " ".join(filter(None, (ranking.reason, ranking.hint, listing))))
    cap = None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd)
    offer = ranking.offers[0]
    before = await store.aread(measured, captioning, offer.gpu_id) if store else None
    per_s = before.images_per_s if before else variant.images_per_s
    # The whole time allowed for starting: nobody knows how far the image is from that host.
    startup_s = policy.startup_timeout_s
    pods = min(placement.pods, images)
    return Quote(
        offer,
        pods=pods,
        notes=ranking.notes,
        images_per_s=per_s,
        as_run=None if before is None else before.run,
        expected=_expected(images, pods, per_s, offer.price_usd_h, startup_s) if per_s else None,
        longest=_longest(offer.price_usd_h, pods, cap),
        max_cost=cap,
    )


async def _offers(kind: ProviderType, settings: Settings, extras: tuple[str, ...]) -> list[Offer]:
    provider = kind.open(settings)
    try:
        offers = await provider.offers()
        await provider.verify(extras, None)
        return offers
    finally:
        await provider.aclose()


def _expected(
    images: int, pods: int, per_s: float, price_usd_h: Decimal, startup_s: float
) -> Estimate:
    """Return how long pods of one speed take together, and what they cost."""
    one = estimate(-(-images // pods), per_s, price_usd_h, startup_s)
    return one._replace(dollars=one.dollars * pods)


def _longest(price_usd_h: Decimal, pods: int, cap: Decimal | None) -> Estimate:
    ends_ms = deadline_ms(0, price_usd_h, None if cap is None else cap / pods)
    return Estimate(ends_ms / 1000, pods * cost(price_usd_h, 0, ends_ms))


def _amount(amount: Estimate | None) -> dict[str, object] | None:
    if amount is None:
        return None
    return {"seconds": round(amount.seconds), "dollars": str(round(amount.dollars, 4))}


def _told(amount: Estimate) -> str:
    return f"{duration(amount.seconds)} and {dollars(amount.dollars)}"
