"""What runs in a pod: known to be there before anything is rented, and how it is started.

The image is captiv's worker image, whose entrypoint is the guard; or any image with Python and pip,
for `runpod.bootstrap = pip`, in which the start command installs captiv first (`bootstrap`). A
template of the account gives image, environment, disk and ports; what captiv sets wins over its
environment, key by key, and its own port is added to the template's.
"""

from dataclasses import replace

from captiv.errors import AccessDenied, ConfigurationError
from captiv.rental.podspec import Terms
from captiv.rental.runpod import RunpodApi, Template
from captiv.workers.package import missing


async def known(api: RunpodApi, terms: Terms) -> Terms:
    """Return the terms with what their template says.

    Raises:
        ConfigurationError: what the pod is to run cannot be had.
        ProviderError: RunPod cannot be asked, or knows no such template.
    """
    return replace(terms, template=await found(api, terms.package, terms.template_id))


async def found(api: RunpodApi, package: str | None, template_id: str | None) -> Template | None:
    """Look whether what a pod is to run can be had; return its template, if it has one.

    Raises:
        ConfigurationError: the package is not where it should be, or the template is none for pods.
        ProviderError: RunPod cannot be asked, or knows no such template.
    """
    if package is not None and (reason := await missing(package)):
        raise ConfigurationError(
            f"A pod could not install captiv: {reason}",
            hint="Set runpod.package to a URL of a wheel that pods can reach, or runpod.image to a "
            "worker image.",
        )
    if template_id is None:
        return None
    try:
        template = await api.template(template_id)
    except AccessDenied:  # a key may be good for pods and not for templates
        return None
    if template.serverless:
        raise ConfigurationError(
            f"Template {template.id} ({template.name}) is for serverless workers, not for pods.",
            hint="Set runpod.template_id to a pod template.",
        )
    return template
