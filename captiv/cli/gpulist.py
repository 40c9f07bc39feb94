"""GPU types as `captiv runpod gpus` lists them: what each holds, and for how much."""

import sys
from collections.abc import Iterable
from typing import Any

from captiv.catalog import FAMILIES, Family, ModelChoice, Variant
from captiv.catalog.model import QUANTISED
from captiv.cli import show
from captiv.core.cost import money, rate
from captiv.core.fleet import needed_gb
from captiv.rental.runpod import Cloud, GpuOffer, GpuType

_HEADINGS = ("GPU", "Memory", "Secure", "Stock", "Community", "Stock", "Holds")


_KNOWN = sum(bool(variant.vram_gb) for family in FAMILIES for variant in family.variants)
"""Variants whose need is known."""


def tell(
    types: Iterable[GpuType], dtype: str, *, asked: ModelChoice | None = None, as_json: bool
) -> None:
    """Print the types, the cheapest first, with the models that each holds in that precision.

    With a model `asked` for, whether each holds that one. Else a terminal gets the number of
    those it holds.
    """
    found = sorted(types, key=lambda gpu: (_cheapest(gpu), gpu.id))
    if as_json:
        show.json_value([_described(gpu, dtype) for gpu in found])
        return
    if not found:
        show.line("RunPod offers no GPU now.")
        return
    brief = sys.stdout.isatty()

    def holds(gpu: GpuType) -> str:
        if asked is not None:
            known = bool(asked.variant.vram_gb)
            return _fit(gpu, asked.family, asked.variant, dtype) or ("no" if known else "not known")
        names = held(gpu, dtype)
        return f"{len(names)} of {_KNOWN}" if brief else ", ".join(names)

    show.table(_HEADINGS, [(*_row(gpu), holds(gpu)) for gpu in found], right=(1, 2, 4))
    if brief and asked is None:
        show.note("captiv runpod gpus --model NAME says which hold one model; --json has all.")


def held(gpu: GpuType, dtype: str) -> list[str]:
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


def _fit(gpu: GpuType, family: Family, variant: Variant, dtype: str) -> str | None:
    """Return `yes`, or in which smaller precision the GPU holds it; None if it does not."""
    asked = family.precision(dtype)
    fitting = [p for p in (asked, *QUANTISED) if _holds(gpu, variant, p)]
    if not fitting:
        return None
    return "yes" if fitting[0] == asked else f"in {fitting[0]}"


def _holds(gpu: GpuType, variant: Variant, dtype: str) -> bool:
    gb = needed_gb(variant, dtype, None)
    return gb is not None and gb <= gpu.memory_gb


def _cheapest(gpu: GpuType) -> float:
    return min(offer.price_per_hour for offer in gpu.offers)


def _described(gpu: GpuType, dtype: str) -> dict[str, Any]:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "manufacturer": gpu.manufacturer,
        "vram_gb": gpu.memory_gb,
        "offers": [
            {
                "cloud": offer.cloud.value.lower(),
                "price_usd_h": offer.price_per_hour,
                "stock": offer.stock.value.lower(),
                "max_count": offer.max_count,
            }
            for offer in gpu.offers
        ],
        "holds": held(gpu, dtype),
    }


def _row(gpu: GpuType) -> tuple[object, ...]:
    secure, community = gpu.offer(Cloud.SECURE), gpu.offer(Cloud.COMMUNITY)
    return (
        gpu.id,
        f"{gpu.memory_gb} GB",
        *_cells(secure),
        *_cells(community),
    )


def _cells(offer: GpuOffer | None) -> tuple[str, str]:
    if offer is None:
        return "", ""
    return rate(money(offer.price_per_hour)), offer.stock.value.lower()
