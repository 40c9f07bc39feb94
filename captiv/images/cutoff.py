"""Files that end before their picture does: which do, and what of the picture came.

A container says how long its parts are, so that a file which is cut off is known from one that is
damaged, whatever its decoder says of it. What came is had from the decoder itself, file by file:
Pillow's own switch for this holds for the whole process, and another thread may prepare images of
a run that does not want it. The rows that came are those which decode to the same whatever follows
the end of the file, or whatever was in memory before.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Final

from PIL import GifImagePlugin, Image, ImageFile, TiffImagePlugin

from captiv.images import jpeg, png
from captiv.images.budget import Budget
from captiv.images.kinds import DECODERS, Kind
from captiv.images.memory import held_bytes, stored_bytes

GREY: Final = 128
"""What stands where no row came, where the decoder does not say better."""

_OTHER: Final = 255
_NO_LEVELS: Final = frozenset({"1", "P", "PA", "F", "I"})
"""Modes in which a level is no grey: an index, or a number in a range that isn't known yet."""
_FIRST_ROWS: Final = 64
"""What came first is at the top or, in a BMP, at the bottom."""
_SOME_ROWS: Final = 1024
_LEAST_SHARE: Final = 1000
"""If less than one in so many pixels came of a picture that is not packed, nothing did: of a
kilobyte that claims a gigabyte nobody looks for rows."""
_ISO_KINDS: Final = frozenset({Kind.AVIF, Kind.HEIC})
_OFFSETS: Final = ((273, 279), (324, 325))
"""Tags of a TIFF that say where its strips or tiles are, and how long."""

Load = Callable[[ImageFile.ImageFile], None]
"""Loads the pixels of an image that was opened."""


class CutOff(Exception):
    """The file ends before the picture does."""


def load_whole(image: ImageFile.ImageFile) -> None:
    """Load every pixel, or raise what the decoder does."""
    image.load()


def ends_early(kind: Kind, data: bytes) -> bool:
    """Tell whether the file names parts of its picture that lie behind its end."""
    match kind:
        case Kind.WEBP:
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case Kind.TIFF:
            return _tiff_ends_early(data)
        case _ if kind in _ISO_KINDS:
            return any(end > len(data) for end in _box_ends(data))
        case _:
            return False


def completed(kind: Kind, data: bytes, budget: Budget) -> tuple[bytes, Load] | None:
    """Return a file that decodes to what came of this one, and how to load it; None if no row did.

    Not for kinds whose decoder gives nothing of a file that is cut off: AVIF, HEIC, JPEG XL, WebP
    with several pictures. What is decoded on the way counts in the budget.

    Raises: ImageTooLarge.
    """
    match kind:
        case Kind.JPEG:
            whole = jpeg.completed(data)
            came = jpeg.scans(data) > 1 or _has_row(kind, jpeg.continued(data), budget)
            return (whole, load_whole) if whole is not None and came else None
        case Kind.PNG:
            chunks = png.mended(data)
            return (chunks, _load_part) if _has_part(kind, chunks, budget) else None
        case Kind.GIF | Kind.BMP | Kind.DIB | Kind.TIFF:
            return (data, _load_part) if _has_part(kind, data, budget) else None
        case _:
            return None


def _load_part(image: ImageFile.ImageFile, level: int = GREY) -> None:
    """Load what came; the rest is grey, or 0 where no grey is known."""
    if isinstance(image, GifImagePlugin.GifImageFile):
        image._frame_transparency = None  # with it Pillow paints over what is there before
    image.im = Image.new(image.mode, image.size, _colour(image, level)).im
    with suppress(OSError, EOFError, SyntaxError, ValueError, struct.error):
        image.load()
    image.tile = []  # nothing more is to be had of it


def _colour(image: Image.Image, level: int) -> int | tuple[int, ...]:
    if image.mode in _NO_LEVELS and level == GREY:
        level = 0
    bands = image.getbands()
    if len(bands) == 1:
        return level
    return (*(level for _ in bands[1:]), 255 if bands[-1] in "Aa" else level)


def _has_part(kind: Kind, data: bytes, budget: Budget) -> bool:
    """Whether a row comes out the same whatever is there before it is loaded."""
    with DECODERS[kind](BytesIO(data)) as image:
        raw = all(tile.codec_name == "raw" for tile in image.tile)
        if raw and image.width * image.height > _LEAST_SHARE * 8 * len(data):
            return False
    one, other = (_rows_on(kind, data, level, budget) for level in (GREY, _OTHER))
    return any(a == b for a, b in zip(one, other, strict=True))


def _rows_on(kind: Kind, data: bytes, level: int, budget: Budget) -> list[int]:
    """Return the rows (`_rows`) that come out where this level was before."""
    with (
        DECODERS[kind](BytesIO(data)) as image,
        budget.taken(image.size, _loaded_bytes(image, kind, image.size)),
    ):
        _load_part(image, level)
        return _rows(image)


def _has_row(kind: Kind, continued: Iterable[bytes], budget: Budget) -> bool:
    """Whether the first row comes out the same however the file goes on."""
    first: set[int] = set()
    for data in continued:
        with DECODERS[kind](BytesIO(data)) as image:
            full = image.size
            image.draft(None, (1, 1))  # the first row of blocks, one pixel high, is enough
            with budget.taken(full, _loaded_bytes(image, kind, full)):
                image.load()
                first.add(_row(image, 0))
    return len(first) == 1


def _loaded_bytes(image: ImageFile.ImageFile, kind: Kind, full: tuple[int, int]) -> int:
    return stored_bytes(image.mode, image.size) + held_bytes(image, kind, full)


def _rows(image: Image.Image) -> list[int]:
    """Return a hash of each row where one comes first, and of some of all others."""
    height = image.height
    first, last = range(min(_FIRST_ROWS, height)), range(max(0, height - _FIRST_ROWS), height)
    some = range(0, height, max(1, height // _SOME_ROWS))
    return [_row(image, y) for y in sorted({*first, *last, *some})]


def _row(image: Image.Image, y: int) -> int:
    return hash(image.crop((0, y, image.width, y + 1)).tobytes())


def _tiff_ends_early(data: bytes) -> bool:
    order = "<" if data[:2] == b"II" else ">"
    at = 8 if data[2:4] in (b"+\0", b"\0+") else 4
    (directory,) = struct.unpack_from(order + ("Q" if at == 8 else "I"), data.ljust(16, b"\0"), at)
    if directory + 2 > len(data):
        return True
    try:
        with DECODERS[Kind.TIFF](BytesIO(data)) as image:
            assert isinstance(image, TiffImagePlugin.TiffImageFile)
            tags = image.tag_v2
            return any(
                offset + length > len(data)
                for offsets, lengths in _OFFSETS
                for offset, length in zip(
                    tags.get(offsets, ()), tags.get(lengths, ()), strict=False
                )
            )
    except Exception:  # the decoder has said already what is wrong with it
        return False


def _box_ends(data: bytes) -> Iterator[int]:
    """Yield where each box on the outside of an ISO media file ends."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16])
        at = len(data) if length == 0 else at + max(length, 8)
        yield at
