"""What a pod at RunPod runs: known to be there before anything is rented, and how it is asked for.

There are three roads: captiv brings its worker into a public image (`carry`); the image is captiv's
worker image, whose entrypoint is the guard (`image`); or the image has Python, torch and pip, and
its start command installs captiv (`pip`). What carry and pip start with is `rental.bootstrap`. A
template of the account gives image, environment, disk and ports; what captiv sets wins over its
environment, key by key, and its own port is added to the template's.

With a network volume, pods are placed beside it and keep their models on it.
"""

from dataclasses import dataclass
from typing import Literal, Self

from captiv.errors import AccessDenied, ConfigurationError
from captiv.rental.podspec import disk_gb_for, requirement_of, starting
from captiv.rental.provider import PodSpec
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.cuda import cuda_of
from captiv.rental.runpod.images import PYTORCH, VLLM
from captiv.rental.runpod.registry import registry_of
from captiv.rental.runpod.values import Cloud, CreatePod, GpuRequest, NetworkVolume, Template
from captiv.rental.runpod.volume import KEPT_ENV, mounts_of, volume_of
from captiv.settings.schema import RunpodSettings
from captiv.workers.package import missing

Road = Literal["carry", "image", "pip"]


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of that which the settings name."""

    template: Template | None = None
    volume: NetworkVolume | None = None
    registry_id: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What the settings say of the container."""

    image: str | None
    template_id: str | None
    road: Road
    """How captiv comes into the pod."""
    package: str | None
    """What pip installs; None for this version of captiv."""
    disk_gb: int | None
    """None: as much as the model needs."""
    volume_id: str | None
    registry: str | None
    """Id or name of the credentials by which the image is pulled."""

    @classmethod
    def of(cls, settings: RunpodSettings) -> Self:
        """Return what these settings say.

        An image or a template that somebody named has captiv in it, unless that somebody says how
        it gets there.
        """
        named = settings.image is not None or settings.template_id is not None
        said = "bootstrap" in settings.model_fields_set
        return cls(
            image=settings.image,
            template_id=settings.template_id,
            road="image" if named and not said else settings.bootstrap,
            package=settings.package,
            disk_gb=settings.container_disk_size,
            volume_id=settings.network_volume,
            registry=settings.registry,
        )

    def against(self, gpu_id: str) -> str:
        """Return why the image that captiv chose cannot run on this GPU; empty if it can."""
        return PYTORCH.against(gpu_id) or VLLM.against(gpu_id) if self.public else ""

    @property
    def public(self) -> bool:
        """Whether captiv chooses the image."""
        return self.road != "image" and self.image is None and self.template_id is None

    def _road(self, image: str | None) -> Road:
        """Return the road of a pod; `image` was asked for with it, and has captiv in it."""
        return "image" if image is not None and self.road == "carry" else self.road

    def _requirement(self, extras: tuple[str, ...], image: str | None) -> str | None:
        """Return what pip installs at a pod's start; None where pip installs nothing.

        Raises:
            ConfigurationError: there is nothing that a pod could run.
        """
        road = self._road(image)
        if road == "pip":
            return requirement_of(self.package, extras)
        nothing = image is None and self.image is None and self.template_id is None
        if road == "image" and nothing:
            raise ConfigurationError(
                "There is nothing that a pod could run.",
                hint="Set runpod.image to a worker image, or unset runpod.bootstrap: then captiv "
                "brings its worker into a public image.",
            )
        if road == "image" and "tagger" in extras and (image or self.image) is not None:
            raise ConfigurationError(
                "A worker image has no onnxruntime, by which taggers run.",
                hint="Leave --runpod out: taggers run on the CPU. Or unset runpod.image: then "
                "captiv brings onnxruntime into a public image.",
            )
        return None

    def _disk_gb(self, spec: PodSpec, volume: NetworkVolume | None) -> int:
        """Return the container disk that the settings give, or that the pod's model needs."""
        return self.disk_gb or disk_gb_for(spec.model_bytes if volume is None else 0)

    async def found(self, api: RunpodApi, extras: tuple[str, ...], image: str | None) -> Found:
        """Look whether what a pod is to run can be had; return what the account has of it.

        Raises:
            ConfigurationError: there is nothing to run, the package is not where it should be, the
                template is not one for pods, or there is no such volume or registry.
            ProviderError: RunPod cannot be asked, or knows no such template.
        """
        package = self._requirement(extras, image)
        if package is not None and (reason := await missing(package)):
            raise ConfigurationError(
                f"A pod could not install captiv: {reason}",
                hint="Set runpod.package to a URL of a wheel that pods can reach, or runpod.image "
                "to a worker image.",
            )
        return Found(
            template=await self._template(api),
            volume=None if self.volume_id is None else await volume_of(api, self.volume_id),
            registry_id=None if self.registry is None else await registry_of(api, self.registry),
        )

    async def _template(self, api: RunpodApi) -> Template | None:
        if self.template_id is None:
            return None
        try:
            template = await api.template(self.template_id)
        except AccessDenied:  # a key may be good for pods and not for templates
            return None
        if template.serverless:
            raise ConfigurationError(
                f"Template {template.id} ({template.name}) is for serverless workers, not for "
                "pods.",
                hint="Set runpod.template_id to a pod template.",
            )
        return template

    def asked_for(self, spec: PodSpec, found: Found = Found()) -> CreatePod:
        """Return what RunPod is asked for to make this pod."""
        template, volume = found.template, found.volume
        templated = self.template_id is not None
        image = spec.image or (None if templated else self.image)
        requirement = self._requirement(spec.extras, spec.image)
        chosen = None
        if image is None and not templated:
            chosen = VLLM if "vllm" in spec.extras else PYTORCH
            image = chosen.name
        entrypoint: tuple[str, ...] = ()
        command = spec.arguments
        if self._road(spec.image) != "image":
            entrypoint, command = starting(spec.arguments, requirement)
        request = CreatePod(
            name=spec.name,
            gpu=GpuRequest(
                id=spec.offer.gpu_id,
                min_cuda_version=chosen.cuda if chosen else image and cuda_of(image),
            ),
            image=image,
            template_id=self.template_id,
            env=dict(spec.env) | ({} if volume is None else KEPT_ENV),
            ports=tuple(
                dict.fromkeys((*(template.ports if template else ()), f"{spec.port}/http"))
            ),
            disk_gb=spec.disk_gb or (None if templated else self._disk_gb(spec, volume)),
            mounts=None if volume is None else mounts_of(volume),
            registry=found.registry_id,
            data_center_ids=() if volume is None else (volume.data_center,),
            cloud=Cloud(spec.offer.cloud.upper()),
            entrypoint=entrypoint,
            cmd=command,
            replaces_entrypoint=chosen is VLLM,
        )
        # A start command of the template's own yields to one in the same form only.
        return request.with_args() if template is not None and template.args else request
