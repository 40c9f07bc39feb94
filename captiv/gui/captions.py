"""Captions: read, written and removed by a person, never over what somebody else wrote meanwhile.

Whoever writes says which caption they saw (`version`). If another one is there now, nothing is done
and the answer, 409, holds it.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.core.texts import is_blank
from captiv.editing import Place, drop, put, undo
from captiv.errors import CaptivError, SidecarError, UsageError
from captiv.gui.bodies import body_of
from captiv.gui.entry import Entry
from captiv.gui.images import described, entry_of, refreshed
from captiv.gui.room import Room, room_of
from captiv.offload import offload
from captiv.output.sidecar import actual

_LONGEST_BYTES = 200_000
_WRONG = "This is no caption that can be saved."


Version = Annotated[str, StringConstraints(pattern=r"^(none|[0-9a-f]{16})$")]


class Edit(BaseModel):
    """A caption that a person wrote; `text` None removes it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=100_000)] | None
    version: Version


class Undo(BaseModel):
    """The wish to have an earlier caption again; `to` None is the one before."""

    model_config = ConfigDict(extra="forbid")

    to: int | None = None
    version: Version


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/images/{image}/caption", write, methods=["PUT"]),
        Route("/api/images/{image}/undo", go_back, methods=["POST"]),
    ]


async def write(request: Request) -> Response:
    """Write or remove a caption; return the image as it is then."""
    room = room_of(request)
    entry = entry_of(room, request)
    edit = await body_of(request, Edit, most_bytes=_LONGEST_BYTES, wrong=_WRONG)
    return await _done(room, entry, partial(_write, room, entry, edit))


async def go_back(request: Request) -> Response:
    """Bring back the caption before this one, or the one that is named; return the image then."""
    room = room_of(request)
    entry = entry_of(room, request)
    undo = await body_of(request, Undo, most_bytes=_LONGEST_BYTES, wrong=_WRONG)
    return await _done(room, entry, partial(_go_back, room, entry, undo))


async def _done(room: Room, entry: Entry, change: Callable[[], None]) -> Response:
    """Do a change of a caption, one at a time, and show it to everybody."""
    async with room.editing:
        try:
            await offload(change)
        except CaptivError:
            await refreshed(room, entry)  # the other tabs, too, should see what is there
            raise
        now = await refreshed(room, entry)
    return JSONResponse(await described(room, now))


def _go_back(room: Room, entry: Entry, back: Undo) -> None:
    undo(room.store, place_of(room, entry), back.to, seen=back.version)


def _write(room: Room, entry: Entry, edit: Edit) -> None:
    place = place_of(room, entry)
    if edit.text is None:
        drop(room.store, place, seen=edit.version)
    elif is_blank(edit.text):
        raise UsageError("The caption is empty.", hint="Use “Remove caption” to have none.")
    else:
        put(room.store, place, edit.text, seen=edit.version)


def place_of(room: Room, entry: Entry) -> Place:
    """Return an image and its sidecar, both really in the folder."""
    room.inside.real(entry.path)
    place = room.sidecars.place(entry.path)
    if not room.inside.holds(actual(place.sidecar)):
        raise SidecarError(
            "The caption's file is a link that leaves the opened folder.",
            hint="Remove the link, or open the folder that it leads to.",
        )
    return place
