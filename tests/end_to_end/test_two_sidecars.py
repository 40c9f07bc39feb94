"""An image with two sidecars has two captions, each with a history of its own."""

from pathlib import Path

import pytest

from tests.support import Home

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def picture(home: Home) -> Path:
    """One picture with a .txt and a .caption, made by two runs."""
    home.scripted().scenes(1, nested=False)
    for options in ([], ["--extension", "caption", "--prefix", "the other, "]):
        made = home.generate(*options)
        assert made.code == 0, made
    return next(home.pictures.glob("*.png"))


@pytest.mark.slow
def test_going_back_writes_no_text_of_the_other_sidecar(home: Home, picture: Path) -> None:
    text, other = picture.with_suffix(".txt"), picture.with_suffix(".caption")
    before = text.read_text(), other.read_text()
    home.run("caption", "set", str(picture), "my own words")

    undone = home.run("caption", "undo", str(picture))

    assert undone.code == 0, undone
    assert (text.read_text(), other.read_text()) == before
    assert home.run("caption", "undo", str(picture)).code == 2, "there is no earlier caption"


@pytest.mark.slow
def test_the_history_is_of_the_sidecar_that_is_asked_for(home: Home, picture: Path) -> None:
    text, other = picture.with_suffix(".txt"), picture.with_suffix(".caption")
    home.run("caption", "set", str(picture), "my own words", "--extension", "caption")

    of_text = home.run("caption", "history", str(picture), "--json").lines
    of_other = home.run(
        "caption", "history", str(picture), "--json", "--extension", "caption"
    ).lines

    assert [(line["text"], line["current"]) for line in of_text] == [(text.read_text(), True)]
    assert [line["text"] for line in of_other] == [
        f"the other, {text.read_text()}",
        other.read_text(),
    ]


@pytest.mark.slow
def test_a_text_of_the_other_sidecar_is_an_edit_by_hand(home: Home, picture: Path) -> None:
    """Somebody copied it here: it is not what captiv wrote into this file."""
    text, other = picture.with_suffix(".txt"), picture.with_suffix(".caption")
    text.write_text(other.read_text())

    over = home.generate("--overwrite", "--suffix", "!")

    assert over.code == 0, over
    assert text.read_text() == other.read_text()
    assert str(picture) in over.err
