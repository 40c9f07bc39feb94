"""The images: folders, listings, pictures. Images are asked for by id; no path comes from a URL."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.core.naming import collisions
from captiv.editing import past
from captiv.editing.history import Past
from captiv.errors import CaptivError, SidecarError, UsageError
from captiv.gui.album import Album, Node
from captiv.gui.bodies import body_of
from captiv.gui.entry import Entry, FolderId, ImageId, parsed, shown, size_of
from captiv.gui.listing import Filters, Listing, show_named
from captiv.gui.measure import Measures, measured
from captiv.gui.problems import Gone
from captiv.gui.room import Room, room_of
from captiv.gui.show import beside, card, readable, text_of
from captiv.gui.thumbnails import Size
from captiv.offload import offload
from captiv.store import captions

_MOST = 500
_SIZES: dict[str, Size] = {"small": "small", "large": "large"}
_FOREVER = "private, max-age=31536000, immutable"
_LONGEST_SEARCH = 200
LONGEST_SELECTION_BYTES = 4_000_000
"""A selection of 200,000 images, by id."""


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/folders", folders),
        Route("/api/images", images),
        Route("/api/listings/{listing}/ids", ids),
        Route("/api/listings/{listing}/unseen", unseen, methods=["POST"]),
        Route("/api/images/{image}", image),
        Route("/images/{image}/{size}", picture),
    ]


async def folders(request: Request) -> Response:
    """Return the folder tree, each folder after its parent, with how much is in each."""
    album = room_of(request).album
    nodes = sorted(album.folders.values(), key=lambda node: Path(node.path).parts)
    return JSONResponse({"folders": [_folder(album, node) for node in nodes]})


async def images(request: Request) -> Response:
    """Return a page of images: of a new listing, or of one that was made before (`list`)."""
    room = room_of(request)
    offset, limit = whole(request, "offset", 0), whole(request, "limit", 100)
    known = request.query_params.get("list")
    if known is None:
        filters = _filters(request, room.album)
        listing = await offload(room.listings.make, filters)
    else:
        listing = listing_of(room, known)
    page = listing.page(room.album, offset, min(limit, _MOST))
    return JSONResponse(
        {
            "list": f"{room.boot}-{listing.id}",
            "total": len(listing.ids),
            "version": listing.version,
            "tally": {**listing.tally._asdict(), "unsaved": listing.unsaved},
            "offset": offset,
            "images": [None if entry is None else card(entry) for entry in page],
        }
    )


async def ids(request: Request) -> Response:
    """Return the ids of a part of a listing, for selections that were not scrolled past."""
    listing = listing_of(room_of(request), request.path_params["listing"])
    offset = whole(request, "offset", 0)
    limit = whole(request, "limit", len(listing.ids))
    found = listing.ids[offset : offset + limit]
    return JSONResponse({"offset": offset, "ids": [shown(id) for id in found]})


class Chosen(BaseModel):
    """Images that a person selected, by id."""

    model_config = ConfigDict(extra="forbid")

    images: list[str]


async def unseen(request: Request) -> Response:
    """Return how many of these images, which a person selected, a listing does not show."""
    listing = listing_of(room_of(request), request.path_params["listing"])
    wrong = "This isn't a selection of images."
    chosen = await body_of(request, Chosen, most_bytes=LONGEST_SELECTION_BYTES, wrong=wrong)
    seen = set(listing.ids)
    return JSONResponse({"unseen": sum(parsed(id) not in seen for id in chosen.images)})


async def image(request: Request) -> Response:
    """Return everything about one image: its caption in full, and the earlier ones."""
    room = room_of(request)
    return JSONResponse(await described(room, await refreshed(room, entry_of(room, request))))


async def picture(request: Request) -> Response:
    """Return an image's thumbnail, or a large picture of it. Their addresses change with it."""
    room = room_of(request)
    entry = entry_of(room, request)
    size = _SIZES.get(request.path_params["size"])
    if size is None:
        raise Gone("There is no picture of that size.")
    path = await offload(room.inside.real, entry.path)
    data = await room.thumbnails.get(path, entry.stamp, size)
    headers = {"cache-control": _FOREVER}
    return Response(data, media_type="image/jpeg", headers=headers)


def entry_of(room: Room, request: Request) -> Entry:
    """Return the image that a route names.

    Raises:
        Gone: there is none of that id.
    """
    id = parsed(request.path_params["image"])
    entry = None if id is None else room.album.entries.get(ImageId(id))
    if entry is None:
        raise Gone("There is no such image here (any more).", hint="Look again: reload the page.")
    return entry


async def refreshed(room: Room, entry: Entry) -> Entry:
    """Look at an image's caption anew, tell everybody if it changed, and return the image."""
    found = await offload(room.reader.again, [entry])
    room.live.changed(room.album.put(found))
    return found[0] if found else entry


async def described(room: Room, entry: Entry) -> dict[str, Any]:
    """Return everything about one image."""
    before, measures = await offload(_looked_at, room, entry)
    folder = os.path.dirname(room.album.name(entry))
    return {
        **card(entry),
        "caption": entry.text,
        "folder": readable(folder),
        "sidecar": readable(os.path.basename(room.sidecars.of(entry.path))),
        "shared_with": _sharing(room, entry),
        "bytes": size_of(entry.stamp),
        "width": measures.width_px if measures else None,
        "height": measures.height_px if measures else None,
        "history": [text_of(caption) for caption in reversed(before.texts)],
        "current": None if before.current is None else before.texts[before.current].id,
        "undoes": before.earlier is not None,
    }


def _looked_at(room: Room, entry: Entry) -> tuple[Past, Measures | None]:
    return _past(room, entry), _measured(room, entry)


def _past(room: Room, entry: Entry) -> Past:
    """Return the history; without a look at a sidecar that cannot be read or lies outside."""
    place = room.sidecars.place(entry.path)
    if entry.trouble is None and room.inside.holds(place.sidecar):
        with suppress(SidecarError):
            return past(room.store, place)
    return Past(tuple(room.store.read(captions.history, place)), None, None)


def _measured(room: Room, entry: Entry) -> Measures | None:
    try:
        return measured(room.inside.real(entry.path))
    except CaptivError:
        return None  # the picture itself will say why


def _sharing(room: Room, entry: Entry) -> list[str]:
    """Return the images that have the same sidecar as this one."""
    neighbours = [e.path for e in room.album.entries.values() if e.folder == entry.folder]
    shared = collisions(neighbours, room.sidecars.of)
    return beside(entry.path, shared.get(room.sidecars.of(entry.path), ()))


def _folder(album: Album, node: Node) -> dict[str, Any]:
    relative = os.path.relpath(node.path, album.root)
    depth = 0 if relative == "." else relative.count(os.sep) + 1
    name = os.path.basename(node.path) or node.path
    return {
        "id": shown(node.id),
        "name": readable(name),
        "depth": depth,
        "images": node.images,
        "captioned": node.captioned,
    }


def _filters(request: Request, album: Album) -> Filters:
    query = request.query_params
    show = show_named(query.get("show", "all"))
    folder = parsed(query["folder"]) if "folder" in query else album.top
    text = query.get("text", "")
    if show is None or folder is None or len(text) > _LONGEST_SEARCH:
        raise UsageError("This filter cannot be.", hint="Reload the page.")
    deep, unsaved = query.get("deep", "1") == "1", _named(query.get("unsaved", ""))
    return Filters(FolderId(folder), deep=deep, show=show, text=text, unsaved=unsaved)


def _named(ids: str) -> frozenset[ImageId]:
    """Return the images that a query names, with commas between them."""
    return frozenset(ImageId(id) for text in ids.split(",") if (id := parsed(text)) is not None)


def listing_of(room: Room, id: str) -> Listing:
    """Return a listing that was made before.

    Raises:
        Gone: it is not known any more.
    """
    boot, _, number = id.partition("-")
    listing = room.listings.get(number) if boot == room.boot else None
    if listing is None:
        raise Gone("This listing is not known any more.", hint="Ask for a new one.")
    return listing


def whole(request: Request, name: str, default: int) -> int:
    """Return a number of a query; raise UsageError if it is none."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{name} is a whole number.")
    return int(text)
