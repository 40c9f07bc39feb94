"""Whether a package that a worker is to be installed from can be had at all."""

import re

import httpx2

from captiv import __version__

INDEX = "https://pypi.org"

_TIMEOUT_S = 10.0
_PINNED = re.compile(r"(?P<name>[\w.-]+)(\[[\w.,\s-]*\])?\s*==\s*(?P<version>[\w.+!-]+)")
_LOCATED = re.compile(r"(?:[\w.-]+(?:\[[\w.,\s-]*\])?\s*@\s*)?(?P<url>https?://\S+)")


async def missing(requirement: str, index: str = INDEX) -> str | None:
    """Return why this requirement cannot be installed anywhere, or None where nothing is known.

    Looked for are a release that PyPI does not have, and a URL that answers 404 or 410. No network
    here says nothing about the pod's, nor do other indexes, paths and repositories.
    """
    if located := _LOCATED.fullmatch(requirement.strip()):
        url = located["url"].split("#", 1)[0]
        return f"{url} is not there." if await _absent(url) else None
    if pinned := _PINNED.fullmatch(requirement.strip()):
        name, version = pinned["name"], pinned["version"]
        if await _absent(f"{index}/pypi/{name}/{version}/json"):
            return f"PyPI has no {name} {version}."
    return None


async def _absent(url: str) -> bool:
    headers = {"User-Agent": f"captiv/{__version__}"}
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT_S, follow_redirects=True) as http,
            http.stream("GET", url) as response,
        ):
            return response.status_code in (404, 410)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return False
