"""GPU types as `captiv runpod gpus` lists them: what each holds, and for how much."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from captiv.catalog import FAMILIES, Family, ModelChoice, Variant
from captiv.catalog.model import QUANTISED
from captiv.cli import show
from captiv.core.cost import rate
from captiv.core.fleet import Offer, needed_gb

_HEADINGS = ("GPU", "Memory", "Secure", "Stock", "Community", "Stock", "Holds")


_KNOWN = sum(bool(variant.vram_gb) for family in FAMILIES for variant in family.variants)
"""Variants whose need is known."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU type, and where it is offered."""

    id: str
    name: str
    maker: str
    vram_gb: float
    offers: tuple[Offer, ...]

    def offer(self, cloud: str) -> Offer | None:
        """Return the offer of this pool of hosts, or None if it has none."""
        return next((offer for offer in self.offers if offer.cloud == cloud), None)


def by_type(offers: Iterable[Offer]) -> list[Gpu]:
    """Return the GPU types of these offers, each with its own."""
    found: dict[str, list[Offer]] = {}
    for offer in offers:
        found.setdefault(offer.gpu_id, []).append(offer)
    return [
        Gpu(id, theirs[0].gpu_name or id, theirs[0].maker, theirs[0].vram_gb, tuple(theirs))
        for id, theirs in found.items()
    ]


def tell(
    offers: Iterable[Offer], dtype: str, *, asked: ModelChoice | None = None, as_json: bool
) -> None:
    """Print the types, the cheapest first, with the models that each holds in that precision.

    With a model `asked` for, whether each holds that one. Else a terminal gets the number of
    those it holds.
    """
    found = sorted(by_type(offers), key=lambda gpu: (_cheapest(gpu), gpu.id))
    if as_json:
        show.json_value([_described(gpu, dtype) for gpu in found])
        return
    if not found:
        show.line("RunPod offers no GPU now.")
        return
    brief = sys.stdout.isatty()

    def holds(gpu: Gpu) -> str:
        if asked is not None:
            known = bool(asked.variant.vram_gb)
            return _fit(gpu, asked.family, asked.variant, dtype) or ("no" if known else "not known")
        names = held(gpu, dtype)
        return f"{len(names)} of {_KNOWN}" if brief else ", ".join(names)

    show.table(_HEADINGS, [(*_row(gpu), holds(gpu)) for gpu in found], right=(1, 2, 4))
    if brief and asked is None:
        show.note("captiv runpod gpus --model NAME says which hold one model; --json has all.")


def held(gpu: Gpu, dtype: str) -> list[str]:
    """Return the variants of the catalog whose need is known and that this GPU has room for.

    One that fits in 8 or 4 bit only is named with that precision.
    """
    found = []
    for family in FAMILIES:
        for variant in family.variants:
            fit = _fit(gpu, family, variant, dtype)
            if fit is not None:
                found.append(variant.name if fit == "yes" else f"{variant.name} {fit}")
    return found


def _fit(gpu: Gpu, family: Family, variant: Variant, dtype: str) -> str | None:
    """Return `yes`, or in which smaller precision the GPU holds it; None if it does not."""
    asked = family.precision(dtype)
    fitting = [p for p in (asked, *QUANTISED) if _holds(gpu, variant, p)]
    if not fitting:
        return None
    return "yes" if fitting[0] == asked else f"in {fitting[0]}"


def _holds(gpu: Gpu, variant: Variant, dtype: str) -> bool:
    gb = needed_gb(variant, dtype, None)
    return gb is not None and gb <= gpu.vram_gb


def _cheapest(gpu: Gpu) -> Decimal:
    return min(offer.price_usd_h for offer in gpu.offers)


def _described(gpu: Gpu, dtype: str) -> dict[str, Any]:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "manufacturer": gpu.maker,
        "vram_gb": round(gpu.vram_gb),
        "offers": [
            {
                "cloud": offer.cloud,
                "price_usd_h": float(offer.price_usd_h),
                "stock": offer.stock,
                "max_count": offer.most,
            }
            for offer in gpu.offers
        ],
        "holds": held(gpu, dtype),
    }


def _row(gpu: Gpu) -> tuple[object, ...]:
    secure, community = gpu.offer("secure"), gpu.offer("community")
    return (
        gpu.id,
        f"{gpu.vram_gb:g} GB",
        *_cells(secure),
        *_cells(community),
    )


def _cells(offer: Offer | None) -> tuple[str, str]:
    if offer is None:
        return "", ""
    return rate(offer.price_usd_h), offer.stock
