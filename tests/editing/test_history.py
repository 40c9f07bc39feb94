from pathlib import Path

import pytest

from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.editing import put
from captiv.editing.history import past, undo
from captiv.errors import UsageError
from captiv.store import Store, captions


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
