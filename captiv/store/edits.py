"""Bulk edits: which caption of which image was replaced with which, or removed.

An edit is in the store before any file changes, so one that is interrupted can be undone: what a
sidecar holds tells whether its change was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NewType

from captiv.core.naming import Place
from captiv.core.texts import Content, content_of, plain
from captiv.store import standings
from captiv.store.texts import decode_place

EditId = NewType("EditId", int)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that a person made to many captions."""

    id: EditId
    what: str
    created_ms: int
    undone_ms: int | None
    changes: int


@dataclass(frozen=True, slots=True)
class Change:
    """One caption that an edit replaced or removed."""

    id: int
    place: Place
    old: Content
    new: Content | None
    """None if the edit removed it."""
    under: int | None
    """The row that `old` stood on."""


def begin(conn: Connection, what: str, now_ms: int) -> EditId:
    """Make an edit that has changed nothing yet."""
    cursor = conn.execute("INSERT INTO edits (what, created_ms) VALUES (?, ?)", (what, now_ms))
    assert cursor.lastrowid is not None
    return EditId(cursor.lastrowid)


def record(
    conn: Connection,
    edit: EditId,
    changes: Sequence[tuple[Place, Content, Content | None]],
    now_ms: int,
) -> list[int]:
    """Note what is about to be replaced: place, old and new content; return a row for each."""
    return [standings.change(conn, place, old, new, now_ms, edit) for place, old, new in changes]


def take_back(
    conn: Connection, changes: Sequence[tuple[Change, Content | None]], now_ms: int
) -> list[int]:
    """Note what is about to be put back, where this is held now; return a row for each."""
    rows = []
    for change, held in changes:
        standings.settle(conn, change.place, held, now_ms)
        row = standings.put(conn, change.place, change.old, change.under).row
        assert row is not None
        rows.append(row)
    return rows


def close(conn: Connection, edit: EditId) -> None:
    """End an edit: one that changed nothing is none. The texts stay, as all that ever were."""
    conn.execute(
        "DELETE FROM edits WHERE id=?1 AND NOT EXISTS (SELECT 1 FROM standings WHERE edit_id=?1)",
        (edit,),
    )


def recent(conn: Connection, limit: int = 20) -> list[Edit]:
    """Return the last edits, the newest first."""
    rows = conn.execute(
        "SELECT id, what, created_ms, undone_ms,"
        " (SELECT count(*) FROM standings WHERE edit_id = edits.id)"
        " FROM edits ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [Edit(*row) for row in rows]


def find(conn: Connection, edit: EditId | None) -> Edit | None:
    """Return this edit, or for None the last one that is not undone; None if there is none."""
    row = conn.execute(
        "SELECT id, what, created_ms, undone_ms,"
        " (SELECT count(*) FROM standings WHERE edit_id = edits.id) FROM edits"
        " WHERE CASE WHEN ?1 IS NULL THEN undone_ms IS NULL ELSE id = ?1 END"
        " ORDER BY id DESC LIMIT 1",
        (edit,),
    ).fetchone()
    return None if row is None else Edit(*row)


def changes(conn: Connection, edit: EditId, after: int, limit: int) -> list[Change]:
    """Return changes of an edit with an id above `after`, in the order in which they were made."""
    rows = conn.execute(
        "SELECT made.id, made.path, made.sidecar, old.text, was.data, new.text, made.data,"
        " was.under_id FROM standings AS made JOIN standings AS was ON was.id = made.under_id"
        " JOIN captions AS old ON old.id = was.caption_id"
        " LEFT JOIN captions AS new ON new.id = made.caption_id"
        " WHERE made.edit_id = ? AND made.id > ? ORDER BY made.id LIMIT ?",
        (edit, after, limit),
    )
    return [
        Change(
            id_,
            decode_place(image, sidecar),
            _content(old, old_data),
            None if new is None else _content(new, new_data),
            under,
        )
        for id_, image, sidecar, old, old_data, new, new_data, under in rows
    ]


def _content(text: str, data: bytes | None) -> Content:
    return plain(text) if data is None else content_of(data)


def undone(conn: Connection, edit: EditId, now_ms: int) -> None:
    """Note that an edit was taken back."""
    conn.execute("UPDATE edits SET undone_ms=? WHERE id=?", (now_ms, edit))
