"""The account's credentials for the registry of a private image."""

from captiv.errors import AccessDenied, ConfigurationError
from captiv.rental.runpod.api import RunpodApi


async def registry_of(api: RunpodApi, named: str) -> str:
    """Return the id of the credentials that the settings name by id or name.

    A key that may not list them has to name the id.

    Raises:
        ConfigurationError: the account has none of this id or name, or several of this name.
        ProviderError: RunPod cannot be asked.
    """
    try:
        registries = await api.registries()
    except AccessDenied:  # a key may be good for pods and not for these
        return named
    if any(registry.id == named for registry in registries):
        return named
    ids = [registry.id for registry in registries if registry.name == named]
    if not ids:
        there = ", ".join(f"{registry.id} ({registry.name})" for registry in registries)
        raise ConfigurationError(
            f"RunPod knows no registry credentials {named} of this account.",
            hint="Check runpod.registry: "
            + (f"there are {there}." if there else "the account has none."),
        )
    if len(ids) > 1:
        raise ConfigurationError(
            f"Several registry credentials of this account are named {named}.",
            hint=f"Set runpod.registry to the id of one: {', '.join(ids)}.",
        )
    return ids[0]
