"""Where a run is done, in a person's words."""

from captiv.core.spec import Placement, Site

_PROVIDERS = {"runpod": "RunPod"}


def place_name(placement: Placement) -> str:
    """Return where the images are captioned: on this machine, at URLs, or whose pods do it."""
    return ", ".join(dict.fromkeys(_name(site) for site in placement.sites))


def _name(site: Site) -> str:
    match site.kind:
        case "local":
            return "this machine"
        case "url":
            return site.url or "a worker elsewhere"
        case "rented":
            return _PROVIDERS.get(site.provider or "", site.provider or "a rented pod")
