"""Drawn scenes with known captions: pictures to caption, and the truth to check the captions by.

A scene is a few words about plain shapes ("two black stars", "a red circle left of a blue square").
`Scene.caption` says it in English and `draw` makes a picture of it. The model `shapes` is trained
on these scenes (scripts/train_shapes.py), so a test can ask whether a caption is right, and not
only whether one came back.

Everything follows from the seed. Each picture of a set has a random source of its own, so picture 7
is the same in a set of ten and of a million. Machines agree too: positions are whole thousandths
of the side (‰), and nothing here calls the C maths library, whose last digit varies.

    python -m captiv.testing.scenes pictures --seed 7 --count 12 --truth truth.json
"""

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, assert_never

from PIL import Image, ImageChops, ImageDraw

from captiv.images.drawn import COLOURS

SHAPES: Final[dict[str, str]] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "cross": "crosses",
}
"""The shapes, each with its plural."""

SIZES: Final[dict[str, tuple[int, int]]] = {
    "small": (85, 105),
    "": (150, 172),
    "large": (225, 255),
}
"""Least and greatest radius in ‰ for each size word; a size between the two is not spoken of."""

PLACES: Final[dict[str, tuple[int, int]]] = {
    "at the top left": (220, 220),
    "at the top": (500, 220),
    "at the top right": (780, 220),
    "on the left": (220, 500),
    "in the centre": (500, 500),
    "on the right": (780, 500),
    "at the bottom left": (220, 780),
    "at the bottom": (500, 780),
    "at the bottom right": (780, 780),
}
"""Where the middle of a lone object lies, (x, y) in ‰ from the top left."""

RELATIONS: Final = ("left of", "above")
"""Only one word of each pair: "right of" and "below" would give every picture two true captions."""

NUMBERS: Final[dict[int, str]] = {2: "two", 3: "three", 4: "four", 5: "five"}

POLYGONS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "square": ((-860, -860), (860, -860), (860, 860), (-860, 860)),
    "triangle": ((0, -980), (980, 800), (-980, 800)),
    "star": (
        *((0, -1000), (247, -340), (951, -309), (399, 130), (588, 809)),
        *((0, 420), (-588, 809), (-399, 130), (-951, -309), (-247, -340)),
    ),
    "cross": (
        *((-310, -960), (310, -960), (310, -310), (960, -310), (960, 310), (310, 310)),
        *((310, 960), (-310, 960), (-310, 310), (-960, 310), (-960, -310), (-310, -310)),
    ),
}
"""Corners (x, y) around the middle, in thousandths of the radius; a circle needs none."""

COLOUR_JITTER: Final = 14
BACKGROUND: Final = (204, 244)
GRAIN_CELLS: Final = 64
GRAIN: Final = 9
OVERSAMPLING: Final = 4

SAVING: Final[dict[str, tuple[str, dict[str, int]]]] = {
    "png": ("PNG", {"compress_level": 1}),
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 95}),
}
"""For each file name ending: Pillow's name of the format, and how it is saved."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape of one colour."""

    colour: str
    shape: str


@dataclass(frozen=True, slots=True)
class Single:
    """One object: how large it is, and where it lies."""

    kind: ClassVar[str] = "single"
    thing: Thing
    size: str
    place: str

    @property
    def caption(self) -> str:
        """What a picture of the scene shows: "a small orange star at the top left"."""
        return f"{_with_article(self.thing, self.size)} {self.place}"


@dataclass(frozen=True, slots=True)
class Relation:
    """Two different objects, and how the first lies to the second."""

    kind: ClassVar[str] = "relation"
    first: Thing
    relation: str
    second: Thing

    @property
    def caption(self) -> str:
        """What a picture of the scene shows: "a red circle left of a blue square"."""
        return f"{_with_article(self.first)} {self.relation} {_with_article(self.second)}"


@dataclass(frozen=True, slots=True)
class Group:
    """Two to five of the same object."""

    kind: ClassVar[str] = "group"
    number: int
    thing: Thing

    @property
    def caption(self) -> str:
        """What a picture of the scene shows: "three green stars"."""
        return f"{NUMBERS[self.number]} {self.thing.colour} {SHAPES[self.thing.shape]}"


Scene = Single | Relation | Group


@dataclass(frozen=True, slots=True)
class Mark:
    """An object as it is drawn: its middle and radius in ‰ of the side."""

    thing: Thing
    x: int
    y: int
    radius: int


def scene(rng: random.Random) -> Scene:
    """Choose a scene: the three kinds, and within each all choices, are equally likely."""
    kind = rng.choice((Single, Relation, Group))
    if kind is Single:
        return Single(_thing(rng), rng.choice(tuple(SIZES)), rng.choice(tuple(PLACES)))
    if kind is Group:
        return Group(rng.choice(tuple(NUMBERS)), _thing(rng))
    first = second = _thing(rng)
    while second == first:  # a pair of the same thing would be a group of two
        second = _thing(rng)
    return Relation(first, rng.choice(RELATIONS), second)


def words() -> tuple[str, ...]:
    """Every word a caption can have, sorted, each once."""
    phrases = (*COLOURS, *SHAPES, *SHAPES.values(), *SIZES, *PLACES, *RELATIONS, *NUMBERS.values())
    return tuple(sorted({"a", "an", *" ".join(phrases).split()}))


def draw(scene: Scene, rng: random.Random, size_px: int = 256) -> Image.Image:
    """Make a picture of the scene: mode RGB, `size_px` square, in about 2 ms at 256.

    The layout does not depend on `size_px`: the same state of `rng` gives the same picture, finer.
    """
    marks = _layout(scene, rng)
    picture = _background(rng, size_px)
    for mark in marks:
        side_px = max(1, 2 * mark.radius * size_px // 1000)
        corner = (mark.x * size_px // 1000 - side_px // 2, mark.y * size_px // 1000 - side_px // 2)
        picture.paste(_paint(mark.thing, rng), corner, _stencil(mark.thing.shape, side_px))
    return _grained(picture, rng)


def scenes(seed: int, count: int, size_px: int = 256) -> Iterator[tuple[Scene, Image.Image]]:
    """Yield the first `count` scenes of a seed with their pictures, always the same ones."""
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        found = scene(rng)
        yield found, draw(found, rng, size_px)


def write_scenes(
    folder: Path,
    seed: int,
    count: int,
    *,
    nested: bool = False,
    formats: Sequence[str] = ("png",),
) -> dict[str, str]:
    """Write pictures `scene-0001.png` and on; return relative path (with `/`) → true caption.

    `nested` puts each kind of scene in a folder of its own. The `formats` (endings, see `SAVING`)
    take turns. Other files in the folder are left alone; no caption files are written.
    """
    truth: dict[str, str] = {}
    for index, (found, picture) in enumerate(scenes(seed, count)):
        ending = formats[index % len(formats)]
        parent = Path(found.kind) if nested else Path()
        path = parent / f"scene-{index + 1:04d}.{ending}"
        (folder / parent).mkdir(parents=True, exist_ok=True)
        format_name, options = SAVING[ending]
        picture.save(folder / path, format_name, **options)
        truth[path.as_posix()] = found.caption
    return truth


def _thing(rng: random.Random) -> Thing:
    return Thing(rng.choice(tuple(COLOURS)), rng.choice(tuple(SHAPES)))


def _with_article(thing: Thing, size: str = "") -> str:
    phrase = f"{size} {thing.colour} {thing.shape}".lstrip()
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _layout(scene: Scene, rng: random.Random) -> tuple[Mark, ...]:
    match scene:
        case Single():
            return (_lone(scene, rng),)
        case Relation():
            return _pair(scene, rng)
        case Group():
            return _scattered(scene, rng)
        case _:
            assert_never(scene)


def _lone(scene: Single, rng: random.Random) -> Mark:
    radius = rng.randint(*SIZES[scene.size])
    x, y = (
        min(max(middle + rng.randint(-30, 30), radius + 10), 990 - radius)
        for middle in PLACES[scene.place]
    )
    return Mark(scene.thing, x, y, radius)


def _pair(scene: Relation, rng: random.Random) -> tuple[Mark, Mark]:
    across = rng.randint(300, 700)
    marks = []
    for thing, (least, most) in ((scene.first, (210, 290)), (scene.second, (710, 790))):
        along, off = rng.randint(least, most), across + rng.randint(-50, 50)
        x, y = (along, off) if scene.relation == "left of" else (off, along)
        marks.append(Mark(thing, x, y, rng.randint(130, 190)))
    first, second = marks
    return first, second


def _scattered(scene: Group, rng: random.Random) -> tuple[Mark, ...]:
    """Place the group on a jittered grid of three by three, so that its members never touch."""
    return tuple(
        Mark(
            scene.thing,
            170 + 330 * (cell % 3) + rng.randint(-28, 28),
            170 + 330 * (cell // 3) + rng.randint(-28, 28),
            rng.randint(108, 132),
        )
        for cell in rng.sample(range(9), scene.number)
    )


def _background(rng: random.Random, size_px: int) -> Image.Image:
    """Make a sheet of unevenly tinted pale paper."""
    least, most = BACKGROUND
    shade = [rng.randint(least + 12, most - 12) for _ in "RGB"]
    patches = bytes(level + rng.randint(-12, 12) for _ in range(16) for level in shade)
    paper = Image.frombytes("RGB", (4, 4), patches)
    return paper.resize((size_px, size_px), Image.Resampling.BILINEAR)


def _paint(thing: Thing, rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = (
        min(max(level + rng.randint(-COLOUR_JITTER, COLOUR_JITTER), 0), 255)
        for level in COLOURS[thing.colour]
    )
    return red, green, blue


def _stencil(shape: str, side_px: int) -> Image.Image:
    """Cut the shape out of a mask with soft edges: mode L, `side_px` square."""
    fine_px = side_px * OVERSAMPLING
    mask = Image.new("L", (fine_px, fine_px))
    pen = ImageDraw.Draw(mask)
    if shape == "circle":
        pen.ellipse((0, 0, fine_px - 1, fine_px - 1), fill=255)
    else:
        corners = POLYGONS[shape]
        pen.polygon(
            [((1000 + x) * fine_px // 2000, (1000 + y) * fine_px // 2000) for x, y in corners],
            fill=255,
        )
    return mask.reduce(OVERSAMPLING)


def _grained(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Lay a film of coloured grain over the picture, equally coarse at any size."""
    levels = [byte * (2 * GRAIN + 1) // 256 for byte in range(256)]
    noise = rng.randbytes(3 * GRAIN_CELLS * GRAIN_CELLS)
    grain = Image.frombytes("RGB", (GRAIN_CELLS, GRAIN_CELLS), noise).point(levels * 3)
    return ImageChops.add(
        picture, grain.resize(picture.size, Image.Resampling.BILINEAR), offset=-GRAIN
    )


def compare(folder: Path, truth: Mapping[str, str]) -> int:
    """Return how many pictures have a sidecar that says exactly what is drawn."""
    sidecars = {name: (folder / name).with_suffix(".txt") for name in truth}
    texts = {n: path.read_text("utf-8") if path.exists() else None for n, path in sidecars.items()}
    return sum(texts[name] == caption for name, caption in truth.items())


def main() -> None:
    """Write a set of pictures, or compare their sidecars with the truth, from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m captiv.testing.scenes",
        description="Draw pictures whose captions are known.",
    )
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--nested", action="store_true", help="a folder for each kind of scene")
    parser.add_argument(
        "--format",
        action="append",
        choices=tuple(SAVING),
        help="may be given again: they take turns",
    )
    parser.add_argument("--truth", type=Path, help="write path → caption here, as JSON")
    parser.add_argument(
        "--compare", action="store_true", help="draw nothing: hold the sidecars against --truth"
    )
    asked = parser.parse_args()
    if asked.compare:
        truth = json.loads(asked.truth.read_text("utf-8"))
        right = compare(asked.folder, truth)
        print(f"{right} of {len(truth)} captions are exact")  # noqa: T201
        return
    formats = tuple(asked.format or ("png",))
    truth = write_scenes(
        asked.folder, asked.seed, asked.count, nested=asked.nested, formats=formats
    )
    if asked.truth is not None:
        asked.truth.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    print(f"{len(truth)} pictures in {asked.folder}")  # noqa: T201  this module is also a command


if __name__ == "__main__":
    main()
