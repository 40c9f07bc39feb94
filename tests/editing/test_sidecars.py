from pathlib import Path

import pytest

from captiv.core.naming import Place
from captiv.editing.history import past, undo
from captiv.editing.sidecars import drop, put, version
from captiv.errors import CaptionChanged, SidecarError
from captiv.store import Store, captions

from .conftest import sealed

pytestmark = pytest.mark.allow_blocking


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "a.jpg"), str(tmp_path / "a.txt"))


def texts(store: Store, place: Place) -> list[tuple[str, str]]:
    return [(c.text, c.source) for c in store.read(captions.history, place)]


def test_the_caption_that_was_seen_is_replaced(store: Store, place: Place) -> None:
    put(store, place, "one", seen=version(None))

    put(store, place, "two", seen=version("one"))

    assert Path(place[1]).read_text() == "two"
    assert texts(store, place) == [("one", "hand"), ("two", "hand")]


def test_another_caption_than_the_one_seen_is_told_and_stays(store: Store, place: Place) -> None:
    Path(place[1]).write_text("by somebody else")

    with pytest.raises(CaptionChanged) as caught:
        put(store, place, "mine", seen=version("what I saw"))

    assert caught.value.text == "by somebody else"
    assert Path(place[1]).read_text() == "by somebody else"
    assert texts(store, place) == []


def test_a_final_newline_is_no_other_caption(store: Store, place: Place) -> None:
    Path(place[1]).write_text("one\n")

    put(store, place, "two", seen=version("one"))

    assert Path(place[1]).read_text() == "two"


def test_a_caption_that_was_seen_is_dropped_and_stays_known(store: Store, place: Place) -> None:
    Path(place[1]).write_text("one")

    assert drop(store, place, seen=version("one"))
    assert not drop(store, place, seen=version(None))
    assert not Path(place[1]).exists()
    assert texts(store, place) == [("one", "import")]


def test_a_changed_caption_is_not_dropped(store: Store, place: Place) -> None:
    Path(place[1]).write_text("newer")

    with pytest.raises(CaptionChanged):
        drop(store, place, seen=version("older"))

    assert Path(place[1]).read_text() == "newer"


def test_a_caption_that_cannot_be_written_is_not_promised_for_later(
    store: Store, place: Place
) -> None:
    put(store, place, "as it is")

    with sealed(Path(place[1]).parent), pytest.raises(SidecarError) as caught:
        put(store, place, "as it should be")

    assert "do it again" in (caught.value.hint or "")
    assert Path(place[1]).read_text() == "as it is"
    assert [text.text for text in past(store, place).texts] == ["as it is", "as it should be"]


def test_a_caption_that_cannot_be_removed_is_told(store: Store, place: Place) -> None:
    Path(place[1]).mkdir()

    with pytest.raises(SidecarError):
        drop(store, place)


def test_a_change_that_is_not_yet_safe_on_the_disk_says_so_and_can_be_undone(
    store: Store, place: Place, request: pytest.FixtureRequest
) -> None:
    put(store, place, "one")
    request.getfixturevalue("unsafe_folders")

    with pytest.raises(SidecarError, match="not yet safe on the disk"):
        put(store, place, "two")
    assert Path(place[1]).read_text() == "two"
    with pytest.raises(SidecarError, match="not yet safe on the disk"):
        undo(store, place)
    assert Path(place[1]).read_text() == "one"
    with pytest.raises(SidecarError, match="not yet safe on the disk"):
        drop(store, place)
    assert not Path(place[1]).exists()
    with pytest.raises(SidecarError, match="not yet safe on the disk"):
        undo(store, place)
    assert Path(place[1]).read_text() == "one"
