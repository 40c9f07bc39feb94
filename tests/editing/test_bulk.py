import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from captiv.core.edits import BulkEdit
from captiv.core.keeping import Keeping, keeping
from captiv.core.naming import Place
from captiv.core.texts import content_hash, plain
from captiv.editing import bulk, put
from captiv.editing.bulk import Change, Kept
from captiv.errors import UsageError
from captiv.store import Store, captions, edits
from captiv.store.edits import EditId

from .conftest import sealed

EDIT = BulkEdit("dog", "wolf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"a": "a dog\n", "b": "two dogs", "c": "a cat", "d": " \n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def places(folder: Path) -> Iterator[Place]:
    for name in "abcde":
        yield Place(str(folder / f"{name}.jpg"), str(folder / f"{name}.txt"))


def looked(folder: Path, edit: BulkEdit = EDIT) -> list[Change]:
    return [c for c in bulk.preview(edit, places(folder)) if isinstance(c, Change)]


def texts(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("*.txt"))]


def test_a_preview_names_every_change_and_makes_none(folder: Path) -> None:
    found = list(bulk.preview(EDIT, places(folder)))

    assert [(Path(c.image).name, c.old, c.new) for c in found if isinstance(c, Change)] == [
        ("a.jpg", "a dog\n", "a wolf\n"),
        ("b.jpg", "two dogs", "two wolfs"),
    ]
    assert texts(folder) == ["a dog\n", "two dogs", "a cat", " \n"]


def test_a_caption_is_never_emptied(folder: Path) -> None:
    (found,) = bulk.preview(BulkEdit("two dogs"), places(folder))

    assert isinstance(found, Kept)
    assert "nothing of its caption would be left" in found.reason


def test_an_object_stays_json_and_what_is_none_is_changed_as_any_text(
    tmp_path: Path, store: Store
) -> None:
    held = {"a.json": '{"a": "dog"}\n', "b.json": "dog {", "c.txt": '{"a": "dog"}'}
    for name, text in held.items():
        (tmp_path / name).write_text(text)
    there = [Place(str(tmp_path / "x.jpg"), str(tmp_path / name)) for name in held]

    def edited(edit: BulkEdit) -> list[Kept]:
        found = list(bulk.preview(edit, there))
        list(bulk.apply(store, "", [c for c in found if isinstance(c, Change)]))
        return [c for c in found if isinstance(c, Kept)]

    (kept,) = edited(BulkEdit("dog", '"wolf"'))
    assert "not be JSON any more" in kept.reason
    assert edited(BulkEdit("dog", "fox")) == []
    assert [(tmp_path / name).read_text() for name in held] == [
        '{"a": "fox"}\n',
        '"wolf" {',
        '{"a": ""wolf""}',
    ]


def test_an_edit_and_its_undo_leave_the_folder_as_it_was(folder: Path, store: Store) -> None:
    made = list(bulk.apply(store, "dog to wolf", looked(folder)))
    assert [type(m) for m in made] == [Change, Change]
    assert texts(folder) == ["a wolf\n", "two wolfs", "a cat", " \n"]

    back = list(bulk.undo(store))

    assert [type(b) for b in back] == [Change, Change]
    assert texts(folder) == ["a dog\n", "two dogs", "a cat", " \n"]


def test_an_edit_counts_as_an_edit_by_hand(folder: Path, store: Store) -> None:
    list(bulk.apply(store, "dog to wolf", looked(folder)))

    first = next(places(folder))
    known = store.read(captions.sources, [first])[first]
    earlier = {k.hash: k.source for k in known}
    assert keeping(content_hash("a wolf"), earlier, "yes") is Keeping.KEEP


def test_what_was_changed_after_the_preview_stays(folder: Path, store: Store) -> None:
    changes = looked(folder)
    (folder / "a.txt").write_text("mine")

    first, second = bulk.apply(store, "dog to wolf", changes)

    assert isinstance(first, Kept)
    assert "changed meanwhile" in first.reason
    assert isinstance(second, Change)
    assert (folder / "a.txt").read_text() == "mine"


def test_what_was_changed_after_the_edit_is_not_undone(folder: Path, store: Store) -> None:
    list(bulk.apply(store, "dog to wolf", looked(folder)))
    (folder / "a.txt").write_text("mine")

    first, second = bulk.undo(store)

    assert isinstance(first, Kept)
    assert isinstance(second, Change)
    assert texts(folder)[:2] == ["mine", "two dogs"]


def test_an_edit_that_was_cut_short_can_be_undone(folder: Path, store: Store) -> None:
    edit = store.write(edits.begin, "dog to wolf", 1)
    rows = [
        (Place(c.image, c.sidecar), plain(c.old or ""), plain(c.new or "")) for c in looked(folder)
    ]
    store.write(edits.record, edit, rows, 1)
    (folder / "b.txt").write_text("two wolfs")

    back = list(bulk.undo(store))

    assert [Path(b.image).name for b in back] == ["b.jpg"]
    assert texts(folder)[:2] == ["a dog\n", "two dogs"]


def test_edits_are_undone_from_the_last_to_the_first(folder: Path, store: Store) -> None:
    list(bulk.apply(store, "dog to wolf", looked(folder)))
    fox = BulkEdit("wolf", "fox")
    list(bulk.apply(store, "wolf to fox", looked(folder, fox)))

    list(bulk.undo(store))
    assert texts(folder)[0] == "a wolf\n"
    list(bulk.undo(store))
    assert texts(folder)[0] == "a dog\n"
    with pytest.raises(UsageError, match="no edit to undo"):
        list(bulk.undo(store))


def test_an_edit_is_undone_once(folder: Path, store: Store) -> None:
    list(bulk.apply(store, "dog to wolf", looked(folder)))
    list(bulk.undo(store, EditId(1)))

    with pytest.raises(UsageError, match="undone already"):
        list(bulk.undo(store, EditId(1)))
    with pytest.raises(UsageError, match="no edit 7"):
        list(bulk.undo(store, EditId(7)))


def test_a_sidecar_that_cannot_be_written_stops_no_other(folder: Path, store: Store) -> None:
    changes = looked(folder)
    gone = Change(changes[0].image, str(folder / "no" / "a.txt"), "a dog\n", "a wolf\n")

    first, second = bulk.apply(store, "dog to wolf", [gone, changes[1]])

    assert isinstance(first, Kept)
    assert isinstance(second, Change)
    assert texts(folder)[:2] == ["a dog\n", "two wolfs"]


def test_what_could_not_be_changed_is_no_part_of_an_edit(folder: Path, store: Store) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("a dog\n")
    here = looked(folder)[0]
    there = Change(str(elsewhere / "a.jpg"), str(elsewhere / "a.txt"), here.old, here.new)

    with sealed(elsewhere):
        both = list(bulk.apply(store, "first", [here, there]))
        none = list(bulk.apply(store, "second", [there]))

    assert [type(result) for result in both + none] == [Change, Kept, Kept]
    assert [(edit.what, edit.changes) for edit in store.read(edits.recent)] == [("first", 1)]


def test_an_edit_that_could_not_be_taken_back_can_be_when_that_is_mended(
    folder: Path, store: Store
) -> None:
    list(bulk.apply(store, "dog to wolf", looked(folder)))

    with sealed(folder):
        stuck = list(bulk.undo(store))
    back = list(bulk.undo(store))

    assert [type(result) for result in stuck] == [Kept, Kept]
    assert [type(result) for result in back] == [Change, Change]
    assert texts(folder)[:2] == ["a dog\n", "two dogs"]
    with pytest.raises(UsageError, match="no edit to undo"):
        list(bulk.undo(store))


def test_a_clear_is_an_edit_and_its_undo_gives_back_the_exact_bytes(
    folder: Path, store: Store
) -> None:
    (folder / "a.txt").write_bytes(b"a dog\r\n")
    (folder / "b.txt").write_bytes("ein Hund \u00fcber".encode("cp1252"))
    (folder / "c.txt").write_bytes(b"\xff\xfea\0 \xd8\0\0")  # UTF-16 that is broken
    before = {path.name: path.read_bytes() for path in folder.glob("*.txt")}
    list(bulk.apply(store, "older", looked(folder)))
    list(bulk.undo(store))

    found = [c for c in bulk.removal(places(folder)) if isinstance(c, Change)]
    assert [type(c) for c in bulk.apply(store, "captions removed", found)] == [Change] * 3
    assert [path.name for path in folder.glob("*.txt")] == ["d.txt"]

    assert [type(c) for c in bulk.undo(store)] == [Change] * 3
    assert {path.name: path.read_bytes() for path in folder.glob("*.txt")} == before


def test_a_caption_set_after_a_clear_is_not_undone(folder: Path, store: Store) -> None:
    found = [c for c in bulk.removal(places(folder)) if isinstance(c, Change)]
    list(bulk.apply(store, "captions removed", found))
    (folder / "a.txt").write_text("mine")

    first, *others = bulk.undo(store)

    assert isinstance(first, Kept)
    assert [type(other) for other in others] == [Change, Change]
    assert texts(folder) == ["mine", "two dogs", "a cat", " \n"]


@pytest.mark.parametrize(
    ("data", "new"),
    [
        (b"a dog\r\nand \xfc\r\n", b"a wolf\r\nand \xfc\r\n"),
        (b"\xef\xbb\xbfa dog\n", b"\xef\xbb\xbfa wolf\n"),
        ("a dog".encode("utf-16"), "a wolf".encode("utf-16")),
        (b"a dog \x81", b"a wolf \x81"),
    ],
    ids=["cp1252", "BOM", "UTF-16", "unknown"],
)
def test_an_edit_keeps_the_encoding_and_every_other_byte(
    folder: Path, store: Store, data: bytes, new: bytes
) -> None:
    (folder / "a.txt").write_bytes(data)

    list(bulk.apply(store, "dog to wolf", looked(folder)))
    assert (folder / "a.txt").read_bytes() == new
    list(bulk.undo(store))

    assert (folder / "a.txt").read_bytes() == data


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\xff\xfed\0o\0g\0\0\xd8", "broken"), (b"a dog \xfc", "cp1252")],
    ids=["broken", "no bytes for it"],
)
def test_what_an_edit_cannot_write_in_its_encoding_is_passed_over_and_named(
    folder: Path, data: bytes, why: str
) -> None:
    (folder / "a.txt").write_bytes(data)

    first, *_ = bulk.preview(BulkEdit("dog", "\u72fc"), places(folder))

    assert isinstance(first, Kept)
    assert why in first.reason
    assert (folder / "a.txt").read_bytes() == data


@pytest.mark.slow
def test_an_edit_that_is_stopped_is_an_edit_of_what_was_done(tmp_path: Path, store: Store) -> None:
    for n in range(900):
        (tmp_path / f"{n:03}.txt").write_text(f"dog {n}")
    all_places = [
        Place(str(tmp_path / f"{n:03}.jpg"), str(tmp_path / f"{n:03}.txt")) for n in range(900)
    ]
    changes = [c for c in bulk.preview(EDIT, all_places) if isinstance(c, Change)]

    answers = iter([False, False, True])
    made = list(bulk.apply(store, "dog to wolf", changes, stopped=lambda: next(answers)))

    done = sum(text.startswith("wolf") for text in texts(tmp_path))
    (edit,) = store.read(edits.recent)
    assert 0 < done == len(made) == edit.changes < 900
    answers = iter([False, True])
    back = list(bulk.undo(store, stopped=lambda: next(answers)))
    assert 0 < len(back) < done
    assert len(back) + len(list(bulk.undo(store))) == done
    assert all(text.startswith("dog") for text in texts(tmp_path))


def test_a_caption_saved_while_an_edit_waits_for_the_disk_stays(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a caption and its replacement, at the moment of the sync."""
    changes = looked(folder)
    real, saved = os.fsync, threading.Event()

    def slow(descriptor: int) -> None:
        real(descriptor)
        if not saved.is_set() and threading.current_thread() is not threading.main_thread():
            saved.set()
            put(store, next(places(folder)), "mine")

    monkeypatch.setattr(os, "fsync", slow)
    first, second = bulk.apply(store, "dog to wolf", changes)

    assert saved.is_set()
    assert isinstance(first, Kept)
    assert "changed meanwhile" in first.reason
    assert isinstance(second, Change)
    assert texts(folder)[:2] == ["mine", "two wolfs"]


def test_more_changes_than_one_transaction_takes(tmp_path: Path, store: Store) -> None:
    for n in range(450):
        (tmp_path / f"{n:03}.txt").write_text(f"dog {n}")
    all_places = [
        Place(str(tmp_path / f"{n:03}.jpg"), str(tmp_path / f"{n:03}.txt")) for n in range(450)
    ]
    changes = [c for c in bulk.preview(EDIT, all_places) if isinstance(c, Change)]

    assert sum(isinstance(c, Change) for c in bulk.apply(store, "dog to wolf", changes)) == 450
    (edit,) = store.read(edits.recent)
    assert edit.changes == 450
    assert sum(isinstance(c, Change) for c in bulk.undo(store)) == 450
    assert texts(tmp_path)[449] == "dog 449"


def test_an_edit_that_is_not_yet_safe_on_the_disk_says_so_and_is_undone(
    folder: Path, store: Store, unsafe_folders: None
) -> None:
    made = list(bulk.apply(store, "dog to wolf", looked(folder)))

    assert all(isinstance(each, Change) and "not yet safe" in (each.unsafe or "") for each in made)
    assert texts(folder)[:2] == ["a wolf\n", "two wolfs"]
    (edit,) = store.read(edits.recent)
    assert edit.changes == 2

    back = list(bulk.undo(store))

    assert all(isinstance(each, Change) and "not yet safe" in (each.unsafe or "") for each in back)
    assert texts(folder)[:2] == ["a dog\n", "two dogs"]
    assert store.read(edits.find, edit.id).undone_ms is not None  # type: ignore[union-attr]
