"""On what terms a run rents a pod, and how the pod is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from captiv import __version__
from captiv.catalog import Variant, family_named
from captiv.core.cost import money
from captiv.core.fleet import Demand, Offer, Wish, demand
from captiv.core.jobs import Run, RunId
from captiv.core.spec import Captioning, Placement
from captiv.errors import ConfigurationError
from captiv.runpod import Cloud, CreatePod, GpuRequest, GpuType
from captiv.settings import Settings
from captiv.wire import ModelChange

PORT = 8000
STARTUP_GRACE_S = 300
"""What the guard allows beyond the time that captiv waits: captiv's own end comes first."""

_BOOTSTRAP = (
    "set -e; python -m pip install --quiet --no-cache-dir {package}; "
    "exec python -m captiv_worker.guard {arguments}"
)
BOOTSTRAP_IMAGE = "runpod/pytorch:2.8.0-py3.11-cuda12.8.1-cudnn-devel-ubuntu22.04"
"""RunPod's own image with torch, for `runpod.bootstrap = pip`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run asks of a pod and what it may cost."""

    installation: str
    run_id: RunId
    demand: Demand
    wish: Wish
    model: ModelChange
    """What the pod is to load."""
    version: str
    image: str | None
    package: str | None
    """What a pod without captiv in its image installs; None where the image has it."""
    template_id: str | None
    disk_gb: int
    startup_timeout_s: float
    guard_idle_s: float
    lost_after_s: float
    proxy_url: str
    api_url: str
    max_cost: Decimal | None = None
    create: bool = True
    """Whether a pod may be rented where none can be used again."""
    lingers: bool = False
    """Whether the pod is left to its guard when the run ends."""

    def url(self, pod_id: str) -> str:
        """Return the public address of the pod's worker."""
        return self.proxy_url.format(pod=pod_id, port=PORT)


def terms_of(run: Run, settings: Settings, installation: str) -> Terms:
    """Return the terms on which this run rents.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
    """
    runpod, placement, captioning = settings.runpod, run.spec.placement, run.spec.captioning
    return Terms(
        installation=installation,
        run_id=run.id,
        demand=demand_of(captioning, placement.batch_size),
        wish=wish_of(placement, settings),
        model=ModelChange(
            model=captioning.model,
            variant=captioning.variant,
            source=captioning.source,
            dtype=captioning.dtype,
            max_batch=placement.batch_size,
        ),
        version=__version__,
        image=runpod.image,
        package=package_of(settings),
        template_id=runpod.template_id,
        disk_gb=runpod.container_disk_size,
        startup_timeout_s=runpod.startup_timeout,
        guard_idle_s=runpod.guard_idle,
        lost_after_s=runpod.lost_after,
        proxy_url=runpod.proxy_url,
        api_url=runpod.api_url,
        max_cost=None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd),
        create=runpod.auto_create,
        lingers=not runpod.auto_terminate,
    )


def demand_of(captioning: Captioning, batch: int | None) -> Demand:
    """Return what captioning so demands of a GPU."""
    family = family_named(captioning.model)
    variant = family.variant(captioning.variant) if family is not None else None
    return demand(
        f"{captioning.model} {captioning.variant}",
        variant or Variant(captioning.variant, captioning.source),
        captioning.dtype,
        batch,
    )


def wish_of(placement: Placement, settings: Settings) -> Wish:
    """Return what was asked for, on the command line or in the settings."""
    runpod = settings.runpod
    return Wish(
        gpu_type=placement.gpu_type or runpod.default_gpu_type,
        cloud=runpod.cloud,
        max_price_usd_h=money(runpod.max_price),
    )


def package_of(settings: Settings) -> str | None:
    """Return what a pod installs at its start; None where captiv is in its image.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
    """
    runpod = settings.runpod
    if runpod.image is not None or runpod.template_id is not None:
        return None
    if runpod.bootstrap != "pip":
        raise ConfigurationError(
            "There is nothing that a pod could run.",
            hint="Set runpod.image to a worker image, or runpod.bootstrap to pip: then "
            "RunPod's own PyTorch image installs captiv when it starts.",
        )
    return runpod.package or f"captiv[local]=={__version__}"


def offers_of(types: Iterable[GpuType]) -> list[Offer]:
    """Return RunPod's catalog as the core knows it."""
    return [
        Offer(
            gpu_id=gpu.id,
            cloud="secure" if offer.cloud is Cloud.SECURE else "community",
            vram_gb=float(gpu.memory_gb),
            price_usd_h=money(offer.price_per_hour),
            stock=offer.stock.value.lower(),  # type: ignore[arg-type]
        )
        for gpu in types
        for offer in gpu.offers
    ]


def create_request(
    terms: Terms, offer: Offer, name: str, token_sha256: str, deadline_s: int
) -> CreatePod:
    """Return what RunPod is asked for; the pod learns only the hash of its token."""
    arguments = ("--host", "0.0.0.0", "--port", str(PORT), "--name", name, *_loading(terms.model))
    image = terms.image or (None if terms.template_id else BOOTSTRAP_IMAGE)
    entrypoint: tuple[str, ...] = ()
    if terms.package is not None:
        script = _BOOTSTRAP.format(package=_quoted(terms.package), arguments=_joined(arguments))
        entrypoint, arguments = ("bash", "-c", script), ()
    return CreatePod(
        name=name,
        gpu=GpuRequest(id=offer.gpu_id),
        image=image,
        template_id=terms.template_id,
        env={
            "CAPTIV_WORKER_TOKEN_SHA256": token_sha256,
            "CAPTIV_GUARD_IDLE_S": f"{terms.guard_idle_s:g}",
            "CAPTIV_GUARD_STARTUP_S": f"{2 * terms.startup_timeout_s + STARTUP_GRACE_S:g}",
            "CAPTIV_GUARD_DEADLINE": str(deadline_s),
            "CAPTIV_RUNPOD_API_URL": terms.api_url,
        },
        ports=(f"{PORT}/http",),
        disk_gb=terms.disk_gb,
        cloud=Cloud(offer.cloud.upper()),
        entrypoint=entrypoint,
        cmd=arguments,
    )


def _loading(model: ModelChange) -> tuple[str, ...]:
    """Return the worker's arguments that load this model."""
    said = {
        "--model": model.model,
        "--variant": model.variant,
        "--source": model.source,
        "--dtype": model.dtype,
        "--max-batch": model.max_batch,
    }
    return tuple(str(part) for name, v in said.items() if v is not None for part in (name, v))


def _joined(words: tuple[str, ...]) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """Quote for the pod's shell, whatever system captiv runs on."""
    plain = word.replace("-", "").replace("_", "").replace(".", "").replace("/", "")
    return word if plain.isalnum() else "'" + word.replace("'", "'\"'\"'") + "'"
