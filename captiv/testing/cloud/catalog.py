"""What the simulated cloud has to let: GPU types, their memory, prices and stock, data centers.

Ids and memory are RunPod's own (its page of GPU types, February 2026); prices are list prices of
2026, and no promise. A type without a price in a cloud is not offered there, and its price reads 0
there, as a trap for whoever picks the cheapest number without looking at `secure` and `community`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Cloud = Literal["SECURE", "COMMUNITY"]
Level = Literal["NONE", "LOW", "MEDIUM", "HIGH"]

CLOUDS: tuple[Cloud, Cloud] = ("SECURE", "COMMUNITY")
LEVELS: tuple[Level, ...] = ("NONE", "LOW", "MEDIUM", "HIGH")
CUDA_VERSIONS = ("12.4", "12.8", "13.0")
SENTINEL = "unknown"
"""RunPod lists a type of this name that nobody can rent."""


@dataclass(frozen=True, slots=True)
class GpuType:
    """One type: dollars an hour for a single one, None where it is not offered."""

    id: str
    memory_gb: int
    secure: Decimal | None = None
    community: Decimal | None = None
    stock: Level = "HIGH"

    def price(self, cloud: Cloud) -> Decimal | None:
        """Return the hourly price of one in this cloud."""
        return self.secure if cloud == "SECURE" else self.community

    @property
    def name(self) -> str:
        """What people call it."""
        return self.id.removeprefix("NVIDIA ").removeprefix("GeForce ")


@dataclass(frozen=True, slots=True)
class DataCenter:
    """One place."""

    id: str
    name: str
    region: str


DATA_CENTERS = (
    DataCenter("EU-RO-1", "EU Romania 1", "EUROPE"),
    DataCenter("EU-SE-1", "EU Sweden 1", "EUROPE"),
    DataCenter("EU-CZ-1", "EU Czechia 1", "EUROPE"),
    DataCenter("US-KS-2", "US Kansas 2", "NORTH_AMERICA"),
    DataCenter("US-TX-3", "US Texas 3", "NORTH_AMERICA"),
    DataCenter("CA-MTL-3", "CA Montreal 3", "NORTH_AMERICA"),
    DataCenter("AP-JP-1", "AP Japan 1", "ASIA"),
)


def _gpu(
    id_: str,
    memory_gb: int,
    secure: str | None,
    community: str | None = None,
    stock: Level = "HIGH",
) -> GpuType:
    return GpuType(id_, memory_gb, _dollars(secure), _dollars(community), stock)


def _dollars(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


GPU_TYPES = (
    _gpu("NVIDIA GeForce RTX 3080", 10, None, "0.17", "LOW"),
    _gpu("NVIDIA RTX A4000", 16, "0.29", "0.17", "MEDIUM"),
    _gpu("NVIDIA RTX 2000 Ada Generation", 16, "0.28", None, "LOW"),
    _gpu("NVIDIA RTX A4500", 20, "0.34", "0.19", "LOW"),
    _gpu("NVIDIA RTX 4000 Ada Generation", 20, "0.34", "0.20", "MEDIUM"),
    _gpu("NVIDIA RTX A5000", 24, "0.26", "0.16"),
    _gpu("NVIDIA GeForce RTX 3090", 24, "0.43", "0.22"),
    _gpu("NVIDIA GeForce RTX 3090 Ti", 24, None, "0.27", "LOW"),
    _gpu("NVIDIA L4", 24, "0.43", None, "LOW"),
    _gpu("NVIDIA A30", 24, None, None, "NONE"),
    _gpu("NVIDIA GeForce RTX 4090", 24, "0.69", "0.34"),
    _gpu("NVIDIA GeForce RTX 5090", 32, "0.89", "0.69", "MEDIUM"),
    _gpu("NVIDIA RTX PRO 4500 Blackwell", 32, "0.72", None, "LOW"),
    _gpu("NVIDIA A40", 48, "0.40", None, "MEDIUM"),
    _gpu("NVIDIA RTX A6000", 48, "0.49", "0.33"),
    _gpu("NVIDIA L40", 48, "0.99", "0.69", "LOW"),
    _gpu("NVIDIA L40S", 48, "0.86", "0.79", "MEDIUM"),
    _gpu("NVIDIA RTX 6000 Ada Generation", 48, "0.77", "0.74", "MEDIUM"),
    _gpu("NVIDIA A100 80GB PCIe", 80, "1.39", "1.19"),
    _gpu("NVIDIA A100-SXM4-80GB", 80, "1.89", None, "MEDIUM"),
    _gpu("NVIDIA H100 PCIe", 80, "2.39", "1.99"),
    _gpu("NVIDIA H100 80GB HBM3", 80, "2.99", "2.69"),
    _gpu("NVIDIA H100 NVL", 94, "2.79", "2.59", "LOW"),
    _gpu("NVIDIA H200", 141, "3.99", "3.59", "NONE"),
    _gpu("NVIDIA B200", 180, None, None, "NONE"),
    _gpu("AMD Instinct MI300X OAM", 192, None, None, "NONE"),
    _gpu(SENTINEL, 0, None, None, "NONE"),
)


class Catalog:
    """The types with their stock, which tests may change."""

    def __init__(self, gpu_types: Iterable[GpuType] = GPU_TYPES) -> None:
        self._types = {gpu.id: gpu for gpu in gpu_types}
        self._stock: dict[tuple[str, Cloud], Level] = {}

    def find(self, gpu_id: str) -> GpuType | None:
        """Return the type of this id."""
        return self._types.get(gpu_id)

    def set_stock(self, gpu_id: str, level: Level, cloud: Cloud | None = None) -> None:
        """Say how many of a type are to be had, in one cloud or both."""
        if gpu_id not in self._types or level not in LEVELS:
            raise ValueError(f"there is no GPU type {gpu_id!r} or no stock level {level!r}")
        for each in CLOUDS if cloud is None else (cloud,):
            self._stock[gpu_id, each] = level

    def sell_out(self, cloud: Cloud | None = None) -> None:
        """Leave no GPU of any type."""
        for gpu_id in self._types:
            self.set_stock(gpu_id, "NONE", cloud)

    def stock(self, gpu_id: str, cloud: Cloud) -> Level:
        """Return how many of a type are to be had."""
        gpu = self._types[gpu_id]
        if gpu.price(cloud) is None:
            return "NONE"
        return self._stock.get((gpu_id, cloud), gpu.stock)

    def places(self, gpu_id: str) -> Sequence[DataCenter]:
        """Return the data centers that have this type at all: three of them, by its place here."""
        first = list(self._types).index(gpu_id)
        count = len(DATA_CENTERS)
        return [DATA_CENTERS[(first + step) % count] for step in range(3)]

    def gpus(self, cloud: Cloud | None) -> list[dict[str, Any]]:
        """Return the types as `/v2/catalog/gpus` has them; with a cloud also what is in stock."""
        rows = [_row(gpu) for gpu in self._types.values()]
        if cloud is not None:
            for row in rows:
                row |= self._availability(str(row["id"]), cloud)
        return rows

    def data_centers(self, *, with_gpus: bool, regions: set[str]) -> list[dict[str, Any]]:
        """Return the places as `/v2/catalog/datacenters` has them."""
        rows = []
        for place in DATA_CENTERS:
            if regions and place.region not in regions:
                continue
            row: dict[str, Any] = {
                "id": place.id,
                "name": place.name,
                "region": place.region,
                "globalNetwork": place.region != "ASIA",
                "networkVolumeTypes": ["STANDARD"],
                "compliance": ["SOC_2_TYPE_2"],
            }
            if with_gpus and (gpus := self._gpus_at(place)):
                row["gpuAvailability"] = gpus
            rows.append(row)
        return rows

    def _gpus_at(self, place: DataCenter) -> list[dict[str, Any]]:
        return [
            {"id": gpu.id, "name": gpu.name, "availability": self.stock(gpu.id, "SECURE")}
            for gpu in self._types.values()
            if gpu.secure is not None and place in self.places(gpu.id)
        ]

    def _availability(self, gpu_id: str, cloud: Cloud) -> dict[str, Any]:
        level = self.stock(gpu_id, cloud)
        if level == "NONE":
            return {"availability": level}
        places = [
            {"id": place.id, "name": place.name, "availability": level}
            for place in self.places(gpu_id)
        ]
        versions = [{"version": version, "available": True} for version in CUDA_VERSIONS]
        return {"availability": level, "dataCenters": places, "cudaVersions": versions}


def _row(gpu: GpuType) -> dict[str, Any]:
    secure, community = gpu.secure is not None, gpu.community is not None
    return {
        "id": gpu.id,
        "name": gpu.name,
        "pool": None,
        "manufacturer": "AMD" if gpu.id.startswith("AMD") else "NVIDIA",
        "memory": gpu.memory_gb,
        "secure": secure,
        "community": community,
        "price": {"secure": float(gpu.secure or 0), "community": float(gpu.community or 0)},
        "maxCount": {"secure": 8 if secure else 0, "community": 4 if community else 0},
    }
