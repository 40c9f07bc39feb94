"""What the workers of a run are called, each by a short name that no other of them has."""

from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from captiv.core.spec import Site

_HERE = "this machine"


def name_of(site: Site, sites: Sequence[Site], slot: int) -> str:
    """Return the name of one worker.

    A worker on this machine is called by its device, one at a URL by its host, a pod by its number.
    Of several workers on one device each has a number, too.

    Args:
        site: where it is.
        sites: where all workers of the run are, once for each of them.
        slot: which of those at this site it is, from 1.
    """
    match site.kind:
        case "rented":
            return f"pod {slot}"
        case "url":
            return _of_url(site, sites)
        case "local":
            name = _HERE if site.device == "auto" else site.device
            return name if Counter(sites)[site] < 2 else f"{name} {slot}"


def _of_url(site: Site, sites: Sequence[Site]) -> str:
    """Return as little of the address as tells it from the others."""
    urls = {other.url or "" for other in sites if other.kind == "url"}
    shortenings: tuple[Callable[[str], str], ...] = (_host, _netloc, _without_scheme)
    for shortened in shortenings:
        name = shortened(site.url or "")
        if sum(shortened(url) == name for url in urls) == 1:
            return name
    return site.url or ""


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _netloc(url: str) -> str:
    return urlsplit(url).netloc or url


def _without_scheme(url: str) -> str:
    return url.partition("://")[2] or url
