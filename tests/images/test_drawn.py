"""Which pictures are taken for captiv's own drawn scenes."""

import io
import random

import pytest
from PIL import Image, ImageDraw, ImageFilter

from captiv.catalog import family_named
from captiv.images.drawn import is_drawn_scene
from captiv.images.prepare import prepare
from captiv.testing.scenes import SAVING, scenes


def sent(picture: Image.Image, ending: str = "png") -> bytes:
    """Return what a worker gets of this picture."""
    family = family_named("shapes")
    assert family is not None
    out = io.BytesIO()
    name, how = SAVING[ending]
    picture.save(out, name, **how)
    return prepare(out.getvalue(), family.image).data


@pytest.mark.parametrize("ending", SAVING)
def test_every_scene_is_one(ending: str) -> None:
    for at, (scene, picture) in enumerate(scenes(11, 60)):
        assert is_drawn_scene(sent(picture, ending)), (at, scene.caption)


def test_a_scene_of_another_size_or_a_coarse_jpeg_is_one() -> None:
    for (scene, large), (_, small) in zip(scenes(3, 12, 640), scenes(3, 12, 96), strict=True):
        coarse = io.BytesIO()
        large.save(coarse, "JPEG", quality=50)
        for picture in (large, small, Image.open(coarse).convert("RGB")):
            assert is_drawn_scene(sent(picture)), scene.caption


def landscape(size: tuple[int, int]) -> Image.Image:
    """A photograph, as far as one can be made: a sky, a hill, much that is fine."""
    chance = random.Random(2)
    sky = Image.linear_gradient("L").resize(size)
    picture = Image.merge(
        "RGB", (sky, sky.point(lambda v: 90 + v // 2), sky.point(lambda v: 255 - v // 4))
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(400):
        x, y = chance.randrange(size[0]), chance.randrange(size[1] // 2, size[1])
        shade = chance.randrange(20, 90)
        pen.ellipse((x, y, x + 14, y + 9), (shade, shade + 40, shade // 2))
    return picture.filter(ImageFilter.GaussianBlur(1))


def portrait() -> Image.Image:
    """A face before a pale wall."""
    picture = Image.new("RGB", (300, 300), (224, 220, 214))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((90, 60, 210, 220), (224, 178, 150))
    pen.rectangle((60, 220, 240, 300), (70, 82, 110))
    return picture.filter(ImageFilter.GaussianBlur(3))


def page_of_text(paper: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(picture)
    for y in range(10, size[1] - 20, 14):
        pen.text(
            (12, y), "File  Edit  View  The quick brown fox jumps over the lazy dog", (30, 30, 30)
        )
    return picture


OTHERS = {
    "a landscape": landscape((400, 300)),
    "a square landscape": landscape((300, 300)),
    "a portrait before a pale wall": portrait(),
    "noise": Image.frombytes("RGB", (256, 256), random.Random(1).randbytes(3 * 256 * 256)),
    "grey noise": Image.effect_noise((256, 256), 60).convert("RGB"),
    "a white sheet": Image.new("RGB", (256, 256), "white"),
    "a pale sheet": Image.new("RGB", (256, 256), (225, 225, 222)),
    "a red sheet": Image.new("RGB", (256, 256), (212, 40, 44)),
    "a page of text": page_of_text((255, 255, 255), (300, 300)),
    "a pale page of text": page_of_text((228, 226, 220), (300, 300)),
    "a screen": page_of_text((240, 240, 240), (480, 300)),
    "a strip": Image.new("RGB", (400, 8), (225, 225, 222)),
    "a pixel": Image.new("RGB", (1, 1), (225, 225, 222)),
    "a scene that is cut": next(iter(scenes(4, 1)))[1].crop((0, 0, 256, 180)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_pictures_are_none(what: str) -> None:
    assert not is_drawn_scene(sent(OTHERS[what]))
