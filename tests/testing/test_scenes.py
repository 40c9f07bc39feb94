"""Drawn scenes: seeded, grammatical, and true to the files that are written."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from captiv.images.drawn import COLOURS
from captiv.testing.scenes import (
    NUMBERS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Group,
    Relation,
    Scene,
    Single,
    Thing,
    draw,
    scene,
    scenes,
    words,
    write_scenes,
)

SHAPES_MODEL = Path(__file__).parents[2] / "worker/captiv_worker/weights/shapes"


def some_scenes(count: int = 3000) -> list[Scene]:
    rng = random.Random(11)
    return [scene(rng) for _ in range(count)]


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


@pytest.mark.parametrize(
    ("shown", "caption"),
    [
        (Single(Thing("red", "circle"), "large", "at the top"), "a large red circle at the top"),
        (Single(Thing("orange", "star"), "", "on the left"), "an orange star on the left"),
        (
            Single(Thing("orange", "star"), "small", "in the centre"),
            "a small orange star in the centre",
        ),
        (
            Relation(Thing("orange", "cross"), "above", Thing("orange", "square")),
            "an orange cross above an orange square",
        ),
        (Group(3, Thing("green", "cross")), "three green crosses"),
    ],
)
def test_caption_reads_as_english(shown: Scene, caption: str) -> None:
    assert shown.caption == caption


def test_the_article_is_an_before_a_vowel_and_a_otherwise() -> None:
    text = "\n".join(shown.caption for shown in some_scenes())

    assert not re.search(r"\ba [aeiou]", text)
    assert not re.search(r"\ban [^aeiou]", text)


def test_every_choice_occurs() -> None:
    found = some_scenes()

    singles = [shown for shown in found if isinstance(shown, Single)]
    groups = [shown for shown in found if isinstance(shown, Group)]
    pairs = [shown for shown in found if isinstance(shown, Relation)]
    assert {shown.size for shown in singles} == set(SIZES)
    assert {shown.place for shown in singles} == set(PLACES)
    assert {shown.number for shown in groups} == set(NUMBERS)
    assert {shown.relation for shown in pairs} == set(RELATIONS)
    assert {(shown.thing.colour, shown.thing.shape) for shown in groups} == {
        (colour, shape) for colour in COLOURS for shape in SHAPES
    }


def test_a_relation_is_between_different_things() -> None:
    pairs = [shown for shown in some_scenes() if isinstance(shown, Relation)]

    assert all(pair.first != pair.second for pair in pairs)


def test_words_are_those_of_the_captions() -> None:
    used = {word for shown in some_scenes() for word in shown.caption.split()}

    assert words() == tuple(sorted(used))


def test_the_model_shapes_has_every_word_in_its_vocabulary() -> None:
    vocabulary = json.loads((SHAPES_MODEL / "tokenizer.json").read_text(encoding="utf-8"))

    assert set(words()) <= set(vocabulary["model"]["vocab"])


def test_same_seed_gives_the_same_pictures_and_captions() -> None:
    once = [(shown, picture.tobytes()) for shown, picture in scenes(seed=7, count=9)]
    again = [(shown, picture.tobytes()) for shown, picture in scenes(seed=7, count=9)]

    assert once == again


def test_another_seed_gives_other_pictures_and_captions() -> None:
    one = list(scenes(seed=7, count=9))
    other = list(scenes(seed=8, count=9))

    assert [shown for shown, _ in one] != [shown for shown, _ in other]
    assert not {picture.tobytes() for _, picture in one} & {
        picture.tobytes() for _, picture in other
    }


def test_a_picture_does_not_depend_on_how_many_are_asked_for() -> None:
    few = [picture.tobytes() for _, picture in scenes(seed=7, count=3)]
    many = [picture.tobytes() for _, picture in scenes(seed=7, count=6)]

    assert many[:3] == few


def test_scenes_stay_what_they_are_from_version_to_version() -> None:
    captions = [shown.caption for shown, _ in scenes(seed=7, count=3)]

    assert captions == ["four red circles", "a yellow square on the right", "four black triangles"]


@pytest.mark.parametrize("size_px", [64, 100, 257])
def test_a_picture_is_rgb_and_of_the_asked_size(size_px: int) -> None:
    picture = draw(Group(5, Thing("blue", "star")), random.Random(1), size_px)

    assert (picture.mode, picture.size) == ("RGB", (size_px, size_px))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_an_object_is_painted_in_its_colour_where_it_lies(colour: str, shape: str) -> None:
    shown = Single(Thing(colour, shape), "large", "in the centre")

    picture = draw(shown, random.Random(5), size_px=200)

    middle = picture.crop((90, 90, 110, 110)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(middle, tuple)
    nearest = min(
        COLOURS,
        key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], middle, strict=True)),
    )
    assert nearest == colour


def test_the_layout_is_the_same_at_every_size() -> None:
    shown = Relation(Thing("red", "circle"), "left of", Thing("blue", "square"))

    small = draw(shown, random.Random(3), size_px=128)
    large = draw(shown, random.Random(3), size_px=512).resize(small.size, Image.Resampling.BOX)

    differences = [abs(a - b) for a, b in zip(small.tobytes(), large.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 3


def test_truth_names_every_written_file(tmp_path: Path) -> None:
    truth = write_scenes(tmp_path, seed=7, count=5)

    assert list(truth) == [f"scene-000{number}.png" for number in range(1, 6)]
    assert set(files_below(tmp_path)) == set(truth)


def test_written_pictures_are_the_scenes_of_the_truth(tmp_path: Path) -> None:
    truth = write_scenes(tmp_path, seed=7, count=5)

    expected = [(shown.caption, picture.tobytes()) for shown, picture in scenes(7, 5)]
    written = [(caption, opened(tmp_path / name).tobytes()) for name, caption in truth.items()]
    assert written == expected


def test_written_files_are_the_same_again(tmp_path: Path) -> None:
    formats = ("png", "jpg", "webp")

    one = write_scenes(tmp_path / "one", seed=7, count=6, nested=True, formats=formats)
    other = write_scenes(tmp_path / "other", seed=7, count=6, nested=True, formats=formats)

    assert one == other
    assert files_below(tmp_path / "one") == files_below(tmp_path / "other")


def test_nested_puts_each_kind_in_its_folder(tmp_path: Path) -> None:
    truth = write_scenes(tmp_path, seed=7, count=12, nested=True)

    assert set(files_below(tmp_path)) == set(truth)
    assert {Path(name).parent.name for name in truth} == {"single", "relation", "group"}


def test_formats_take_turns_and_say_what_they_are(tmp_path: Path) -> None:
    truth = write_scenes(tmp_path, seed=7, count=4, formats=("jpg", "webp"))

    formats = [opened(tmp_path / name).format for name in truth]
    assert formats == ["JPEG", "WEBP", "JPEG", "WEBP"]
    assert list(truth) == ["scene-0001.jpg", "scene-0002.webp", "scene-0003.jpg", "scene-0004.webp"]


def test_the_command_writes_pictures_and_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "captiv.testing.scenes", str(tmp_path / "pictures")]
    options = ["--seed", "9", "--count", "4", "--nested", "--truth", str(tmp_path / "truth.json")]

    subprocess.run([*command, *options], check=True, capture_output=True, timeout=30)

    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert list(truth.values()) == [shown.caption for shown, _ in scenes(9, 4)]
    assert set(files_below(tmp_path / "pictures")) == set(truth)
