"""Whether a picture is one of captiv's own drawn scenes, which the built-in model describes.

A scene is one to five plain shapes, of one or two of a few colours, on a square of pale paper: so
are no photographs, documents or pictures of a screen, and hardly any other drawings.
"""

from io import BytesIO
from typing import Final

from PIL import Image, ImageStat

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (212, 40, 44),
    "orange": (244, 138, 22),
    "yellow": (248, 218, 44),
    "green": (44, 158, 72),
    "blue": (42, 92, 208),
    "purple": (142, 62, 172),
    "brown": (122, 74, 42),
    "black": (30, 30, 34),
}
"""What each colour word means, as 8-bit RGB, before a scene varies it a little."""

_SIDE_PX: Final = 48
_PALEST: Final = (200, 245)
"""Between these is each channel of the paper (211 to 238 in 600 scenes); a white page is paler."""
_NEAR: Final = 34
"""No further is what is drawn from its colour: its variation, the grain and a coarse JPEG."""
_LEAST_PAPER: Final = 0.68
_LEAST_PAINT: Final = 0.003
_MOST_ELSE: Final = 0.10
"""Edges, where shape and paper mix. Over 600 scenes paper took 0.73 and more, paint 0.0048 and
more, edges 0.074 and less, as PNG and as JPEG of quality 50."""
_MOST_COLOURS: Final = 2

_Pixel = tuple[float, ...]


def is_drawn_scene(data: bytes) -> bool:
    """Tell whether a picture, encoded as it is sent, may be one of captiv's drawn scenes."""
    with Image.open(BytesIO(data)) as picture:
        if abs(picture.width - picture.height) > 1:
            return False
        small = picture.convert("RGB").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    paper = tuple(ImageStat.Stat(small).median)
    if not all(_PALEST[0] <= level <= _PALEST[1] for level in paper):
        return False
    pixels: list[_Pixel] = list(zip(*(band.tobytes() for band in small.split()), strict=True))
    drawn = [pixel for pixel in pixels if not _near(pixel, paper)]
    painted = _painted(drawn)
    return (
        len(pixels) - len(drawn) >= _LEAST_PAPER * len(pixels)
        and painted >= _LEAST_PAINT * len(pixels)
        and len(drawn) - painted <= _MOST_ELSE * len(pixels)
    )


def _painted(drawn: list[_Pixel]) -> int:
    """Return how many pixels have one of the colours that most of them have."""
    by_colour = [{at for at, p in enumerate(drawn) if _near(p, c)} for c in COLOURS.values()]
    commonest = sorted(by_colour, key=len, reverse=True)[:_MOST_COLOURS]
    return len(set().union(*commonest))


def _near(one: _Pixel, other: _Pixel) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))
