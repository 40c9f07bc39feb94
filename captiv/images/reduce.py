"""Making a picture smaller before anything else is done to it, and what that takes in memory.

A JPEG's decoder halves by itself. Any other picture comes in full size, and would be there twice or
three times while its transparency is painted or its palette is looked up. So a large one is brought
to 8 bits and averaged band by band, to no less than twice the size that it is to have.
"""

import math
from dataclasses import dataclass
from typing import Final

from PIL import Image

from captiv.images.colour import flattened, mend
from captiv.images.memory import stored_bytes

_LARGE_BYTES: Final = 48 * 1024 * 1024
_BAND_BYTES: Final = 4 * 1024 * 1024
_LEFT: Final = 2
"""So many times the target are left for the fine filter."""

_BY_PIXEL: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})
"""Modes in which a pixel's colour depends on no other pixel's."""
_STAGES: Final = 4
"""So often a picture may be there while it is brought to 8 bits."""
_WORD: Final = 4
_WIDEST: Final = "RGBA"

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """By how much a picture is averaged, across and down, and what all of that takes."""

    factors: tuple[int, int]
    peak_bytes: int


def plan(mode: str, size: tuple[int, int], target: tuple[int, int]) -> Plan:
    """Return how a decoded picture of this mode and size comes to its target's."""
    decoded = stored_bytes(mode, size)
    across, down = (max(1, size[at] // (_LEFT * target[at])) for at in (0, 1))
    if decoded <= _LARGE_BYTES or mode not in _BY_PIXEL or across * down == 1:
        return Plan((1, 1), decoded + (_STAGES - 1) * stored_bytes(_WIDEST, size))
    left = math.ceil(size[0] / across), math.ceil(size[1] / down)
    band = size[0], _rows(size[0], down)
    stage = stored_bytes(_WIDEST, left) + stored_bytes(_WIDEST, band)
    return Plan((across, down), decoded + _STAGES * stage)


def averaged(
    image: Image.Image, factors: tuple[int, int], drafted: Box | None = None
) -> tuple[Image.Image, Box]:
    """Return a loaded picture flattened and averaged, and where in it the picture lies.

    Args:
        image: it.
        factors: by how much, across and down.
        drafted: where it lay before, if its decoder halved it.
    """
    left, top, right, bottom = drafted or (0, 0, *image.size)
    across, down = factors
    box = left / across, top / down, right / across, bottom / down
    if factors == (1, 1):
        return flattened(image), box
    mend(image)
    width, height = image.size
    rows = _rows(width, down)
    whole: Image.Image | None = None
    for first in range(0, height, rows):
        last = min(height, first + rows)
        band = flattened(image.crop((0, first, width, last))).reduce(factors)
        if whole is None:
            whole = Image.new(band.mode, (band.width, math.ceil(height / down)))
        whole.paste(band, (0, first // down))
    assert whole is not None
    return whole, box


def _rows(width: int, down: int) -> int:
    """Return how many rows are in a band: a multiple of what becomes one."""
    return max(1, _BAND_BYTES // (_WORD * width * down)) * down
