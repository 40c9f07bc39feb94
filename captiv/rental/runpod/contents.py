"""What a pod at RunPod runs: known to be there before anything is rented, and how it is asked for.

The image is captiv's worker image, whose entrypoint is the guard; or any image with Python and pip,
for `runpod.bootstrap = pip`, in which the start command installs captiv first (`rental.bootstrap`).
A template of the account gives image, environment, disk and ports; what captiv sets wins over its
environment, key by key, and its own port is added to the template's.
"""

from dataclasses import dataclass
from typing import Self

from captiv.errors import AccessDenied, ConfigurationError
from captiv.rental.podspec import installing, requirement_of
from captiv.rental.provider import PodSpec
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.cuda import cuda_of
from captiv.rental.runpod.values import Cloud, CreatePod, GpuRequest, Template
from captiv.settings.schema import RunpodSettings
from captiv.workers.package import missing

BOOTSTRAP_IMAGE = "runpod/pytorch:2.8.0-py3.11-cuda12.8.1-cudnn-devel-ubuntu22.04"
"""RunPod's own image with torch, for `runpod.bootstrap = pip`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the settings say of the container."""

    image: str | None
    template_id: str | None
    installs: bool
    """Whether the pod installs captiv at its start."""
    package: str | None
    """What it installs; None for this version of captiv."""
    disk_gb: int

    @classmethod
    def of(cls, settings: RunpodSettings) -> Self:
        """Return what these settings say."""
        return cls(
            image=settings.image,
            template_id=settings.template_id,
            installs=settings.bootstrap == "pip",
            package=settings.package,
            disk_gb=settings.container_disk_size,
        )

    def requirement(self, extras: tuple[str, ...], image: str | None) -> str | None:
        """Return what a pod installs at its start; None where captiv is in its image.

        Raises:
            ConfigurationError: there is nothing that a pod could run.
        """
        if self.installs:
            return requirement_of(self.package, extras)
        if image is not None or self.image is not None or self.template_id is not None:
            return None
        raise ConfigurationError(
            "There is nothing that a pod could run.",
            hint="Set runpod.image to a worker image, or runpod.bootstrap to pip: then "
            "RunPod's own PyTorch image installs captiv when it starts.",
        )

    async def found(
        self, api: RunpodApi, extras: tuple[str, ...], image: str | None
    ) -> Template | None:
        """Look whether what a pod is to run can be had; return its template, if it has one.

        Raises:
            ConfigurationError: there is nothing to run, the package is not where it should be, or
                the template is not one for pods.
            ProviderError: RunPod cannot be asked, or knows no such template.
        """
        package = self.requirement(extras, image)
        if package is not None and (reason := await missing(package)):
            raise ConfigurationError(
                f"A pod could not install captiv: {reason}",
                hint="Set runpod.package to a URL of a wheel that pods can reach, or runpod.image "
                "to a worker image.",
            )
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

    def asked_for(self, spec: PodSpec, template: Template | None) -> CreatePod:
        """Return what RunPod is asked for to make this pod."""
        templated = self.template_id is not None
        image = spec.image or (None if templated else self.image)
        requirement = self.requirement(spec.extras, spec.image)
        if image is None and not templated:
            image = BOOTSTRAP_IMAGE
        entrypoint: tuple[str, ...] = ()
        command = spec.arguments
        if requirement is not None:
            entrypoint, command = installing(requirement, spec.arguments)
        request = CreatePod(
            name=spec.name,
            gpu=GpuRequest(
                id=spec.offer.gpu_id, min_cuda_version=cuda_of(image) if image else None
            ),
            image=image,
            template_id=self.template_id,
            env=dict(spec.env),
            ports=tuple(
                dict.fromkeys((*(template.ports if template else ()), f"{spec.port}/http"))
            ),
            disk_gb=spec.disk_gb or (None if templated else self.disk_gb),
            cloud=Cloud(spec.offer.cloud.upper()),
            entrypoint=entrypoint,
            cmd=command,
        )
        # A start command of the template's own yields to one in the same form only.
        return request.with_args() if template is not None and template.args else request
