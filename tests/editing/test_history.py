from pathlib import Path

import pytest

from captiv.core.edits import BulkEdit
from captiv.core.naming import Place
from captiv.core.texts import content_hash, plain
from captiv.editing import bulk, drop, put
from captiv.editing.history import past, undo
from captiv.errors import SidecarError, UsageError
from captiv.store import Store, captions, standings

from .conftest import sealed


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "a.jpg"), str(tmp_path / "a.txt"))


def test_history_tells_which_text_is_in_the_file(place: Place, store: Store) -> None:
    put(store, place, "one")
    put(store, place, "two")

    found = past(store, place)

    assert [t.text for t in found.texts] == ["one", "two"]
    assert found.current == 1


def test_undo_goes_back_text_by_text(place: Place, store: Store) -> None:
    for text in ("one", "two", "three"):
        put(store, place, text)

    assert undo(store, place) == "two"
    assert undo(store, place) == "one"
    with pytest.raises(UsageError, match="no earlier caption"):
        undo(store, place)
    assert Path(place[1]).read_text() == "one"


def test_undo_gives_back_the_text_that_stood_last(place: Place, store: Store) -> None:
    """Not the one before the latest time that the text came into the history."""
    put(store, place, "A")
    put(store, place, "B")
    (change,) = bulk.preview(BulkEdit("B", "C"), [place])
    assert isinstance(change, bulk.Change)
    list(bulk.apply(store, "B to C", [change]))

    assert undo(store, place) == "B"
    drop(store, place)
    assert undo(store, place) == "B"
    assert undo(store, place) == "A"


def test_undo_ends_at_the_first_text_though_it_came_again(place: Place, store: Store) -> None:
    for text in ("A", "B", "A"):
        put(store, place, text)

    assert [undo(store, place) for _ in range(2)] == ["B", "A"]

    with pytest.raises(UsageError, match="no earlier caption"):
        undo(store, place)


def test_a_change_after_an_undo_stands_on_what_the_undo_brought(place: Place, store: Store) -> None:
    for text in ("A", "B", "C"):
        put(store, place, text)
    undo(store, place)
    undo(store, place)
    put(store, place, "D")

    assert undo(store, place) == "A"


def test_a_text_that_was_chosen_can_be_undone(place: Place, store: Store) -> None:
    for text in ("A", "B", "C"):
        put(store, place, text)
    first = past(store, place).texts[0].id

    assert undo(store, place, to=first) == "A"
    assert undo(store, place) == "C"


def test_an_edit_that_was_undone_is_gone_from_the_way_back(place: Place, store: Store) -> None:
    put(store, place, "A")
    put(store, place, "B")
    changes = [c for c in bulk.preview(BulkEdit("B", "C"), [place]) if isinstance(c, bulk.Change)]
    list(bulk.apply(store, "B to C", changes))
    list(bulk.undo(store))

    assert undo(store, place) == "A"


def test_undo_gives_back_the_bytes_that_stood(place: Place, store: Store) -> None:
    data = "\u00fcber\r\n".encode("cp1252")
    Path(place.sidecar).write_bytes(data)
    put(store, place, "mine")

    undo(store, place)

    assert Path(place.sidecar).read_bytes() == data
    put(store, place, "mine")
    found = past(store, place).texts[0].id
    undo(store, place, to=found)
    assert Path(place.sidecar).read_bytes() == data


def test_a_runs_captions_and_a_kept_one_are_on_the_way_back(place: Place, store: Store) -> None:
    """The store alone tells of them; what was kept out of the file never stood there."""
    scene_texts = ("one", "two", "kept out")
    for text in scene_texts:
        store.write(captions.record, place, text, content_hash(text), "import", 1)
    Path(place.sidecar).write_text("two")

    assert past(store, place).earlier == "one"
    put(store, place, "mine")
    assert undo(store, place) == "two"
    assert undo(store, place) == "one"


def test_a_change_that_captiv_died_before_is_not_on_the_way_back(
    place: Place, store: Store
) -> None:
    put(store, place, "A")
    put(store, place, "B")
    store.write(standings.change, place, plain("B"), plain("C"), 1)

    assert undo(store, place) == "A"


def test_a_change_that_cannot_be_written_is_not_on_the_way_back(place: Place, store: Store) -> None:
    put(store, place, "A")
    put(store, place, "B")
    with sealed(Path(place.sidecar).parent), pytest.raises(SidecarError):
        put(store, place, "C")
    with sealed(Path(place.sidecar).parent), pytest.raises(SidecarError):
        undo(store, place)

    assert undo(store, place) == "A"


def test_undo_keeps_what_an_editor_wrote(place: Place, store: Store) -> None:
    put(store, place, "one")
    Path(place[1]).write_text("by an editor\n")

    assert undo(store, place) == "one"

    assert [t.text for t in past(store, place).texts] == ["one", "by an editor\n"]
    assert undo(store, place, to=past(store, place).texts[1].id) == "by an editor\n"


def test_a_removed_caption_comes_back(place: Place, store: Store) -> None:
    put(store, place, "one")
    Path(place[1]).unlink()

    assert past(store, place).current is None
    assert undo(store, place) == "one"


def test_a_text_of_another_image_is_refused(place: Place, store: Store) -> None:
    other = store.write(
        captions.record, Place("/b.jpg", "/b.txt"), "b", content_hash("b"), "import", 1
    )
    put(store, place, "one")

    with pytest.raises(UsageError, match=f"no text {other}"):
        undo(store, place, to=other)
