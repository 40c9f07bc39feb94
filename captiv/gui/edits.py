"""Bulk edits: looked at change by change, made as one, undone as one.

A preview is kept here under a number, so that what is made is exactly what was shown; a caption
that changed since is kept as it is, and named. Only edits of the opened folder are shown and
undone.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any

from anyio import CancelScope
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from captiv.core.edits import BulkEdit
from captiv.editing import Change, Kept, Place, bulk
from captiv.errors import CaptivError, UsageError
from captiv.gui.bodies import body_of
from captiv.gui.captions import place_of
from captiv.gui.entry import Entry, ImageId, image_id, parsed, shown
from captiv.gui.images import LONGEST_SELECTION_BYTES, listing_of, whole
from captiv.gui.previews import Preview
from captiv.gui.problems import Forbidden, Gone
from captiv.gui.rights import OWN, held
from captiv.gui.room import Room, room_of
from captiv.gui.show import readable
from captiv.gui.underway import EditUnderWay
from captiv.offload import offload
from captiv.store import edits as table
from captiv.store.edits import EditId

_PAGE = 100
_MOST = 500
_CHUNK = 256
"""Captions that are changed before everybody is told of them."""
_NAMED = 20
"""Captions that were kept are named up to so many."""

Text = Annotated[str, StringConstraints(max_length=2000)]


class Wanted(BaseModel):
    """An edit, and the images that it is for: by their ids, or all of a listing."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    find: Text | None = None
    replace: Text = Field(default="", alias="with")
    regex: bool = False
    ignore_case: bool = False
    whole_words: bool = False
    prefix: Text = ""
    suffix: Text = ""
    trigger_word: Text = ""
    images: list[str] | None = None
    listing: str | None = Field(default=None, alias="list")

    def edit(self) -> BulkEdit:
        """Return the edit; raise UsageError if it cannot be made."""
        return BulkEdit(
            self.find or None,
            self.replace,
            self.regex,
            self.ignore_case,
            self.whole_words,
            self.prefix,
            self.suffix,
            self.trigger_word,
        ).checked()


class Agreed(BaseModel):
    """The preview whose changes a person wants made."""

    model_config = ConfigDict(extra="forbid")

    preview: str


def routes() -> list[BaseRoute]:
    """Return the routes of this noun."""
    return [
        Route("/api/edits", recent, methods=["GET"]),
        Route("/api/edits", make, methods=["POST"]),
        Route("/api/edits/previews", preview, methods=["POST"]),
        Route("/api/edits/previews/{preview}", page, methods=["GET"]),
        Route("/api/edits/{edit:int}/undo", undo, methods=["POST"]),
        Route("/api/edits/under-way/{work}", stop, methods=["DELETE"]),
    ]


async def preview(request: Request) -> Response:
    """Say what an edit would change; nothing is changed."""
    room = room_of(request)
    wanted = await body_of(
        request,
        Wanted,
        most_bytes=LONGEST_SELECTION_BYTES,
        wrong="This edit can't be made.",
    )
    _refuse_expression(request, wanted.regex)
    edit, entries = wanted.edit(), _entries(room, wanted)
    found = await offload(lambda: list(bulk.preview(edit, _places(room, entries))))
    return JSONResponse(_shown(room, room.previews.keep(edit, found), 0, _PAGE))


async def page(request: Request) -> Response:
    """Return more of a preview."""
    room = room_of(request)
    found = _preview(request, request.path_params["preview"])
    limit = min(whole(request, "limit", _PAGE), _MOST)
    return JSONResponse(_shown(room, found, whole(request, "offset", 0), limit))


async def make(request: Request) -> Response:
    """Make the changes of a preview; return which edit it is, and what was kept."""
    room = room_of(request)
    agreed = await body_of(request, Agreed, most_bytes=1000, wrong="This is no preview.")
    found = _preview(request, agreed.preview)
    room.previews.drop(found.id)  # whoever asks twice gets one edit
    words = found.edit.in_words()
    begun: list[EditId] = []
    with room.under_way.begin(readable(words), len(found.changes)) as work:
        results = bulk.apply(
            room.store,
            words,
            found.changes,
            on_begun=begun.append,
            stopped=lambda: work.stopped,
        )
        told = await _done(room, results, work)
    return JSONResponse({**told, "edit": begun[0] if begun and told["changed"] else None})


async def recent(request: Request) -> Response:
    """Return the last edits of this folder, the newest first.

    With `list`, and of how many images of each that listing shows nothing.
    """
    room = room_of(request)
    ids = None
    with suppress(Gone):  # one that is not known any more: then it is not said
        ids = listing_of(room, request.query_params.get("list", "")).ids
    return JSONResponse({"edits": await offload(_recent, room, ids)})


async def undo(request: Request) -> Response:
    """Take an edit back; return how many captions are as before, and what was kept."""
    room = room_of(request)
    number = EditId(request.path_params["edit"])
    if await offload(_images, room, number) is None:
        raise Gone(
            f"Edit {number} is none of this folder.", hint="captiv caption undo takes it back."
        )
    edit = await offload(bulk.to_undo, room.store, number)
    with room.under_way.begin(f"undoing {readable(edit.what)}", edit.changes) as work:
        results = bulk.undo(room.store, number, stopped=lambda: work.stopped)
        told = await _done(room, results, work)
    return JSONResponse(told)


async def stop(request: Request) -> Response:
    """End an edit that is being made or undone; what was done of it stays."""
    under_way = room_of(request).under_way.get(request.path_params["work"])
    if under_way is None:
        raise Gone("This edit is over.")
    under_way.stopped = True
    return JSONResponse({"stopping": True})


async def _done(room: Room, results: Iterator[Change | Kept], work: EditUnderWay) -> dict[str, Any]:
    """Do an edit chunk by chunk, and tell every tab how far it is.

    Another tab's save waits for no more than a look at what was changed: nothing is held while the
    disk is waited for.
    """
    kept, unsafe = list[Kept](), list[Kept]()
    try:
        while chunk := await offload(_some, results):
            await _show(room, chunk)
            kept += [result for result in chunk if isinstance(result, Kept)]
            unsafe += [Kept(r.image, r.unsafe) for r in chunk if isinstance(r, Change) and r.unsafe]
            work.done += len(chunk)
            room.live.tell("editing", room.under_way.told())
    finally:
        with CancelScope(shield=True):
            await offload(_end, results)
        work.over = True
        room.live.tell("editing", room.under_way.told())
        room.live.tell("edits", {"changed": True})
    return {
        "changed": work.done - len(kept),
        "stopped": work.stopped,
        **_kept(kept),
        **_unsafe(unsafe),
    }


def _some(results: Iterator[Change | Kept]) -> list[Change | Kept]:
    return list(islice(results, _CHUNK))


def _end(results: Iterator[Change | Kept]) -> None:
    close = getattr(results, "close", None)  # of a generator, which has to end its edit
    if close is not None:
        close()


async def _show(room: Room, results: Iterable[Change | Kept]) -> None:
    entries = _known(room, (result.image for result in results))
    async with room.editing:
        again = await offload(room.reader.again, entries)
        room.live.changed(room.album.put(again))


def _entries(room: Room, wanted: Wanted) -> list[Entry]:
    """Return the images that an edit is for.

    Raises:
        UsageError: none are named.
        Gone: the listing is not known any more.
    """
    if wanted.images is not None:
        ids: Iterable[int | None] = map(parsed, wanted.images)
    elif wanted.listing is not None:
        ids = listing_of(room, wanted.listing).ids
    else:
        raise UsageError("The edit is for no image.", hint="Select some, or reload the page.")
    entries = room.album.entries
    return [entries[ImageId(id)] for id in ids if id is not None and ImageId(id) in entries]


def _places(room: Room, entries: Iterable[Entry]) -> Iterator[Place]:
    """Yield images and sidecars that are really in the folder; the others are not touched."""
    for entry in entries:
        try:
            yield place_of(room, entry)
        except CaptivError:
            continue


def _known(room: Room, paths: Iterable[str]) -> list[Entry]:
    found = (room.album.entries.get(image_id(path)) for path in paths)
    return [entry for entry in found if entry is not None]


def _refuse_expression(request: Request, regex: bool) -> None:
    """Keep regular expressions to the owner: one of a stranger's can busy a core for ever."""
    if regex and held(request) is not OWN:
        raise Forbidden("Regular expressions are for whoever shares this page.")


def _preview(request: Request, id: str) -> Preview:
    found = room_of(request).previews.get(id)
    if found is None:
        raise Gone("This preview is not known any more.", hint="Look at the changes again.")
    _refuse_expression(request, found.edit.regex)
    return found


def _shown(room: Room, found: Preview, offset: int, limit: int) -> dict[str, Any]:
    changes = found.changes[offset : offset + limit]
    return {
        "preview": found.id,
        "words": readable(found.edit.in_words()),
        "total": len(found.changes),
        "offset": offset,
        "changes": [
            {
                "id": shown(image_id(change.image)),
                "name": _name(room, change.image),
                "old": (change.old or "").strip(),
                "new": (change.new or "").strip(),
            }
            for change in changes
        ],
        **_kept(found.kept),
    }


def _kept(kept: Iterable[Kept]) -> dict[str, Any]:
    all_ = list(kept)
    return {"kept": _named(all_), "kept_total": len(all_)}


def _unsafe(some: Sequence[Kept]) -> dict[str, Any]:
    return {"unsafe": _named(some), "unsafe_total": len(some)}


def _named(some: Sequence[Kept]) -> list[str]:
    return [f"{readable(each.image.rpartition('/')[2])}: {each.reason}" for each in some[:_NAMED]]


def _name(room: Room, path: str) -> str:
    return readable(path.removeprefix(room.album.root).lstrip("/\\"))


def _recent(room: Room, listed: Collection[int] | None) -> list[dict[str, Any]]:
    seen = None if listed is None else set(listed)
    found = []
    for edit in room.store.read(table.recent):
        images = _images(room, edit.id)
        if images is None:
            continue
        told: dict[str, Any] = {
            "edit": edit.id,
            "words": readable(edit.what),
            "captions": edit.changes,
            "created_ms": edit.created_ms,
            "undone_ms": edit.undone_ms,
        }
        if seen is not None:
            told["unseen"] = sum(id not in seen for id in images)
        found.append(told)
    return found


def _images(room: Room, edit: EditId) -> list[ImageId] | None:
    """Return the images of an edit; None unless all that it changed is in the opened folder."""
    after, images = 0, list[ImageId]()
    while chunk := room.store.read(table.changes, edit, after, _MOST):
        if not all(room.inside.holds(change.place.sidecar) for change in chunk):
            return None
        images += [image_id(change.place.image) for change in chunk]
        after = chunk[-1].id
    return images or None
