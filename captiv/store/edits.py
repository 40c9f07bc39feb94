"""Bulk edits: which text of which image was replaced with which.

An edit is in the store before any file changes, so one that is interrupted can be undone: what a
sidecar holds tells whether its change was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NewType

from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.store import captions
from captiv.store.texts import decode_path, encode_path

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
    """One caption that an edit replaced."""

    id: int
    image: str
    sidecar: str
    old: str
    new: str


def begin(conn: Connection, what: str, now_ms: int) -> EditId:
    """Make an edit that has changed nothing yet."""
    cursor = conn.execute("INSERT INTO edits (what, created_ms) VALUES (?, ?)", (what, now_ms))
    assert cursor.lastrowid is not None
    return EditId(cursor.lastrowid)


def record(
    conn: Connection, edit: EditId, changes: Sequence[tuple[str, str, str, str]], now_ms: int
) -> None:
    """Note what is about to be replaced: image, sidecar, old and new text of each."""
    for image, sidecar, old, new in changes:
        place = Place(image, sidecar)
        captions.record_found(conn, place, old, now_ms)
        old_id = captions.id_of(conn, place, content_hash(old))
        new_id = captions.record(conn, place, new, content_hash(new), "hand", now_ms)
        conn.execute(
            "INSERT INTO edit_changes (edit_id, sidecar, old_id, new_id) VALUES (?, ?, ?, ?)",
            (edit, encode_path(sidecar), old_id, new_id),
        )


def forget(conn: Connection, edit: EditId, sidecars: Sequence[str]) -> None:
    """Take back that these sidecars were to be changed: they could not be.

    An edit that is left without any change is none. The texts stay, as all that ever were.
    """
    conn.executemany(
        "DELETE FROM edit_changes WHERE edit_id=? AND sidecar=?",
        [(edit, encode_path(sidecar)) for sidecar in sidecars],
    )
    conn.execute(
        "DELETE FROM edits WHERE id=?1"
        " AND NOT EXISTS (SELECT 1 FROM edit_changes WHERE edit_id=?1)",
        (edit,),
    )


def recent(conn: Connection, limit: int = 20) -> list[Edit]:
    """Return the last edits, the newest first."""
    rows = conn.execute(
        "SELECT id, what, created_ms, undone_ms,"
        " (SELECT count(*) FROM edit_changes WHERE edit_id = edits.id)"
        " FROM edits ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [Edit(*row) for row in rows]


def find(conn: Connection, edit: EditId | None) -> Edit | None:
    """Return this edit, or for None the last one that is not undone; None if there is none."""
    row = conn.execute(
        "SELECT id, what, created_ms, undone_ms,"
        " (SELECT count(*) FROM edit_changes WHERE edit_id = edits.id) FROM edits"
        " WHERE CASE WHEN ?1 IS NULL THEN undone_ms IS NULL ELSE id = ?1 END"
        " ORDER BY id DESC LIMIT 1",
        (edit,),
    ).fetchone()
    return None if row is None else Edit(*row)


def changes(conn: Connection, edit: EditId, after: int, limit: int) -> list[Change]:
    """Return changes of an edit with an id above `after`, in the order in which they were made."""
    rows = conn.execute(
        "SELECT edit_changes.id, old.path, edit_changes.sidecar, old.text, new.text"
        " FROM edit_changes JOIN captions AS old ON old.id = old_id"
        " JOIN captions AS new ON new.id = new_id"
        " WHERE edit_id = ? AND edit_changes.id > ? ORDER BY edit_changes.id LIMIT ?",
        (edit, after, limit),
    )
    return [
        Change(id_, decode_path(image), decode_path(sidecar), old, new)
        for id_, image, sidecar, old, new in rows
    ]


def undone(conn: Connection, edit: EditId, now_ms: int) -> None:
    """Note that an edit was taken back."""
    conn.execute("UPDATE edits SET undone_ms=? WHERE id=?", (now_ms, edit))
