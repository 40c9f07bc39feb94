"""The share of this page: what it lets people do, until when, and its end."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.gui.problems import Gone
from captiv.gui.rights import OWN, Right, held
from captiv.gui.room import room_of
from captiv.gui.share import Share


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/share", told, methods=["GET"]),
        Route("/api/share", end, methods=["DELETE"]),
    ]


async def told(request: Request) -> Response:
    """Say whether the page is shared, and how; to the owner also where."""
    room = room_of(request)
    if room.share is None:
        return JSONResponse({"state": "none"})
    right = held(request)
    more = {} if right < OWN else {"visitors": room.live.tabs_below(OWN)}
    return JSONResponse({**_shown(room.share, right), **more})


async def end(request: Request) -> Response:
    """End the sharing: nobody gets in any more, and whoever is in is out."""
    share = room_of(request).share
    if share is None or share.state == "over":
        raise Gone("The page is not shared.")
    share.end("You ended it.")
    return JSONResponse(_shown(share, OWN))


def _shown(share: Share, right: Right) -> dict[str, Any]:
    found = {
        "state": share.state,
        "edit": share.right >= Right.EDIT,
        "until_ms": int(share.until * 1000),
    }
    if right >= OWN:
        found |= {"url": share.url, "because": share.over_because}
    return found
