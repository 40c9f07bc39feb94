import sqlite3
from contextlib import closing
from pathlib import Path

from captiv.core.naming import Place
from captiv.core.texts import content_hash, plain
from captiv.store import Store, edits, standings
from captiv.store.edits import EditId

from . import released, scene

PLACE = Place("/p/a.jpg", "/p/a.txt")


def test_edits_of_an_older_table_can_be_undone_and_are_on_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "captiv.db"
    with closing(released.empty("0007", path)) as old, old:
        ids = [_text(old, text) for text in ("A", "B", "C", "D")]
        for number, (before, after) in enumerate([(1, 2), (2, 3)], start=1):
            old.execute("INSERT INTO edits (what, created_ms) VALUES ('x', 1)")
            old.execute(
                "INSERT INTO edit_changes (edit_id, sidecar, old_id, new_id) VALUES (?, ?, ?, ?)",
                (number, PLACE.sidecar, ids[before], ids[after]),
            )

    with Store.open(path) as store:
        assert [edit.changes for edit in store.read(edits.recent)] == [1, 1]
        (change,) = store.read(edits.changes, EditId(2), 0, 9)
        assert (change.place, change.old, change.new) == (PLACE, plain("C"), plain("D"))
        stood = store.read(standings.levels, PLACE)
        assert [level.text for level in stood] == ["A", "B", "C", "D"]
        assert scene.integrity(store) == "ok"


def _text(old: sqlite3.Connection, text: str) -> int:
    cursor = old.execute(
        "INSERT INTO captions (path, sidecar, text, hash, source, created_ms)"
        " VALUES (?, ?, ?, ?, 'hand', 1)",
        (*PLACE, text, content_hash(text)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid
