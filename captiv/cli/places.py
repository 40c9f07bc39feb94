"""Where a run is done, in a person's words."""

from captiv.core.spec import Placement

_PROVIDERS = {"runpod": "RunPod"}


def place_name(placement: Placement) -> str:
    """Return where the images are captioned: on this machine, at a URL, or whose pods do it."""
    match placement.kind:
        case "local":
            return "this machine"
        case "url":
            return placement.url or "a worker elsewhere"
        case "rented":
            return _PROVIDERS.get(placement.provider or "", placement.provider or "a rented pod")
