"""Where a file's parts, lengths and edges are: what a mutation must meet to get far into a decoder.

A damaged file is looked at as far as it can be followed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from captiv.images.kinds import Kind

_HOLDS_BOXES: Final = {
    b"meta": 12, b"iinf": 14, b"dref": 16, b"stsd": 16,
    **dict.fromkeys((b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf"), 8),
}  # fmt: skip
"""Boxes of boxes, and where in them the first of these begins."""
_DEPTH: Final = 8
_TIFF_EDGES: Final = {256, 257, 322, 323}
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA})
_BARE: Final = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers of a JPEG without a length."""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number in a file."""

    at: int
    size: int
    order: Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What is known of a file."""

    parts: tuple[range, ...]
    """Chunks, segments, boxes, blocks, entries: whole, with their heads."""
    lengths: tuple[Number, ...]
    """And offsets and counts."""
    edges: tuple[Number, ...]
    """Widths and heights."""


_Found = Iterator[tuple[Literal["part"], range] | tuple[Literal["length", "edge"], Number]]


def anatomy(data: bytes, kind: Kind) -> Anatomy:
    """Return what can be told of a file of this kind."""
    found = list(_look(data, kind))
    return Anatomy(
        tuple(what for name, what in found if isinstance(what, range)),
        tuple(what for name, what in found if isinstance(what, Number) and name == "length"),
        tuple(what for name, what in found if isinstance(what, Number) and name == "edge"),
    )


def _look(data: bytes, kind: Kind) -> _Found:
    whole = _whole(data, kind)
    for name, what in whole:
        if isinstance(what, range):
            yield "part", what
        elif what.at + what.size <= len(data):
            yield ("edge" if name == "edge" else "length"), what


def _whole(data: bytes, kind: Kind) -> _Found:
    match kind:
        case Kind.PNG:
            return _png(data)
        case Kind.WEBP:
            return _webp(data)
        case Kind.JPEG:
            return _jpeg(data)
        case Kind.GIF:
            return _gif(data)
        case Kind.TIFF:
            return _tiff(data)
        case Kind.BMP:
            return _bitmap(14)
        case Kind.DIB:
            return _bitmap(0)
        case Kind.AVIF | Kind.HEIC | Kind.JXL:
            return _boxes(data, 0, len(data))


def _png(data: bytes) -> _Found:
    at = 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield "length", Number(at, 4, "big")
        yield "part", range(at, min(end, len(data)))
        if data[at + 4 : at + 8] == b"IHDR":
            yield "edge", Number(at + 8, 4, "big")
            yield "edge", Number(at + 12, 4, "big")
        at = end


def _webp(data: bytes) -> _Found:
    yield "length", Number(4, 4, "little")
    at = 12
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        yield "length", Number(at + 4, 4, "little")
        yield "part", range(at, min(end, len(data)))
        places = {b"VP8X": (12, 15), b"VP8 ": (14, 16), b"VP8L": (9, 11), b"ANMF": (14, 17)}
        for place in places.get(name, ()):
            yield "edge", Number(at + place, 2 if name.startswith(b"VP8 ") else 3, "little")
        at = at + 24 if name == b"ANMF" else end


def _jpeg(data: bytes) -> _Found:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        end = at + 2
        if marker not in _BARE:
            end += int.from_bytes(data[at + 2 : at + 4])
            yield "length", Number(at + 2, 2, "big")
        if marker in _FRAMES:
            yield "edge", Number(at + 5, 2, "big")
            yield "edge", Number(at + 7, 2, "big")
        if marker == 0xDA or marker in _BARE:
            while end + 1 < len(data) and not (data[end] == 0xFF and data[end + 1]):
                end += 1
        yield "part", range(at, min(end, len(data)))
        at = end


def _gif(data: bytes) -> _Found:
    for edge in (6, 8):
        yield "edge", Number(edge, 2, "little")
    at = 13 + _table_bytes(data[10:11])
    while at + 10 < len(data) and data[at] in (0x21, 0x2C):
        start = at
        if data[at] == 0x2C:
            for edge in (1, 3, 5, 7):
                yield "edge", Number(at + edge, 2, "little")
            at += 11 + _table_bytes(data[at + 9 : at + 10])
        else:
            at += 2
        while at < len(data) and data[at]:
            yield "length", Number(at, 1, "little")
            at += 1 + data[at]
        at += 1
        yield "part", range(start, min(at, len(data)))


def _table_bytes(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _tiff(data: bytes) -> _Found:
    order: Literal["little", "big"] = "little" if data.startswith(b"I") else "big"
    big = data[2:3] == b"+" or data[3:4] == b"+"
    first, counted, size = (8, 8, 20) if big else (4, 2, 12)
    yield "length", Number(first, 8 if big else 4, order)
    at = int.from_bytes(data[first : first + (8 if big else 4)], order)
    entries = int.from_bytes(data[at : at + counted], order)
    yield "length", Number(at, counted, order)
    for entry in range(at + counted, min(at + counted + size * entries, len(data) - size), size):
        tag = int.from_bytes(data[entry : entry + 2], order)
        short = data[entry + 2 : entry + 4] in (b"\3\0", b"\0\3")
        word = 8 if big else 4
        yield "part", range(entry, entry + size)
        yield "length", Number(entry + 2, 2, order)
        yield "length", Number(entry + 4, word, order)
        value = Number(entry + 4 + word, 2 if short else word, order)
        yield ("edge" if tag in _TIFF_EDGES else "length"), value


def _bitmap(head: int) -> _Found:
    if head:
        yield "length", Number(2, 4, "little")
        yield "length", Number(10, 4, "little")
    for edge in (4, 8):
        yield "edge", Number(head + edge, 4, "little")
    for place, size in ((0, 4), (12, 2), (14, 2), (16, 4), (20, 4), (32, 4)):
        yield "length", Number(head + place, size, "little")
    yield "part", range(head, head + 40)


def _boxes(data: bytes, at: int, stop: int, depth: int = 0) -> _Found:
    while at + 8 <= stop:
        length, name = struct.unpack_from(">I4s", data, at)
        end = min(at + length, stop) if length >= 8 else stop
        yield "length", Number(at, 4, "big")
        yield "part", range(at, end)
        if name == b"ispe":
            yield "edge", Number(at + 12, 4, "big")
            yield "edge", Number(at + 16, 4, "big")
        if name in (b"iloc", b"ipma", b"pitm", b"iref"):
            for place in range(at + 12, end - 1, 2):
                yield "length", Number(place, 2, "big")
        if name in _HOLDS_BOXES and depth < _DEPTH:
            yield from _boxes(data, at + _HOLDS_BOXES[name], end, depth + 1)
        at = end
