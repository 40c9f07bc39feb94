"""The network volume on which an account's pods keep their models.

It is in one data center of the secure cloud, and so are all pods that have it.
"""

from typing import Final

from captiv.errors import AccessDenied, ConfigurationError
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import Cloud, GpuOffer, Mounts, NetworkMount, NetworkVolume, Stock

_PATH: Final = "/workspace"
KEPT_ENV: Final = {"HF_HOME": f"{_PATH}/huggingface"}
"""What makes a pod keep its models on its network volume."""


async def volume_of(api: RunpodApi, volume_id: str) -> NetworkVolume:
    """Return the network volume that the settings name.

    Raises:
        ConfigurationError: the account has none of this id, or the key may not read it.
        ProviderError: RunPod cannot be asked.
    """
    try:
        volume = await api.network_volume(volume_id)
    except AccessDenied as error:
        raise ConfigurationError(
            f"The key may not read the network volume {volume_id}: {error.detail}.",
            hint="Give the key the right to read network volumes, or unset runpod.network_volume.",
        ) from error
    if volume is None:
        raise ConfigurationError(
            f"RunPod knows no network volume {volume_id} of this account.",
            hint="Check runpod.network_volume: it is the volume's id, not its name.",
        )
    return volume


def mounts_of(volume: NetworkVolume) -> Mounts:
    """Return the mount of a network volume that holds the pods' models."""
    return Mounts(network=(NetworkMount(volume_id=volume.id, path=_PATH),))


def stock_at(volume: NetworkVolume, offer: GpuOffer) -> tuple[Stock, str]:
    """Return how many of an offer are in stock beside a volume, and why a pod can have none."""
    if offer.cloud is not Cloud.SECURE:
        return Stock.NONE, "runpod.network_volume is in the secure cloud only"
    stock = offer.data_centers.get(volume.data_center)
    if stock is None:
        return Stock.NONE, f"{volume.data_center}, where runpod.network_volume is, does not have it"
    return stock, ""
