"""Small whole files of every kind that captiv decodes, as writers differ: what is mutated."""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageCms, PngImagePlugin

from captiv.images.kinds import DECODERS, Kind, kind_of

HEICS: Final = Path(__file__).parents[1] / "data"
"""pi-heif can't write any."""
LARGEST_BYTES: Final = 64 * 1024
"""A larger file of a folder is no seed: most of its bytes are coded pixels."""
_SIZE: Final = (40, 30)
_TIFF_TYPES: Final = {3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole file."""

    name: str
    kind: Kind
    data: bytes


@cache
def seeds(*folders: Path) -> tuple[Seed, ...]:
    """Return the seeds made here, and the small images of the folders."""
    files = [(name, data) for name, data in _made()]
    for folder in (HEICS, *folders):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files += [(path.name, path.read_bytes()) for path in paths]
    found = ((name, kind_of(data), data) for name, data in files if len(data) <= LARGEST_BYTES)
    return tuple(Seed(name, kind, data) for name, kind, data in found if kind is not None)


def _made() -> Iterator[tuple[str, bytes]]:
    for makes in (_jpegs, _pngs, _gifs, _webps, _bitmaps, _tiffs, _avifs, _jxls):
        for name, data in makes():
            yield f"{makes.__name__.strip('_s')} {name}", data


def _picture(mode: str = "RGB", number: int = 0) -> Image.Image:
    grain = random.Random(number).randbytes(4 * 10 * 8)
    small = Image.frombytes("RGBA", (10, 8), grain)
    rgba = small.resize(_SIZE, Image.Resampling.BICUBIC)
    if mode == "RGBA":
        return rgba
    if mode in ("LA", "PA"):
        return rgba.convert("LA").convert(mode)
    rgb = rgba.convert("RGB")
    if mode.startswith("I;16"):
        return rgb.convert("L").convert("I").point(lambda value: value * 257).convert(mode)
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(rgb)
    return rgb.quantize(32) if mode == "P" else rgb.convert(mode)


def _saved(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    out = BytesIO()
    _picture(mode).save(out, kind, **how)
    return out.getvalue()


def _about() -> dict[str, Any]:
    """Return what cameras and editors tell of a picture."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8825)[0x001B] = b"ASCII\0\0\0a garden"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"exif": exif.tobytes(), "icc_profile": profile}


def _frames() -> dict[str, Any]:
    return {"save_all": True, "append_images": [_picture(number=1), _picture(number=2)]}


def _jpegs() -> Iterator[tuple[str, bytes]]:
    yield "plain", _saved("JPEG")
    yield "whole chroma", _saved("JPEG", subsampling=0, quality=95)
    yield "grey", _saved("JPEG", "L")
    yield "progressive", _saved("JPEG", progressive=True)
    yield "cmyk", _saved("JPEG", "CMYK")
    yield "progressive cmyk", _saved("JPEG", "CMYK", progressive=True)
    yield "restarts", _saved("JPEG", restart_marker_blocks=2)
    yield "metadata", _saved("JPEG", comment=b"a comment", **_about())
    yield "several pictures", _saved("MPO", **_frames())
    yield "a scan a colour", _scans()


def _scans() -> bytes:
    """Return a JPEG whose three colours come one after another, each in a scan of its own."""
    greys = [_encoded(band) for band in _picture().split()]
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    behind = frame + 2 + 11
    head = struct.pack(">HBHHB", 17, 8, *_SIZE[::-1], 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    parts = [greys[0][:frame], b"\xff\xc0", head, greys[0][behind:scan]]
    for number, grey in enumerate(greys, 1):
        parts += [b"\xff\xda\0\x08\1", bytes((number,)), b"\0\0\x3f\0"]
        parts.append(grey[grey.index(b"\xff\xda") + 10 : -2])
    return b"".join((*parts, b"\xff\xd9"))


def _encoded(grey: Image.Image) -> bytes:
    out = BytesIO()
    grey.save(out, "JPEG")
    return out.getvalue()


def _pngs() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield mode, _saved("PNG", mode)
    for bits in (1, 2, 4):
        yield f"palette of {bits} bits", _saved("PNG", "P", bits=bits)
    yield "transparent palette", _saved("PNG", "P", transparency=bytes(range(0, 256, 8)))
    yield "transparent colour", _saved("PNG", "RGB", transparency=(1, 2, 3))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "a text")
    texts.add_text("workflow", "{}" * 50, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    texts.add(b"gAMA", struct.pack(">I", 100_000))
    texts.add(b"tIME", b"\x07\xea\1\1\1\1\1")
    yield "ancillary", _saved("PNG", pnginfo=texts, dpi=(72, 72), **_about())
    yield "animated", _saved("PNG", **_frames())
    yield "linear", _png(8, 2, 0, (b"gAMA", struct.pack(">I", 100_000)))
    for bits, colour in ((16, 0), (16, 2), (16, 4), (16, 6), (2, 0), (4, 0)):
        yield f"colour {colour} of {bits} bits", _png(bits, colour, 0)
    yield "interlaced", _png(8, 2, 1)
    yield "interlaced, grey of 16 bits", _png(16, 0, 1, (b"tRNS", b"\0\0"))


def _png(bits: int, colour: int, interlace: int, *extra: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of noise, in ways that Pillow doesn't write."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    passes = (
        ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)) if interlace else ((0, 0, 1, 1),)
    )  # fmt: skip
    chance, raw = random.Random(bits * 8 + colour), b""
    for left, top, across, down in passes:
        width = len(range(left, _SIZE[0], across))
        for row in range(len(range(top, _SIZE[1], down))):
            raw += bytes((row % 5,)) + chance.randbytes((width * samples * bits + 7) // 8)
    head = struct.pack(">IIBBBBB", *_SIZE, bits, colour, 0, 0, interlace)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _gifs() -> Iterator[tuple[str, bytes]]:
    yield "plain", _saved("GIF", "P")
    yield "in order", _saved("GIF", "P", interlace=0)
    yield "grey", _saved("GIF", "L", comment=b"a comment")
    yield "transparent", _saved("GIF", "P", transparency=3)
    yield "animated", _saved("GIF", "P", duration=50, loop=0, disposal=2, **_frames())


def _webps() -> Iterator[tuple[str, bytes]]:
    yield "lossy", _saved("WEBP")
    yield "lossless", _saved("WEBP", lossless=True)
    yield "transparent", _saved("WEBP", "RGBA")
    yield "transparent and lossless", _saved("WEBP", "RGBA", lossless=True, exact=True)
    yield "metadata", _saved("WEBP", xmp=b"<x/>", **_about())
    yield "animated", _saved("WEBP", duration=50, **_frames())
    yield "animated and lossless", _saved("WEBP", lossless=True, **_frames())


def _bitmaps() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"BMP {mode}", _saved("BMP", mode)
        yield f"DIB {mode}", _saved("DIB", mode)
    for bits, compression, row in (
        (8, 1, b"\x14\7\0\6abcdef\x0e\x09\0\0"),
        (4, 2, b"\x14\x77\0\6\x12\x34\x56\0\x0e\x98\0\0"),
    ):
        rows = row * _SIZE[1] + b"\0\1"
        palette = bytes(range(64)) * (16 if bits == 8 else 1)
        head = struct.pack(
            "<IiiHHIIiiII", 40, *_SIZE, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0
        )
        at = 14 + len(head) + len(palette)
        file = b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at)
        yield f"BMP of runs of {bits} bits", file + head + palette + rows


def _tiffs() -> Iterator[tuple[str, bytes]]:
    for how in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"):
        yield how, _saved("TIFF", compression=how)
    for how in ("raw", "group3", "group4", "packbits"):
        yield f"1 {how}", _saved("TIFF", "1", compression=how)
    for mode in ("L", "LA", "P", "RGBA", "RGBX", "CMYK", "LAB", "I;16", "I;16B", "I", "F"):
        yield mode, _saved("TIFF", mode)
        yield f"{mode} packed", _saved("TIFF", mode, compression="tiff_lzw")
    for mode in ("RGB", "L", "F"):
        tags = {317: 3 if mode == "F" else 2}
        yield (
            f"{mode} predicted",
            _saved("TIFF", mode, compression="tiff_adobe_deflate", tiffinfo=tags),
        )
    yield "big", _saved("TIFF", big_tiff=True)
    yield "metadata", _saved("TIFF", **_about())
    yield "several pages", _saved("TIFF", **_frames())
    yield "several strips", _saved("TIFF", compression="tiff_lzw", tiffinfo={278: 8})
    chance = random.Random(0)
    for bits in (8, 16):
        planes = [chance.randbytes(_SIZE[0] * _SIZE[1] * bits // 8) for _ in range(3)]
        colours = {258: (3, [bits] * 3), 262: (3, [2]), 277: (3, [3])}
        yield f"planes of {bits} bits", _tiff({**colours, 284: (3, [2])}, planes)
        tiles = [chance.randbytes(3 * 16 * 16 * bits // 8) for _ in range(6)]
        yield f"tiles of {bits} bits", _tiff({**colours, 322: (3, [16]), 323: (3, [16])}, tiles)


def _tiff(tags: dict[int, tuple[int, list[int]]], pieces: list[bytes]) -> bytes:
    """Return an uncompressed little-endian TIFF of strips, planes or tiles."""
    starts = [8 + sum(map(len, pieces[:at])) for at in range(len(pieces))]
    offsets, counts = (324, 325) if 322 in tags else (273, 279)
    tags = {
        256: (4, [_SIZE[0]]),
        257: (4, [_SIZE[1]]),
        259: (3, [1]),
        offsets: (4, starts),
        counts: (4, [len(piece) for piece in pieces]),
        **tags,
    }
    at = 8 + sum(map(len, pieces))
    entries, more, behind = b"", b"", at + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{_TIFF_TYPES[kind]}", *values)
        where = packed.ljust(4, b"\0")
        if len(packed) > 4:
            where, more = struct.pack("<I", behind + len(more)), more + packed
        entries += struct.pack("<HHI", number, kind, len(values)) + where
    head = b"II*\0" + struct.pack("<I", at)
    return b"".join((head, *pieces, struct.pack("<H", len(tags)), entries, b"\0\0\0\0", more))


def _avifs() -> Iterator[tuple[str, bytes]]:
    yield "plain", _saved("AVIF", speed=10)
    yield "whole chroma", _saved("AVIF", speed=10, subsampling="4:4:4")
    yield "transparent", _saved("AVIF", "RGBA", speed=10)
    yield "metadata", _saved("AVIF", speed=10, xmp=b"<x/>", **_about())
    yield "animated", _saved("AVIF", speed=10, duration=50, **_frames())


def _jxls() -> Iterator[tuple[str, bytes]]:
    if Kind.JXL in DECODERS:  # the extra `jxl`
        yield "lossy", _saved("JXL")
        yield "lossless", _saved("JXL", "RGBA", lossless=True)
