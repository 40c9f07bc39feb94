"""RunPod's catalog of GPU types, asked once per cloud and merged into one list.

Whether a type is offered, and for how much, is the same in both answers; what is in stock is said
only of the cloud that was asked about.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from captiv.rental.runpod.values import Cloud, GpuOffer, GpuType, Reply, Stock

SENTINEL = "unknown"
"""The catalog's entry for machines whose GPU it does not know; no pod can be made with it."""


class CudaVersion(Reply):
    """A CUDA version that some hosts of this type have."""

    version: str
    available: bool = False
    """Whether one of them has free capacity now."""


class DataCenter(Reply):
    """A place that has machines of this type."""

    id: str
    availability: Stock = Stock.UNKNOWN


class PerCloud(Reply):
    """A number for each cloud."""

    secure: float = 0
    community: float = 0

    def of(self, cloud: Cloud) -> float:
        """Return this cloud's number."""
        return self.secure if cloud is Cloud.SECURE else self.community


class CatalogGpu(Reply):
    """A GPU type as the catalog describes it to one question."""

    id: str
    name: str = ""
    manufacturer: str = ""
    memory_gb: Annotated[int, Field(validation_alias="memory")] = 0
    secure: bool = False
    community: bool = False
    price: PerCloud = PerCloud()
    max_count: PerCloud = PerCloud()
    availability: Stock = Stock.UNKNOWN
    cuda_versions: tuple[CudaVersion, ...] = ()
    data_centers: tuple[DataCenter, ...] = ()

    def offer(self, cloud: Cloud) -> GpuOffer | None:
        """Return this cloud's offer, or None if it has none. Nothing is rented without a price."""
        offered = self.secure if cloud is Cloud.SECURE else self.community
        price = self.price.of(cloud)
        if not offered or price <= 0:
            return None
        return GpuOffer(
            cloud=cloud,
            price_per_hour=price,
            stock=self.availability,
            max_count=max(1, int(self.max_count.of(cloud))),
            cuda_versions=tuple(cuda.version for cuda in self.cuda_versions if cuda.available),
            data_centers={place.id.upper(): place.availability for place in self.data_centers},
        )


def merge(answers: Mapping[Cloud, Sequence[CatalogGpu]]) -> list[GpuType]:
    """Return every type that a cloud offers, with each cloud's offer from its own answer."""
    described: dict[str, CatalogGpu] = {}
    offers: dict[str, list[GpuOffer]] = {}
    for cloud, gpus in answers.items():
        for gpu in gpus:
            if gpu.id != SENTINEL and (offer := gpu.offer(cloud)):
                described.setdefault(gpu.id, gpu)
                offers.setdefault(gpu.id, []).append(offer)
    return [
        GpuType(id, gpu.name or id, gpu.manufacturer, gpu.memory_gb, tuple(offers[id]))
        for id, gpu in described.items()
    ]
