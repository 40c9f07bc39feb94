from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from captiv.gui.entry import Stamp, image_id, shown
from captiv.gui.thumbnails import Thumbnails
from tests.support import Home

from .pages import Page, Visitor

pytestmark = pytest.mark.allow_blocking


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.slow
def test_a_listing_is_paged_and_stays_as_it_was(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    (pictures / "scene-0002.txt").write_text("it had one before")
    visitor = launch().visitor()
    first = visitor.get("/api/images", show="without", limit=1)
    visitor.write(first["images"][0], "now it has one")

    second = visitor.get("/api/images", list=first["list"], offset=0, limit=3)
    anew = visitor.get("/api/images", show="without")

    assert first["total"] == second["total"] == 2
    assert [image["name"] for image in second["images"]] == ["scene-0001.png", "scene-0003.png"]
    assert second["images"][0]["caption"] == "now it has one"
    assert [image["name"] for image in anew["images"]] == ["scene-0003.png"]
    assert anew["tally"] == {"all": 3, "without": 1, "failed": 0, "hand": 1, "unsaved": 0}


@pytest.mark.slow
def test_images_that_the_browser_names_as_not_saved_are_counted_and_a_filter(
    shared_home: Home, visitor: Visitor
) -> None:
    named = visitor.images(limit=3)[1:]
    unsaved = ",".join([*(image["id"] for image in named), "no id", "ffffffffffffffff"])

    every = visitor.get("/api/images", unsaved=unsaved)
    only = visitor.get("/api/images", unsaved=unsaved, show="unsaved")
    one = visitor.get("/api/images", unsaved=unsaved, show="unsaved", text=named[0]["name"])

    assert every["tally"]["unsaved"] == only["tally"]["unsaved"] == 2
    assert every["total"] == every["tally"]["all"]
    assert [image["id"] for image in only["images"]] == [image["id"] for image in named]
    assert [image["id"] for image in one["images"]] == [named[0]["id"]]


def test_a_listing_of_another_life_is_gone(visitor: Visitor) -> None:
    for id in ("1", "0123456789ab-1", ""):
        response = visitor.http.get("/api/images", params={"list": id})
        assert response.status_code == 404
        assert response.json()["code"] == "gone"


def test_ids_of_a_part_of_a_listing(visitor: Visitor) -> None:
    listing = visitor.get("/api/images", limit=100)

    part = visitor.get(f"/api/listings/{listing['list']}/ids", offset=2, limit=3)

    assert part["ids"] == [image["id"] for image in listing["images"][2:5]]


@pytest.mark.slow
def test_all_words_are_looked_for_in_captions_and_names(
    shared_home: Home, visitor: Visitor
) -> None:
    captions = [i["caption"] or "" for i in visitor.images(limit=100)]
    expected = [c for c in captions if "red" in c]

    assert [i["caption"] for i in visitor.images(text="RED")] == expected
    assert [i["name"] for i in visitor.images(text="SCENE 0003")] == ["scene-0003.png"]
    assert visitor.images(text="scene nothing") == []


def test_folders_are_counted_and_filter(shared_home: Home, visitor: Visitor) -> None:
    folders = visitor.get("/api/folders")["folders"]

    assert [folder["depth"] for folder in folders] == [0] + [1] * (len(folders) - 1)
    for folder in folders[1:]:
        assert len(visitor.images(folder=folder["id"])) == folder["images"]
        with_caption = [i for i in visitor.images(folder=folder["id"]) if i["caption"]]
        assert len(with_caption) == folder["captioned"]
    assert visitor.images(folder=folders[0]["id"], deep=0) == []
    assert visitor.images(folder="0123456789abcdef") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", [{"show": "x"}, {"folder": "x"}, {"offset": "-1"}, {"limit": "x"}, {"text": "x" * 201}]
)
def test_a_filter_that_cannot_be_is_refused(visitor: Visitor, query: dict[str, str]) -> None:
    assert visitor.http.get("/api/images", params=query).status_code == 400


@pytest.mark.slow
def test_pictures_are_drawn_anew_without_their_metadata(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    exif[0x010F] = "a camera"
    photo = Image.new("RGB", (2400, 1200), "red")
    photo.save(pictures / "photo.jpg", exif=exif)
    visitor = launch().visitor()
    image = visitor.image("photo.jpg")

    small = visitor.http.get(f"/images/{image['id']}/small")
    large = visitor.http.get(f"/images/{image['id']}/large")

    assert opened(small.content).size == (288, 576)
    assert opened(large.content).size == (800, 1600)
    assert b"a camera" not in small.content + large.content
    assert "immutable" in small.headers["cache-control"]
    detail = visitor.get(f"/api/images/{image['id']}")
    assert (detail["width"], detail["height"]) == (1200, 2400)


@pytest.mark.slow
def test_another_content_has_another_address(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    visitor = launch().visitor()
    before = visitor.image("scene-0001.png")
    Image.new("RGB", (50, 50), "blue").save(pictures / "scene-0001.png")

    visitor.get(f"/api/images/{before['id']}")  # whoever looks at it sees what is there
    after = visitor.image("scene-0001.png")

    assert (after["id"], after["stamp"] != before["stamp"]) == (before["id"], True)
    data = visitor.http.get(f"/images/{after['id']}/small").content
    assert opened(data).convert("RGB").getpixel((9, 9))[2] > 200  # type: ignore[index]


@pytest.mark.slow
def test_nothing_outside_of_the_folder_is_shown(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    outside = home.folder / "outside"
    outside.mkdir()
    (pictures / "scene-0001.png").rename(outside / "secret.png")
    (pictures / "link.png").symlink_to(outside / "secret.png")
    (pictures / "folder").symlink_to(outside)
    (pictures / "inside.png").symlink_to(pictures / "scene-0002.png")
    visitor = launch().visitor()

    names = [image["name"] for image in visitor.images()]

    assert names == ["inside.png", "scene-0002.png", "scene-0003.png"]
    for path in ("link.png", "folder/secret.png"):
        id = shown(image_id(str(pictures / path)))
        assert visitor.http.get(f"/images/{id}/small").status_code == 404


@pytest.mark.slow
def test_a_picture_that_becomes_a_link_outside_is_refused(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    visitor = launch().visitor()
    image = visitor.image("scene-0001.png")
    (pictures / "scene-0001.png").rename(home.folder / "secret.png")
    (pictures / "scene-0001.png").symlink_to(home.folder / "secret.png")

    response = visitor.http.get(f"/images/{image['id']}/large")

    assert response.status_code == 404
    assert "leaves the opened folder" in response.json()["detail"]


def test_an_unknown_image_or_size_is_gone(visitor: Visitor) -> None:
    (image, *_) = visitor.images()
    for path in (
        "/images/0123456789abcdef/small",
        "/images/..%2f..%2fetc/small",
        f"/images/{image['id']}/original",
        "/api/images/zz",
    ):
        assert visitor.http.get(path).status_code == 404


@pytest.mark.slow
def test_a_damaged_picture_says_why(
    home: Home, pictures: Path, launch: Callable[..., Page]
) -> None:
    (pictures / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    visitor = launch().visitor()

    response = visitor.http.get(f"/images/{visitor.image('damaged.jpg')['id']}/small")

    assert response.status_code == 422
    assert response.json()["code"] == "image_unreadable"


def test_a_copy_is_drawn_once_and_the_cache_is_bounded(tmp_path: Path) -> None:
    for at in range(6):
        Image.effect_noise((300, 300), 90 + at).save(tmp_path / f"{at}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    thumbnails = Thumbnails(tmp_path / "cache", max_bytes=200_000)

    def files() -> list[Path]:
        return list((tmp_path / "cache").rglob("*.jpg"))

    first = thumbnails.make(str(tmp_path / "0.png"), Stamp(1), "small")
    assert thumbnails.make(str(tmp_path / "copy.png"), Stamp(1), "small") == first
    assert len(files()) == 1

    for at in range(6):
        thumbnails.make(str(tmp_path / f"{at}.png"), Stamp(1), "small")
    assert sum(file.stat().st_size for file in files()) <= 200_000
    assert len(files()) > 1
