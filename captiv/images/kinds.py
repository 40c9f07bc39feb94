"""What a file is, told by its first bytes and never by its name.

Only these kinds are ever decoded: each further decoder is one more way in for a hostile file. The
classes are called directly instead of through `Image.open`, so that nothing depends on Pillow's
process-wide plugin registry, and the later frames of a phone's MPO file, a JPEG with more JPEGs
behind it, are never parsed.
"""

import string
from contextlib import suppress
from enum import StrEnum
from typing import Final

from PIL import (
    AvifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from captiv.images import jpeg, libtiff
from captiv.images.bmp import BmpImageFile, DibImageFile
from captiv.images.gif import GifImageFile
from captiv.images.heic import HeicImageFile


class Kind(StrEnum):
    """A kind of image that captiv decodes."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    BMP = "BMP"
    DIB = "DIB"
    TIFF = "TIFF"
    AVIF = "AVIF"
    HEIC = "HEIC"
    JXL = "JPEG XL"


DECODERS: Final[dict[Kind, type[ImageFile.ImageFile]]] = {
    Kind.JPEG: JpegImagePlugin.JpegImageFile,
    Kind.PNG: PngImagePlugin.PngImageFile,
    Kind.WEBP: WebPImagePlugin.WebPImageFile,
    Kind.GIF: GifImageFile,
    Kind.BMP: BmpImageFile,
    Kind.DIB: DibImageFile,
    Kind.TIFF: libtiff.TiffImageFile,
    Kind.AVIF: AvifImagePlugin.AvifImageFile,
    Kind.HEIC: HeicImageFile,
}

with suppress(ImportError):  # the extra `jxl`
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    DECODERS[Kind.JXL] = JXLImageFile

libtiff.set_up()

_MAGIC: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"BM", Kind.BMP),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
    (b"II+\0", Kind.TIFF),
    (b"MM\0+", Kind.TIFF),
)

_OTHERS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the image itself: run `git lfs pull`"),
    (b"%pdf", "is a PDF document, not an image"),
    (b"8bps", "is a Photoshop document, which captiv does not read: save it as PNG"),
    (b"\0\0\0\x0cjp  ", "is a JPEG 2000 picture, which captiv does not read: save it as PNG"),
    (b"\0\0\1\0", "is a Windows icon, which captiv does not read: save it as PNG"),
    (b"pk\3\4", "is a ZIP archive, not an image"),
    (b"<!doctype html", "is a web page, not an image"),
    (b"<html", "is a web page, not an image"),
    (b"<svg", "is an SVG drawing, which captiv does not read: save it as PNG"),
)

_JXL: Final = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
_NO_JXL: Final = (
    "is a JPEG XL picture, which captiv reads with its extra jxl: pip install 'captiv[jxl]', "
    "or save it as PNG"
)

_HEIF_BRANDS: Final = frozenset(
    {
        *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        *(b"mif1", b"msf1"),
    }
)
_TEXT: Final = frozenset(string.printable.encode()) - {0x0B, 0x0C} | frozenset(range(0x80, 0x100))
_LOOKED_AT_BYTES: Final = 4096


def kind_of(data: bytes) -> Kind | None:
    """Return the kind of image that `data` begins as, or None."""
    head = data[:_LOOKED_AT_BYTES]
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if jpeg.begins(head):
        return Kind.JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind.WEBP
    brands = _brands(head)
    if {b"avif", b"avis"} & brands:
        return Kind.AVIF
    if brands & _HEIF_BRANDS:
        return Kind.HEIC
    if head.startswith(_JXL) and Kind.JXL in DECODERS:
        return Kind.JXL
    if head.startswith(b"\x28\0\0\0") and head[12:14] == b"\1\0":
        return Kind.DIB
    return None


def unknown_kind(data: bytes) -> str:
    """Return what a file is that is no image of captiv's kinds: the end of "the file …"."""
    head = data[:_LOOKED_AT_BYTES]
    if not head:
        return "is empty"
    if not head.strip(b"\0") and not data.strip(b"\0"):
        return "holds nothing but zero bytes"
    if head.startswith(_JXL):
        return _NO_JXL
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, sentence in _OTHERS:
        if start.startswith(magic):
            return sentence
    if start.startswith(b"<?xml") and b"<svg" in start:
        return "is an SVG drawing, which captiv does not read: save it as PNG"
    if _brands(head):
        return "is a film, not an image"
    if _TEXT.issuperset(head):
        return "is text, not an image"
    return "is no image of a kind that captiv knows"


def is_lossless(kind: Kind, data: bytes, compression: object) -> bool:
    """Tell whether the file keeps every pixel as drawn; `compression` is Pillow's word for TIFF."""
    match kind:
        case Kind.JPEG | Kind.AVIF | Kind.HEIC | Kind.JXL:
            return False
        case Kind.WEBP:
            return data[12:16] == b"VP8L"
        case Kind.TIFF:
            return compression not in ("jpeg", "tiff_jpeg", "webp")
        case _:
            return True


def _brands(head: bytes) -> frozenset[bytes]:
    """Return the major and compatible brands of an ISO media file, none for anything else."""
    if head[4:8] != b"ftyp":
        return frozenset()
    box = head[8 : min(int.from_bytes(head[:4]), 256)]
    return frozenset(box[at : at + 4] for at in range(0, len(box), 4) if at != 4)
