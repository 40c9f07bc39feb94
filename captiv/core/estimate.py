"""How long a pod takes to start and to caption, by its parts, before anything is rented.

Where nothing of the kind was measured, the parts come from `FACTS`; what this installation has
measured on earlier pods goes before them, part by part: what the host took, how fast weights came,
how long they took to load.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from captiv.catalog.engines import Engine


@dataclass(frozen=True, slots=True)
class Facts:
    """What is assumed of a host that nothing is known of."""

    image_bytes: int = 12_000_000_000
    """What a pod's image takes to fetch. Public images with torch or vLLM have 8 to 16 GB."""
    pull_bytes_s: float = 100e6
    """How fast an image is fetched and unpacked: 11.9 GB took about 120 s and 16.3 GB 165 to 169 s
    on hosts that had none of it (alignment-hive#98, RunPod EU-RO-1, September 2026)."""
    boot_s: float = 45.0
    """A host is found, the container starts, the worker is installed and begins to answer: RunPod's
    own notes expect 30 to 60 s until its proxy reaches a port."""
    weights_bytes_s: float = 150e6
    """How fast weights come from the hub: 100 to 200 MB/s in data centres (the same source). A host
    of the community may have a sixth of it."""
    wake_s: float = 20.0
    """Python, torch and the GPU's context until the first byte of the weights is read: assumed."""
    load_bytes_s: float = 1e9
    """How fast weights go from the disk to the GPU: assumed, as an NVMe disk reads them."""
    vllm_s: float = 40.0
    """What vLLM takes besides, to compile the model and to record its steps: 39 s for 8 billion
    parameters (vllm#11005), 34 s with what it had compiled before (vllm#20264)."""


FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class Startup:
    """How long a pod takes until its worker is ready, in seconds, by what takes it."""

    host_s: float
    """A host is found, the image fetched, the container started, and what is missing installed."""
    download_s: float
    """The weights are fetched."""
    load_s: float
    """They are loaded, and the model is tried."""
    measured: bool = False
    """Whether pods of this installation with this model told all of it."""

    @property
    def total_s(self) -> float:
        """How long all of it takes."""
        return self.host_s + self.download_s + self.load_s


@dataclass(frozen=True, slots=True)
class Started:
    """How long an earlier pod took, by the same parts."""

    startup: Startup
    gpu: str
    cloud: str
    model: str
    """The variant that it loaded."""
    dtype: str
    download_bytes: int | None = None
    """Of that variant; None where it is not known."""
    engine: Engine = "transformers"
    """What drove it: each has an image of its own."""
    volume: str | None = None
    """Where it kept what it fetched, for the next pod; None if nowhere."""


def startup(
    download_bytes: int | None,
    before: Sequence[Started] = (),
    *,
    gpu: str = "",
    cloud: str = "",
    model: str = "",
    dtype: str = "auto",
    engine: Engine = "transformers",
    volume: str | None = None,
    facts: Facts = FACTS,
) -> Startup:
    """Return how long a pod takes that loads so much: by earlier pods, else by the facts.

    Pods with the same model and engine, best on the same GPU in the same cloud, tell all of it.
    Others tell what the host takes, those with the same engine before all, and how fast weights
    come; so they do where the same model's weights were on a volume.

    Args:
        download_bytes: what the weights take to fetch; None where that is not known.
        before: earlier pods of the same provider, the newest first.
        gpu: the type of GPU.
        cloud: the pool of hosts.
        model: the variant.
        dtype: its precision.
        engine: what drives it.
        volume: where pods keep what they fetch; None if nowhere.
        facts: what is assumed where nothing was measured.
    """
    size, fetched = download_bytes or 0, 0 if is_kept(before, model, volume) else 1
    driven = [pod for pod in before if pod.engine == engine]
    same = [pod for pod in driven if (pod.model, pod.dtype) == (model, dtype)]
    alike = _nearest(same, gpu, cloud)
    line_s = _fetch_s(size, _nearest(before, gpu, cloud), facts)
    if alike:
        took_s = [pod.startup.download_s for pod in alike if _has_fetched(pod)]
        return Startup(
            _median([pod.startup.host_s for pod in alike]),
            (_median(took_s) if took_s else line_s) * fetched,
            _median([pod.startup.load_s for pod in alike]),
            measured=True,
        )
    assumed = Startup(
        facts.boot_s + facts.image_bytes / facts.pull_bytes_s,
        line_s * fetched,
        (facts.wake_s if size else 0)
        + size / facts.load_bytes_s
        + (facts.vllm_s if engine == "vllm" else 0),
    )
    hosts = _nearest(driven or before, gpu, cloud)
    if hosts:
        assumed = replace(assumed, host_s=_median([pod.startup.host_s for pod in hosts]))
    return assumed


def _fetch_s(size: int, before: Sequence[Started], facts: Facts) -> float:
    """Return how long so much takes to fetch, at the rate of earlier pods where they tell one."""
    rates = [
        pod.download_bytes / pod.startup.download_s
        for pod in before
        if pod.download_bytes and pod.startup.download_s >= _PROVEN_S
    ]
    return size / (_median(rates) if rates else facts.weights_bytes_s)


def _has_fetched(pod: Started) -> bool:
    """Whether a pod has fetched its weights: another may have left them on its volume."""
    return pod.volume is None or pod.startup.download_s >= _PROVEN_S


def is_kept(before: Sequence[Started], model: str, volume: str | None) -> bool:
    """Whether an earlier pod has left this variant on the volume."""
    return volume is not None and any((pod.model, pod.volume) == (model, volume) for pod in before)


_LAST: Final = 5
"""So many of the newest pods are looked at: hosts, images and lines change."""
_PROVEN_S: Final = 5.0
"""A download that was over sooner tells no rate: a pod is looked at once a second."""


def _nearest(pods: Sequence[Started], gpu: str, cloud: str) -> Sequence[Started]:
    """Return the newest pods on such a GPU in such a cloud, else in the cloud, else anywhere."""
    in_cloud = [pod for pod in pods if pod.cloud == cloud]
    on_gpu = [pod for pod in in_cloud if pod.gpu == gpu]
    return (on_gpu or in_cloud or pods)[:_LAST]


def _median(values: Sequence[float]) -> float:
    return float(median(values))
