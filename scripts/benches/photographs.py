"""Made-up photographs: pictures with detail of every size, as JPEG cameras write them."""

import random
from pathlib import Path
from typing import Final

from PIL import Image

WIDTHS: Final = (512, 768, 1024, 1536, 2048)
_SHAPES: Final = ((1, 1), (4, 3), (16, 9))


def write_photographs(folder: Path, count: int, size: tuple[int, int] | None = None) -> None:
    """Write `count` JPEGs of quality 90; without `size`, from 0.15 to 4.2 megapixels.

    Each is a sum of noise in which every octave weighs half of the one below it.
    """
    folder.mkdir()
    chance = random.Random(3)
    grounds = [_noise(edge) for edge in (4, 16, 64, 256, 1024)]
    for number in range(count):
        edges = size or _drawn_size(chance)
        picture = Image.new("RGB", edges, "grey")
        for weight, ground in enumerate(chance.sample(grounds, len(grounds)), 2):
            turned = ground.rotate(chance.choice((0, 90, 180, 270)))
            picture = Image.blend(picture, turned.resize(edges), 1 / weight)
        picture.save(folder / f"{number:06}.jpg", quality=90)


def _drawn_size(chance: random.Random) -> tuple[int, int]:
    width = chance.choice(WIDTHS)
    wide, high = chance.choice(_SHAPES)
    return width, width * high // wide


def _noise(edge: int) -> Image.Image:
    bands = [Image.effect_noise((edge, edge), 90) for _ in range(3)]
    return Image.merge("RGB", bands)
