"""On what terms a run rents a pod, and how the pod is asked for."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from captiv import __version__
from captiv.catalog import Variant, family_named
from captiv.catalog.model import QUANTISED
from captiv.core.cost import money
from captiv.core.cuda import cuda_of
from captiv.core.fleet import Demand, Offer, Wish, demand
from captiv.core.jobs import Run, RunId
from captiv.core.pods import Guarded
from captiv.core.spec import Captioning, Placement
from captiv.errors import ConfigurationError
from captiv.rental.runpod import Cloud, CreatePod, GpuRequest, GpuType, Template, bootstrap
from captiv.settings import Settings
from captiv.wire import ModelChange
from captiv.workers.arguments import worker_arguments

PORT = 8000
STARTUP_GRACE_S = 300
"""What the guard allows beyond the time that captiv waits: captiv's own end comes first."""

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
    disk_gb: int | None
    """None where the template says it."""
    startup_timeout_s: float
    guard_idle_s: float
    lost_after_s: float
    proxy_url: str
    api_url: str
    request_timeout_s: float = math.inf
    """How long a worker may answer and give no caption."""
    max_cost: Decimal | None = None
    create: bool = True
    """Whether a pod may be rented where none can be used again."""
    lingers: bool = False
    """Whether the pod is left to its guard when the run ends."""
    template: Template | None = None
    """What RunPod says of `template_id`, once it was asked."""
    terminate: bool = False
    """Whether also a pod that the run only used is ended with it."""

    @property
    def guarded(self) -> Guarded:
        """How long a pod lives by its guard when nobody speaks to it."""
        return _guarded(self.guard_idle_s, self.startup_timeout_s)

    def url(self, pod_id: str) -> str:
        """Return the public address of the pod's worker."""
        return self.proxy_url.format(pod=pod_id, port=PORT)


def terms_of(run: Run, settings: Settings, installation: str) -> Terms:
    """Return the terms on which this run rents.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
    """
    runpod, placement, captioning = settings.runpod, run.spec.placement, run.spec.captioning
    templated = runpod.template_id is not None
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
        image=None if templated else runpod.image,
        package=package_of(settings, captioning.dtype),
        template_id=runpod.template_id,
        disk_gb=None if templated else runpod.container_disk_size,
        startup_timeout_s=runpod.startup_timeout,
        guard_idle_s=runpod.guard_idle,
        lost_after_s=runpod.lost_after,
        request_timeout_s=runpod.request_timeout,
        proxy_url=runpod.proxy_url,
        api_url=runpod.api_url,
        max_cost=None if placement.max_cost_usd is None else Decimal(placement.max_cost_usd),
        create=runpod.auto_create,
        lingers=not runpod.auto_terminate and not placement.terminate,
        terminate=placement.terminate,
    )


def guarded_by(settings: Settings) -> Guarded:
    """Return how long pods made by these settings live when nobody speaks to them."""
    return _guarded(settings.runpod.guard_idle, settings.runpod.startup_timeout)


def _guarded(idle_s: float, startup_timeout_s: float) -> Guarded:
    return Guarded(idle_s, 2 * startup_timeout_s + STARTUP_GRACE_S)


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
    named = placement.gpu_type is not None
    gpu_type = placement.gpu_type if named else runpod.default_gpu_type
    return Wish(
        gpu_type=gpu_type.strip() or None if gpu_type is not None else None,
        cloud=runpod.cloud,
        max_price_usd_h=money(runpod.max_price),
        named=named,
    )


def package_of(settings: Settings, dtype: str = "auto") -> str | None:
    """Return what a pod installs at its start; None where captiv is in its image.

    Raises:
        ConfigurationError: there is nothing that a pod could run.
    """
    runpod = settings.runpod
    if runpod.bootstrap == "pip":
        return requirement_of(runpod.package, "local,quant" if dtype in QUANTISED else "local")
    if runpod.image is not None or runpod.template_id is not None:
        return None
    raise ConfigurationError(
        "There is nothing that a pod could run.",
        hint="Set runpod.image to a worker image, or runpod.bootstrap to pip: then "
        "RunPod's own PyTorch image installs captiv when it starts.",
    )


def requirement_of(package: str | None, extras: str = "local") -> str:
    """Return what pip is asked for: this version of captiv, or where else it is, with its extras.

    RunPod's image has torch, and nothing else that captioning needs.
    """
    if package is None:
        return f"captiv[{extras}]=={__version__}"
    if re.match(r"(git\+|https?://|file://)", package):
        return f"captiv[{extras}] @ {package}"
    path = package.endswith((".whl", ".tar.gz")) and "@" not in package
    return f"{package}[{extras}]" if path else package


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
    terms: Terms, offer: Offer, name: str, token_sha256: str, deadline_s: int | None
) -> CreatePod:
    """Return what RunPod is asked for; the pod learns only the hash of its token.

    Without a deadline its guard ends it only when it is idle.
    """
    arguments = worker_arguments(host="0.0.0.0", port=PORT, name=name, model=terms.model)
    entrypoint: tuple[str, ...] = ()
    if terms.package is not None:
        entrypoint, arguments = installing(terms.package, arguments)
    own = terms.image is None and terms.template_id is None
    ports = terms.template.ports if terms.template is not None else ()
    image = BOOTSTRAP_IMAGE if own else terms.image
    request = CreatePod(
        name=name,
        gpu=GpuRequest(id=offer.gpu_id, min_cuda_version=cuda_of(image) if image else None),
        image=image,
        template_id=terms.template_id,
        env={
            "CAPTIV_WORKER_TOKEN_SHA256": token_sha256,
            "CAPTIV_GUARD_IDLE_S": f"{terms.guarded.idle_s:g}",
            "CAPTIV_GUARD_STARTUP_S": f"{terms.guarded.startup_s:g}",
            "CAPTIV_RUNPOD_API_URL": terms.api_url,
        }
        | ({} if deadline_s is None else {"CAPTIV_GUARD_DEADLINE": str(deadline_s)}),
        ports=tuple(dict.fromkeys((*ports, f"{PORT}/http"))),
        disk_gb=terms.disk_gb,
        cloud=Cloud(offer.cloud.upper()),
        entrypoint=entrypoint,
        cmd=tuple(arguments),
    )
    # A start command of the template's own yields to one in the same form only.
    return request.with_args() if terms.template is not None and terms.template.args else request


def installing(requirement: str, arguments: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return entrypoint and command of a container that installs captiv and becomes the guard."""
    text = Path(bootstrap.__file__).read_text(encoding="utf-8")
    return ("python", "-c", text), [requirement, *arguments]
