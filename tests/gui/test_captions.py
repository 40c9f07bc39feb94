from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.support import Home, until

from .pages import PATIENCE_S, Page, Visitor, told

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("captions"))
    home.scenes(20, nested=False)
    return home


@pytest.fixture
def name(shared_home: Home) -> str:
    """A picture that no other test has touched."""
    return f"scene-{next(_numbers):04}"


@pytest.fixture
def pictures(shared_home: Home) -> Path:
    return shared_home.pictures


@pytest.fixture
def own(home: Home) -> Home:
    home.scenes(3, nested=False)
    return home.scripted()


def test_a_caption_is_written_recorded_and_marked(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    image = visitor.image(f"{name}.png")

    first = visitor.write(image, "a first try").json()
    second = visitor.write(first, "a second try").json()

    assert (pictures / f"{name}.txt").read_text() == "a second try"
    assert second["by"] == "hand"
    assert [entry["text"] for entry in second["history"]] == ["a second try", "a first try"]
    assert image["id"] in [other["id"] for other in visitor.images(show="hand")]


@pytest.mark.slow
def test_no_run_overwrites_what_was_edited_on_the_page(
    own: Home, launch: Callable[..., Page]
) -> None:
    visitor = launch(at=own).visitor()
    visitor.write(visitor.image("scene-0001.png"), "mine")

    ended = own.generate("--overwrite")

    assert ended.code == 0, ended
    assert (own.pictures / "scene-0001.txt").read_text() == "mine"
    assert (own.pictures / "scene-0002.txt").exists()


def test_two_tabs_on_one_caption_are_told_and_nothing_is_overwritten(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    image = visitor.image(f"{name}.png")
    visitor.write(image, "the other tab's")

    refused = visitor.write(image, "this tab's")

    assert refused.status_code == 409
    problem = refused.json()
    assert (problem["code"], problem["text"]) == ("caption_changed", "the other tab's")
    assert (pictures / f"{name}.txt").read_text() == "the other tab's"
    assert visitor.write(image, "this tab's", problem["version"]).status_code == 200


@pytest.mark.slow
def test_a_file_changed_by_another_program_is_not_overwritten(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    image = visitor.image(f"{name}.png")
    (pictures / f"{name}.txt").write_text("by an editor")

    assert visitor.write(image, "mine").json()["text"] == "by an editor"
    assert visitor.image(f"{name}.png")["caption"] == "by an editor"


def test_a_caption_is_removed_and_its_text_kept(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    image = visitor.write(visitor.image(f"{name}.png"), "short-lived").json()

    now = visitor.write(image, None).json()

    assert not (pictures / f"{name}.txt").exists()
    assert (now["caption"], now["version"]) == (None, "none")
    assert [entry["text"] for entry in now["history"]] == ["short-lived"]


def test_what_is_no_caption_is_refused(pictures: Path, visitor: Visitor, name: str) -> None:
    image = visitor.image(f"{name}.png")
    place = f"/api/images/{image['id']}/caption"

    for text in ("", "  \n", "x" * 100_001, 7):
        body = {"text": text, "version": "none"}
        assert visitor.http.put(place, json=body).status_code == 400
    for body_text in ("", "[]", '{"text": "a"}', '{"text": "\\ud800", "version": "none"}'):
        assert visitor.http.put(place, content=body_text).status_code == 400
    assert not (pictures / f"{name}.txt").exists()


def test_a_sidecar_that_leads_out_of_the_folder_is_neither_shown_nor_written(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    outside = pictures.parent / "outside.txt"
    outside.write_text("a secret")
    (pictures / f"{name}.txt").symlink_to(outside)
    image = visitor.get(f"/api/images/{visitor.image(f'{name}.png')['id']}")

    refused = visitor.write(image, "mine")

    assert image["caption"] is None
    assert "leaves the opened folder" in image["trouble"]
    assert refused.status_code == 500
    assert "leaves the opened folder" in refused.json()["detail"]
    assert outside.read_text() == "a secret"


@pytest.mark.slow
@pytest.mark.parametrize("data", [b" \n", b"\xef\xbb\xbf", b"\0" * 64])
def test_a_blank_sidecar_is_no_caption(
    pictures: Path, visitor: Visitor, name: str, data: bytes
) -> None:
    (pictures / f"{name}.txt").write_bytes(data)

    image = visitor.get(f"/api/images/{visitor.image(f'{name}.png')['id']}")

    assert (image["caption"], image["version"], image["history"]) == (None, "none", [])
    assert visitor.write(image, "mine").status_code == 200
    assert (pictures / f"{name}.txt").read_text() == "mine"


def test_a_sidecar_in_capitals_is_shown_and_written(
    pictures: Path, visitor: Visitor, name: str
) -> None:
    (pictures / f"{name}.txt").unlink(missing_ok=True)
    (pictures / f"{name}.TXT").write_text("a dog")

    image = visitor.get(f"/api/images/{visitor.image(f'{name}.png')['id']}")

    assert image["caption"] == "a dog"
    assert visitor.write(image, "mine").status_code == 200
    assert (pictures / f"{name}.TXT").read_text() == "mine"
    assert not (pictures / f"{name}.txt").exists()


def test_a_saved_caption_reaches_every_tab(pictures: Path, visitor: Visitor, name: str) -> None:
    image = visitor.image(f"{name}.png")
    with visitor.live() as socket:
        socket.recv(timeout=PATIENCE_S)

        visitor.write(image, "news")

        changed = told(socket, "images")["changed"]
        assert [card["caption"] for card in changed] == ["news"]


@pytest.mark.slow
def test_captions_of_a_run_appear_by_themselves(own: Home, launch: Callable[..., Page]) -> None:
    visitor = launch(at=own).visitor()

    assert own.generate().code == 0

    until(
        lambda: (
            all(image["by"] == "model" for image in visitor.images() if image["caption"])
            and not visitor.images(show="without")
        ),
        "every image has its caption",
        every_s=0.1,
    )
    entry = visitor.get(f"/api/images/{visitor.images()[0]['id']}")["history"][0]
    assert (entry["by"], entry["model"]) == ("model", "shapes")
    assert entry["created_ms"] > 0


@pytest.mark.slow
def test_failed_images_are_found_with_their_reason(own: Home, launch: Callable[..., Page]) -> None:
    (own.pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    visitor = launch(at=own).visitor()
    assert own.generate().code == 1

    until(lambda: bool(visitor.images(show="failed")), "the failure shows", every_s=0.1)

    (image,) = visitor.images(show="failed")
    assert image["name"] == "broken.jpg"
    assert "damaged" in image["failure"] or "truncated" in image["failure"]
