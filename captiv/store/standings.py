"""What stood in each sidecar, and in which order: where undo goes back to.

The captions are every text there ever was, each once, and cannot tell that one came back. Here is a
row for each time that something stood in a sidecar, nothing included; it names what it stands on.
Going back copies the row below to the top, standing on what that one stood on: so one undo after
another walks back, and a change after an undo stands on what the undo brought.

Runs write no rows. Captions of a place that are newer than its newest row stood on it, and those
older than its first row below that, both in their order; a row that is wanted is made of each when
a person changes something. What the sidecar holds decides which of the newest ever came to be: an
answer that was kept out of the file did not, nor a change that captiv died before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from captiv.core.naming import Place
from captiv.core.texts import Content, content_hash, content_of, plain
from captiv.store import captions
from captiv.store.texts import encode_place


@dataclass(frozen=True, slots=True)
class Level:
    """Something that stood in a sidecar."""

    row: int | None
    """None if only the captions tell of it."""
    caption: int | None
    """None if nothing stood there."""
    text: str
    data: bytes | None
    """The bytes, where they are not the text in UTF-8."""

    @property
    def content(self) -> Content | None:
        """What the sidecar held."""
        if self.caption is None:
            return None
        return content_of(self.text.encode() if self.data is None else self.data)

    def holds(self, content: Content | None) -> bool:
        """Whether this is the same caption."""
        if content is None or self.caption is None:
            return content is None and self.caption is None
        return content_hash(self.text) == content_hash(content.text)


def levels(conn: Connection, place: Place) -> list[Level]:
    """Return what stood in a sidecar, each on the one before it; the last is the newest."""
    return _chain(conn, place)[0]


def standing(found: list[Level], held: Content | None) -> int | None:
    """Return which level the sidecar holds now; None if it is something that captiv did not see.

    Only what is newer than the newest row, that row, and the one below it are asked.
    """
    newest = next((at for at in reversed(range(len(found))) if found[at].row is not None), 1)
    asked = reversed(range(max(0, newest - 1), len(found)))
    return next((at for at in asked if found[at].holds(held)), None)


def below(found: list[Level], held: Content | None) -> int | None:
    """Return which level is the caption before the one that the sidecar holds; None without one."""
    at = standing(found, held)
    under = range(len(found) if at is None else at)
    return next(
        (i for i in reversed(under) if found[i].caption is not None and not found[i].holds(held)),
        None,
    )


def settle(
    conn: Connection,
    place: Place,
    held: Content | None,
    now_ms: int,
    *,
    never: int | None = None,
) -> list[Level]:
    """Make what the sidecar holds the newest row; return what stood, that level last.

    `never` is a caption of the place that did not come to stand there.
    """
    found, newest = _chain(conn, place)
    found = [level for level in found if level.row is not None or level.caption != never]
    at = standing(found, held)
    if at is None:
        if held is None and not found:
            return []
        if held is not None:
            captions.record_found(conn, place, held.text, now_ms)
        stood = _with_rows(conn, place, found)
        return [*stood, put(conn, place, held, _top(stood))]
    stood = _with_rows(conn, place, found[: at + 1])
    top = stood[-1]
    if top.content == held and top.row is not None and top.row >= newest:
        return stood
    return [*stood[:-1], put(conn, place, held, _top(stood[:-1]), caption=top.caption)]


def put(
    conn: Connection,
    place: Place,
    content: Content | None,
    under: int | None,
    edit: int | None = None,
    *,
    caption: int | None = None,
) -> Level:
    """Note that this, a caption in the store or nothing, stands on the row `under`.

    Args:
        conn: the store.
        place: whose sidecar it is.
        content: what stands there now.
        under: what it stands on.
        edit: the edit that put it there.
        caption: which of the captions it is, where several have its text; None is the newest.
    """
    text, data = "", None
    if content is not None:
        newest, text = _caption(conn, place, content)
        caption = newest if caption is None else caption
        data = None if text.encode() == content.data else content.data
    row = conn.execute(
        "INSERT INTO standings (path, sidecar, caption_id, data, under_id, newest_id, edit_id)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ifnull(max(id), 0), ?6"
        " FROM captions WHERE path=?1 AND sidecar=?2",
        (*encode_place(place), caption, data, under, edit),
    ).lastrowid
    return Level(row, caption, text, data)


def change(
    conn: Connection,
    place: Place,
    held: Content | None,
    content: Content | None,
    now_ms: int,
    edit: int | None = None,
) -> int:
    """Note that a person puts `content`, or nothing, where a sidecar holds `held`; return the row.

    Both texts are captions in the store then.
    """
    stood = settle(conn, place, held, now_ms)
    if content is not None:
        last = captions.latest(conn, place)
        if last is None or (last.text, last.source) != (content.text, "hand"):
            text = content.text
            captions.record(conn, place, text, content_hash(text), "hand", now_ms)
    # A person who saves the same caption again has not changed it: undo goes past both.
    again = edit is None and bool(stood) and stood[-1].holds(content)
    return _row(put(conn, place, content, _top(stood[:-1] if again else stood), edit))


def step_back(
    conn: Connection, place: Place, held: Content | None, now_ms: int
) -> tuple[int, Content] | None:
    """Go back to the caption that stood last; return the new row and what the sidecar gets.

    None if there was no other caption.
    """
    stood = settle(conn, place, held, now_ms)
    at = below(stood, held)
    content = None if at is None else stood[at].content
    if at is None or content is None:
        return None
    return _row(put(conn, place, content, _top(stood[:at]), caption=stood[at].caption)), content


def replace(
    conn: Connection, place: Place, held: Content | None, content: Content, now_ms: int
) -> int:
    """Note that a caption of the place comes back where it holds `held`; return the row."""
    stood = settle(conn, place, held, now_ms)
    return _row(put(conn, place, content, _top(stood)))


def content_of_caption(conn: Connection, place: Place, caption: int, text: str) -> Content:
    """Return one of the place's captions in the bytes that it last stood there in."""
    row = conn.execute(
        "SELECT data FROM standings WHERE path=? AND sidecar=? AND caption_id=?"
        " ORDER BY id DESC LIMIT 1",
        (*encode_place(place), caption),
    ).fetchone()
    return plain(text) if row is None or row[0] is None else content_of(row[0])


def forget(conn: Connection, rows: Sequence[int]) -> None:
    """Take back that these came to stand there: they could not be written."""
    conn.executemany("DELETE FROM standings WHERE id=?", [(row,) for row in rows])


def _chain(conn: Connection, place: Place) -> tuple[list[Level], int]:
    """Return what stood, each on the one before it, and the newest row of the place."""
    rows = {
        id_: (caption, data, under, newest)
        for id_, caption, data, under, newest in conn.execute(
            "SELECT id, caption_id, data, under_id, newest_id FROM standings"
            " WHERE path=? AND sidecar=? ORDER BY id",
            encode_place(place),
        )
    }
    texts = dict(captions.texts(conn, place))
    if not rows:
        return [Level(None, id_, text, None) for id_, text in texts.items()], 0
    at: int | None = max(rows)
    chain: list[Level] = []
    while at in rows:
        caption, data, under, _ = rows[at]
        chain.insert(0, Level(at, caption, "" if caption is None else texts[caption], data))
        at = under
    order = list(texts)
    first, last = chain[0].caption, rows[max(rows)][3]
    older = order[: order.index(first)] if first in texts else []
    newer = [id_ for id_ in order if id_ > last]
    implied = {id_: Level(None, id_, texts[id_], None) for id_ in (*older, *newer)}
    return [*(implied[i] for i in older), *chain, *(implied[i] for i in newer)], max(rows)


def _with_rows(conn: Connection, place: Place, found: list[Level]) -> list[Level]:
    """Make a row of each level above the newest that has one, or of all if none has."""
    known = [at for at, level in enumerate(found) if level.row is not None]
    stood = found[: known[-1] + 1] if known else []
    for level in found[len(stood) :]:
        stood.append(put(conn, place, level.content, _top(stood), caption=level.caption))
    return stood


def _caption(conn: Connection, place: Place, content: Content) -> tuple[int, str]:
    id_, text = conn.execute(
        "SELECT id, text FROM captions WHERE path=? AND sidecar=? AND hash=?"
        " ORDER BY id DESC LIMIT 1",
        (*encode_place(place), content_hash(content.text)),
    ).fetchone()
    return id_, text


def _top(stood: list[Level]) -> int | None:
    return stood[-1].row if stood else None


def _row(level: Level) -> int:
    assert level.row is not None
    return level.row
