"""Captions that are added to a text: what was there and what becomes of it, before it is written.

The answer of a job stays the caption that it is. What the sidecar is to hold, the text that is
there with the answer added, is a caption of its own, of the same model unless a person wrote what
is there; it stands on that text, so that undo goes back to it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from captiv.core.adding import NOTHING
from captiv.core.jobs import Unwritten
from captiv.core.keeping import author
from captiv.core.naming import Place
from captiv.core.texts import Content, content_hash
from captiv.store import captions, standings
from captiv.store.texts import decode_place, encode_place


@dataclass(frozen=True, slots=True)
class Addition:
    """A caption that is about to be written where `held` is."""

    item: Unwritten
    held: Content | None
    made: Content
    """What the sidecar is to hold: the caption alone where nothing is."""


def begin(conn: Connection, additions: Sequence[Addition], now_ms: int) -> None:
    """Note what is there and what is to be there, once for each job."""
    for addition in additions:
        if addition.held is None:
            _note(conn, addition.item, NOTHING)
        else:
            _begin(conn, addition.item, addition.held, addition.made, now_ms)


def already(conn: Connection, there: Sequence[tuple[Place, Content]], adds: str) -> set[Place]:
    """Return the places whose text a caption with these settings was added to before.

    Also where that text was edited since; not where it was taken back, so that what is there is
    what it had been added to.
    """
    places = json.dumps([encode_place(place) for place, _ in there])
    rows = conn.execute(
        "SELECT captions.path, captions.sidecar, captions.id FROM json_each(?) AS wanted"
        " CROSS JOIN captions ON captions.path=json_extract(wanted.value, '$[0]')"
        " AND captions.sidecar=json_extract(wanted.value, '$[1]') WHERE captions.adds=?",
        (places, adds),
    )
    added: dict[Place, set[int]] = {}
    for path, sidecar, caption in rows:
        added.setdefault(decode_place(path, sidecar), set()).add(caption)
    return {p for p, held in there if p in added and _stands(conn, p, held, added[p])}


def _stands(conn: Connection, place: Place, held: Content, added: set[int]) -> bool:
    """Whether one of these captions is what stands there, or lies below it."""
    found = standings.levels(conn, place)
    at = standings.standing(found, held)
    under = found if at is None else found[: at + 1]
    return any(level.caption in added for level in under)


def _begin(conn: Connection, item: Unwritten, held: Content, made: Content, now_ms: int) -> None:
    place, digest = item.place, content_hash(held.text)
    (answer,) = conn.execute("SELECT caption_id FROM jobs WHERE id=?", (item.job_id,)).fetchone()
    known = captions.sources(conn, [place]).get(place, ())
    earlier = {k.hash: k.source for k in known if k.job_id != item.job_id}
    source = author(digest, earlier)
    if digest not in earlier:
        captions.record_replaced(conn, place, held.text, source, item.job_id, now_ms)
    stood = standings.settle(conn, place, held, now_ms, never=answer)
    caption = captions.record_added(
        conn, answer, made.text, by_hand=source == "hand", now_ms=now_ms
    )
    standings.put(conn, place, made, stood[-1].row, caption=caption)
    _note(conn, item, digest, caption)


def _note(conn: Connection, item: Unwritten, found: str, caption: int | None = None) -> None:
    conn.execute(
        "UPDATE jobs SET found=?, caption_id=ifnull(?, caption_id)"
        " WHERE id=? AND attempt=? AND state='captioned'",
        (found, caption, item.job_id, item.attempt),
    )
