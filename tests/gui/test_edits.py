import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captiv.editing import version
from tests.support import Home

from .pages import Page, Visitor, told

Launch = Callable[..., Page]


@pytest.fixture
def visitor(pictures: Path, launch: Launch) -> Visitor:
    for at, text in enumerate(("a red dog\n", "two dogs", "a cat"), start=1):
        (pictures / f"scene-{at:04}.txt").write_text(text)
    return launch().visitor()


def look(visitor: Visitor, **edit: Any) -> Any:
    body = {"list": visitor.get("/api/images")["list"]} | edit
    return visitor.http.post("/api/edits/previews", json=body)


def make(visitor: Visitor, preview: Any) -> Any:
    return visitor.http.post("/api/edits", json={"preview": preview["preview"]}).json()


def texts(pictures: Path) -> list[str]:
    return [path.read_text() for path in sorted(pictures.glob("*.txt"))]


@pytest.mark.slow
def test_every_change_is_shown_before_any_is_made(visitor: Visitor, pictures: Path) -> None:
    preview = look(visitor, find="dog", **{"with": "wolf"}).json()

    assert preview["total"] == 2
    assert [(c["name"], c["old"], c["new"]) for c in preview["changes"]] == [
        ("scene-0001.png", "a red dog", "a red wolf"),
        ("scene-0002.png", "two dogs", "two wolfs"),
    ]
    assert texts(pictures) == ["a red dog\n", "two dogs", "a cat"]


@pytest.mark.slow
def test_an_edit_is_made_as_it_was_shown_and_undone_as_a_whole(
    visitor: Visitor, pictures: Path
) -> None:
    preview = look(visitor, find="dog", trigger_word="ohwx", **{"with": "wolf"}).json()

    made = make(visitor, preview)

    assert (made["changed"], made["kept_total"]) == (3, 0)
    assert texts(pictures) == ["ohwx, a red wolf\n", "ohwx, two wolfs", "ohwx, a cat"]
    assert visitor.image("scene-0001.png")["by"] == "hand"
    (past,) = visitor.get("/api/edits")["edits"]
    assert past["captions"] == 3
    back = visitor.http.post(f"/api/edits/{past['edit']}/undo").json()
    assert back["changed"] == 3
    assert texts(pictures) == ["a red dog\n", "two dogs", "a cat"]
    assert visitor.get("/api/edits")["edits"][0]["undone_ms"]


@pytest.mark.slow
def test_what_changed_since_the_preview_is_kept_and_named(visitor: Visitor, pictures: Path) -> None:
    preview = look(visitor, prefix="photo of ").json()
    visitor.write(visitor.image("scene-0001.png"), "somebody else's")

    made = make(visitor, preview)

    assert made["changed"] == 2
    assert made["kept"] == ["scene-0001.png: its caption was changed meanwhile"]
    assert texts(pictures)[0] == "somebody else's"


@pytest.mark.slow
def test_a_selection_is_all_that_is_changed(visitor: Visitor, pictures: Path) -> None:
    chosen = visitor.image("scene-0002.png")["id"]

    preview = look(visitor, suffix=".", images=[chosen, "ffffffffffffffff", "no id"]).json()

    assert [change["id"] for change in preview["changes"]] == [chosen]
    make(visitor, preview)
    assert texts(pictures) == ["a red dog\n", "two dogs.", "a cat"]


@pytest.mark.slow
def test_an_edit_is_named_so_that_it_is_undone_and_no_newer_one(
    visitor: Visitor, pictures: Path
) -> None:
    ours = make(visitor, look(visitor, suffix=".").json())
    newer = make(visitor, look(visitor, prefix="of ", images=[_id(visitor, 3)]).json())

    assert newer["edit"] == ours["edit"] + 1
    back = visitor.http.post(f"/api/edits/{ours['edit']}/undo").json()

    assert (back["changed"], back["kept_total"]) == (2, 1)
    assert texts(pictures) == ["a red dog\n", "two dogs", "of a cat."]


@pytest.mark.slow
def test_it_is_said_how_many_images_are_out_of_sight(visitor: Visitor) -> None:
    make(visitor, look(visitor, suffix=".").json())
    listing = visitor.get("/api/images", text="dog")
    chosen = [_id(visitor, at) for at in (1, 2, 3)]

    asked = visitor.http.post(f"/api/listings/{listing['list']}/unseen", json={"images": chosen})

    assert asked.json() == {"unseen": 1}
    (edit,) = visitor.get("/api/edits", list=listing["list"])["edits"]
    assert edit["unseen"] == 1
    (edit,) = visitor.get("/api/edits", list="no listing")["edits"]
    assert "unseen" not in edit


@pytest.mark.slow
def test_another_tab_saves_while_an_edit_is_made_and_the_edit_can_be_stopped(
    home: Home, launch: Launch
) -> None:
    home.scenes(1500, nested=False)
    pictures = sorted(home.pictures.glob("*.png"))
    for picture in pictures:
        picture.with_suffix(".txt").write_text("a dog")
    visitor = launch().visitor()
    preview = look(visitor, suffix=".", images=None).json()
    last = visitor.image(pictures[0].name)
    answers: list[Any] = []
    with visitor.live() as socket:
        making = threading.Thread(target=lambda: answers.append(make(visitor, preview)))
        making.start()
        (work,) = told(socket, "editing")

        saved = visitor.write(last, "mine", version("a dog."))

        assert saved.status_code == 200
        assert not answers
        assert visitor.http.delete(f"/api/edits/under-way/{work['id']}").status_code == 200
        making.join()

    (made,) = answers
    assert made["stopped"]
    assert 0 < made["changed"] < 1500
    done = sum(p.with_suffix(".txt").read_text() == "a dog." for p in pictures)
    assert done == made["changed"] - 1
    back = visitor.http.post(f"/api/edits/{made['edit']}/undo").json()
    assert (back["changed"], back["kept_total"]) == (done, 1)
    assert pictures[0].with_suffix(".txt").read_text() == "mine"
    assert visitor.http.delete(f"/api/edits/under-way/{work['id']}").status_code == 404


def _id(visitor: Visitor, at: int) -> str:
    id: str = visitor.image(f"scene-{at:04}.png")["id"]
    return id


@pytest.mark.slow
def test_a_preview_is_made_once(visitor: Visitor) -> None:
    preview = look(visitor, suffix=".").json()
    make(visitor, preview)

    again = visitor.http.post("/api/edits", json={"preview": preview["preview"]})

    assert again.status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"find": "(", "regex": True},
        {"find": "x", "unknown": 1},
        {"find": "x" * 3000},
        {"find": "x", "list": None},
    ],
)
def test_an_edit_that_cannot_be_made_is_refused_with_a_sentence(
    visitor: Visitor, edit: dict[str, Any]
) -> None:
    refused = look(visitor, **edit)

    assert refused.status_code == 400
    assert refused.json()["detail"].endswith(".")


@pytest.mark.slow
def test_long_previews_come_in_pages(home: Home, launch: Launch) -> None:
    home.scenes(130, nested=False)
    for picture in home.pictures.glob("*.png"):
        picture.with_suffix(".txt").write_text("a dog")
    visitor = launch().visitor()

    preview = look(visitor, suffix=".").json()
    rest = visitor.get(f"/api/edits/previews/{preview['preview']}", offset=100)

    assert (preview["total"], len(preview["changes"]), len(rest["changes"])) == (130, 100, 30)


@pytest.mark.slow
def test_a_caption_file_that_leads_out_of_the_folder_is_left_alone(
    visitor: Visitor, pictures: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("a dog outside")
    (pictures / "scene-0003.txt").unlink()
    (pictures / "scene-0003.txt").symlink_to(outside)

    preview = look(visitor, suffix=".").json()

    assert preview["total"] == 2
    make(visitor, preview)
    assert outside.read_text() == "a dog outside"


@pytest.mark.slow
def test_edits_of_other_folders_are_neither_shown_nor_undone(
    visitor: Visitor, home: Home, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"")
    (other / "a.txt").write_text("a dog")
    home.run("caption", "replace", str(other), "--suffix", ".", "-y")

    assert visitor.get("/api/edits")["edits"] == []
    refused = visitor.http.post("/api/edits/1/undo")
    assert refused.status_code == 404
    assert (other / "a.txt").read_text() == "a dog."
