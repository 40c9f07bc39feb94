"""What pictures take in memory, and what their decoders hold beside them."""

from typing import Final

from PIL import ImageFile, JpegImagePlugin

from captiv.images import bmp
from captiv.images.kinds import Kind

_ONE_BYTE: Final = frozenset({"1", "L", "P"})
_WORD: Final = 4
_POINTER_BYTES: Final = 8
"""Pillow keeps where each row is: a grey picture of one column takes nine bytes for each of its
pixels."""
_COEFFICIENT_BYTES: Final = 2
_COPYING: Final = frozenset({Kind.WEBP, Kind.AVIF, Kind.HEIC, Kind.JXL})


def stored_bytes(mode: str, size: tuple[int, int]) -> int:
    """Return what a picture of this mode and size takes."""
    width, height = size
    return height * (width * (1 if mode in _ONE_BYTE else _WORD) + _POINTER_BYTES)


def held_bytes(image: ImageFile.ImageFile, kind: Kind, full: tuple[int, int]) -> int:
    """Return what a decoder holds beside the picture that it gives; `full` is the file's size.

    That of a JPEG in several scans keeps every coefficient until it has read the last; others give
    a copy of what they hold.
    """
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return full[0] * full[1] * image.layers * _COEFFICIENT_BYTES * _has_scans(image)
    copying = kind in _COPYING or any(tile.codec_name == bmp.RUNS for tile in image.tile)
    return full[0] * full[1] * _WORD * copying


def _has_scans(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Tell if a JPEG, just opened (Pillow stops behind the header of the first scan), has more."""
    assert image.fp is not None
    whole = 6 + 2 * image.layers  # length of the header of a scan that holds every component
    image.fp.seek(max(0, image.fp.tell() - whole))
    header = image.fp.read(3)
    return bool(image.info.get("progressive")) or header != bytes((0, whole, image.layers))
