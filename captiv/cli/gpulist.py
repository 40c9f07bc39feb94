"""GPU types as `captiv runpod gpus` lists them: what each holds, and for how much."""

from collections.abc import Iterable
from typing import Any

from captiv.catalog import FAMILIES
from captiv.cli import show
from captiv.core.cost import money, rate
from captiv.core.fleet import needed_gb
from captiv.runpod import Cloud, GpuOffer, GpuType

_HEADINGS = ("GPU", "Memory", "Secure", "Stock", "Community", "Stock", "Holds")


def tell(types: Iterable[GpuType], dtype: str, *, as_json: bool) -> None:
    """Print the types, the cheapest first, with the models that each holds in that precision."""
    found = sorted(types, key=lambda gpu: (_cheapest(gpu), gpu.id))
    if as_json:
        show.json_value([_described(gpu, dtype) for gpu in found])
        return
    if not found:
        show.line("RunPod offers no GPU now.")
        return
    show.table(_HEADINGS, [_row(gpu, dtype) for gpu in found], right=(1, 2, 4))


def held(gpu: GpuType, dtype: str) -> list[str]:
    """Return the variants of the catalog whose need is known and that this GPU has room for."""
    found = []
    for family in FAMILIES:
        for variant in family.variants:
            gb = needed_gb(variant, dtype, None)
            if gb is not None and gb <= gpu.memory_gb:
                found.append(variant.name)
    return found


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


def _row(gpu: GpuType, dtype: str) -> tuple[object, ...]:
    secure, community = gpu.offer(Cloud.SECURE), gpu.offer(Cloud.COMMUNITY)
    return (
        gpu.id,
        f"{gpu.memory_gb} GB",
        *_cells(secure),
        *_cells(community),
        ", ".join(held(gpu, dtype)),
    )


def _cells(offer: GpuOffer | None) -> tuple[str, str]:
    if offer is None:
        return "", ""
    return rate(money(offer.price_per_hour)), offer.stock.value.lower()
