"""What `--runpod --dry-run` says of the pod that would be rented: which GPU, for how long and much.

RunPod's catalog is asked and nothing else; what stands in the way of renting is said, not raised.
"""

from dataclasses import dataclass
from decimal import Decimal

import anyio

from captiv.catalog import Variant
from captiv.cli.pods import duration
from captiv.core.cost import Estimate, cost, deadline_ms, dollars, estimate, rate
from captiv.core.fleet import NoOffer, Offer, candidates
from captiv.core.spec import RunSpec
from captiv.dispatch.terms import demand_of, offers_of, package_of, wish_of
from captiv.errors import CaptivError, ConfigurationError
from captiv.runpod import GpuType, RunpodApi
from captiv.settings import Settings


@dataclass(frozen=True, slots=True)
class Quote:
    """The offer that would be tried first, and what is known of its cost."""

    offer: Offer | None
    """None if nothing would be rented; `problem` says why."""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    images_per_s: float | None = None
    """As the catalog has it, conservatively; None where nobody has measured it."""
    expected: Estimate | None = None
    """None where `images_per_s` is."""
    longest: Estimate | None = None
    """How long the pod lives at most, by the run's cap or its guard, and what it costs by then."""
    max_cost: Decimal | None = None

    def facts(self) -> dict[str, object]:
        """Return it for JSON; money in dollars, as text where it is a sum."""
        offer = self.offer
        return {
            "gpu": offer and offer.gpu_id,
            "cloud": offer and offer.cloud,
            "vram_gb": offer and offer.vram_gb,
            "stock": offer and offer.stock,
            "price_usd_h": None if offer is None else float(offer.price_usd_h),
            "images_per_s": self.images_per_s,
            "expected": _amount(self.expected),
            "at_most": _amount(self.longest),
            "max_cost_usd": None if self.max_cost is None else str(self.max_cost),
            "notes": list(self.notes),
            "problem": self.problem,
        }

    def lines(self) -> list[str]:
        """Return it for a person."""
        if self.offer is None:
            return [f"nothing would be rented: {self.problem}"]
        offer = self.offer
        what = f"{offer.gpu_id} ({offer.vram_gb:g} GB), {offer.cloud} cloud"
        said = [f"{what}, {rate(offer.price_usd_h)}, stock {offer.stock}", *self.notes]
        if self.expected is not None:
            said.append(f"about {_told(self.expected)}, its start included")
        else:
            said.append("how long it takes is not known: this model's rate is not measured yet")
        if self.longest is not None:
            cap = "a pod, for want of --max-cost" if self.max_cost is None else "by --max-cost"
            said.append(f"at most {_told(self.longest)} {cap}")
        if self.max_cost is not None and self.expected and self.expected.dollars > self.max_cost:
            said.append("what --max-cost does not pay for stays pending")
        return said


def quoted(spec: RunSpec, variant: Variant, settings: Settings, images: int) -> Quote:
    """Ask what so many images would be captioned on."""
    if not images:
        return Quote(None, "there is no image to caption.")
    try:
        types = anyio.run(_catalog, settings)
        package_of(settings)
    except CaptivError as error:
        return Quote(None, " ".join(filter(None, (error.message, error.hint))))
    if not settings.runpod.auto_create:
        return Quote(None, "runpod.auto_create is false; only a pod that is there is used.")
    captioning, placement = spec.captioning, spec.placement
    demand = demand_of(captioning, placement.batch_size)
    ranking = candidates(offers_of(types), demand, wish_of(placement, settings))
    if isinstance(ranking, NoOffer):
        return Quote(None, ranking.reason)
    cap = None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd)
    offer, per_s = ranking.offers[0], variant.images_per_s
    # The whole time allowed for starting: nobody knows how far the image is from that host.
    startup_s = settings.runpod.startup_timeout
    return Quote(
        offer,
        notes=ranking.notes,
        images_per_s=per_s,
        expected=estimate(images, per_s, offer.price_usd_h, startup_s) if per_s else None,
        longest=_longest(offer.price_usd_h, cap),
        max_cost=cap,
    )


async def _catalog(settings: Settings) -> list[GpuType]:
    key = settings.runpod.api_key
    if key is None:
        raise ConfigurationError(
            "there is no RunPod API key, so the catalog cannot be asked.",
            hint="Set it: captiv config set runpod.api_key, or RUNPOD_API_KEY.",
        )
    async with RunpodApi(key.get_secret_value(), url=settings.runpod.api_url) as api:
        return await api.gpus()


def _longest(price_usd_h: Decimal, cap: Decimal | None) -> Estimate:
    ends_ms = deadline_ms(0, price_usd_h, cap)
    return Estimate(ends_ms / 1000, cost(price_usd_h, 0, ends_ms))


def _amount(amount: Estimate | None) -> dict[str, object] | None:
    if amount is None:
        return None
    return {"seconds": round(amount.seconds), "dollars": str(round(amount.dollars, 4))}


def _told(amount: Estimate) -> str:
    return f"{duration(amount.seconds)} and {dollars(amount.dollars)}"
