"""The segments of a JPEG: which decide its pixels, and which are only in a decoder's way.

A JPEG is a start marker, segments (a marker each, a length, bytes), behind each start of a scan its
coded pixels, and an end marker. Segments of applications (APP0 to APP15) and comments hold what
cameras and editors leave there; between segments there may be fill bytes. What is odd in these is
no reason to refuse a picture whose pixels are whole.

Source: ITU-T T.81, annex B; JFIF 1.02; Adobe technical note 5116.
"""

import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_END_MARKER: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_COMMENT: Final = 0xFE
_APPLICATIONS: Final = range(0xE0, 0xF0)
_HUFFMAN_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_FRAME: Final = struct.Struct(">HHBHHB")
"""Marker, length, bits, height, width, colours; of each of these its name, factors and table."""
_FURTHEST_FILL_BYTES: Final = 64

_MARKER: Final = re.compile(rb"\xff([\x01-\xfe])", re.DOTALL)
_BEHIND_CODE: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
"""Coded pixels hold 0xFF only before 0x00, before the numbers of restart markers, and as fill bytes
before a marker. An expression that begins with one byte is searched for ten times as fast."""

_WITH_LENGTH: Final = frozenset({*range(0xC0, 0xFF)}) - {*range(0xD0, 0xDA)}
"""Markers that a length follows."""

_READ: Final[tuple[tuple[int, bytes, int], ...]] = (
    (0xE0, b"JFIF\0", 14),
    (0xE1, b"Exif\0", 6),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", 29),
    (0xE2, b"ICC_PROFILE\0", 14),
    (0xEE, b"Adobe", 12),
)
"""The segments of applications that decide how a picture is shown: marker, beginning, and how many
bytes at least are in it. A shorter one says nothing."""
_CODED: Final = frozenset({0xE0, 0xEE})
"""Of these, what decides how coded pixels become red, green and blue."""

_NOISES: Final = tuple(
    bytes((first, *random.Random(first).choices(range(0xFF), k=2048)))
    for first in (0x1C, 0x4B, 0x6A, 0x93, 0xB5, 0xD8, 0xE3, 0xFA)
)
"""Without 0xFF, with which a marker would begin."""


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    data: bytes
    """Marker, length, content; of a scan its coded pixels, too."""

    @property
    def extra(self) -> bool:
        return self.marker in _APPLICATIONS or self.marker == _COMMENT

    @property
    def read(self) -> bool:
        """Whether it is none of an application, or one that decides how the picture is shown."""
        content = self.data[4:]
        return not self.extra or any(
            self.marker == marker and content.startswith(start) and len(content) >= least
            for marker, start, least in _READ
        )

    @property
    def coded(self) -> bool:
        """Whether it decides the pixels as they are stored."""
        return self.read and not (self.extra and self.marker not in _CODED)


def begins(head: bytes) -> bool:
    """Tell whether this is how a JPEG begins: fill bytes may follow the start marker."""
    return head.startswith(_START) and b"\xff" in head[2:_FURTHEST_FILL_BYTES]


def mended(data: bytes) -> bytes:
    """Return the JPEG without what is only in a decoder's way, and with an end marker.

    `data` itself if nothing is odd, or if its segments can't be followed to the first scan. Whether
    every row came of one without an end marker, `continued` helps to tell.

    Raises: EOFError if there are fewer bits in the file than blocks of pixels in the picture, of
    which each takes one at least: a decoder would fill these up, of a kilobyte, for a minute.
    """
    if 8 * len(data) < _blocks(data):
        raise EOFError
    if _is_plain(data):
        return data
    return _kept(data, lambda segment: segment.read, or_as_it_is=True)


def _is_plain(data: bytes) -> bool:
    """Whether nothing is odd before the first scan, and the file ends with the end marker.

    That is most files, and takes no look at the coded pixels.
    """
    if not data.endswith(_END):
        return False
    at = len(_START)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == _START_OF_SCAN:
            return True
        if marker not in _WITH_LENGTH or end < at + 4:
            return False
        if not _Segment(marker, data[at:end]).read:
            return False
        at = end
    return False


def _blocks(data: bytes) -> int:
    """Return how many blocks of 8 x 8 samples there are, of all colours; 0 if that isn't told.

    It isn't told of arithmetic coding, either, to which a block may be less than a bit.
    """
    at = len(_START)
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _START_OF_SCAN:
        start, marker = found.end() - 2, found[1][0]
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
        if marker in _HUFFMAN_FRAMES and start + _FRAME.size <= at <= len(data):
            _, _, _, height, width, colours = _FRAME.unpack_from(data, start)
            factors = data[start + _FRAME.size + 1 : at : 3][:colours]
            across, down = [each >> 4 for each in factors], [each & 15 for each in factors]
            samples = sum(a * d for a, d in zip(across, down, strict=True))
            whole = max(across, default=0) * max(down, default=0)
            return width * height * samples // (64 * whole) if whole else 0
    return 0


def bare(data: bytes) -> bytes:
    """Return the JPEG with what decides its stored pixels alone: no EXIF, place, text or profile.

    What follows the end marker goes, too. `data` itself if its segments can't be followed.
    """
    return _kept(data, lambda segment: segment.coded, or_as_it_is=False)


def has_end(data: bytes) -> bool:
    """Tell whether the end marker is there; so it counts where segments can't be followed."""
    segments, _ = _parsed(data)
    return not segments or segments[-1].marker == _END_MARKER


def scans(data: bytes) -> int:
    """Return how many scans a JPEG has; one that is cut off counts."""
    return sum(segment.marker == _START_OF_SCAN for segment in _parsed(data)[0])


def completed(data: bytes) -> bytes | None:
    """Return what came of a JPEG that is cut off, with an end marker; None if no scan began."""
    segments, _ = _parsed(data)
    kept = [segment.data for segment in segments if segment.read and segment.data != _END]
    return b"".join((_START, *kept, _END)) if kept else None


def continued(data: bytes) -> Iterator[bytes]:
    """Yield a JPEG without an end marker as if its coded pixels went on with noise of any kind.

    If none of its pixels is missing, all decode to the same picture as with an end marker. Else one
    of them hardly ever does, where a decoder fills up what is missing without a word.
    """
    for noise in _NOISES:
        yield mended(data.rstrip(b"\xff") + noise + _END)


def _kept(data: bytes, keeps: Callable[[_Segment], bool], *, or_as_it_is: bool) -> bytes:
    segments, length = _parsed(data)
    if not segments:
        return data
    kept = [segment.data for segment in segments if keeps(segment)]
    last = segments[-1].marker
    if last != _END_MARKER:
        if last != _START_OF_SCAN or length != len(data):
            return data  # more than the end marker is missing: the decoder says what
        kept.append(_END)
    elif or_as_it_is and sum(map(len, kept)) + len(_START) == length:
        return data
    return b"".join((_START, *kept))


def _without_fill(data: bytes, at: int) -> int:
    """Return where the fill bytes before a marker begin."""
    while data[at - 1] == 0xFF:
        at -= 1
    return at


def _parsed(data: bytes) -> tuple[list[_Segment], int]:
    """Return the segments up to the end marker, and how many bytes these take with fill bytes.

    No segment where they can't be followed to the first scan; without an end marker the last one is
    a scan.
    """
    at, segments, scans = len(_START), list[_Segment](), 0
    while at < len(data):
        found = _MARKER.search(data, at)
        if found is None:
            break
        marker, start = found[1][0], found.end() - 2
        if marker == _END_MARKER:
            return ([*segments, _Segment(marker, _END)], found.end()) if scans else ([], 0)
        end = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
        if end > len(data) or end < found.end() + 2:
            break
        if marker == _START_OF_SCAN:
            scans += 1
            behind = _BEHIND_CODE.search(data, end)
            end = len(data) if behind is None else _without_fill(data, behind.start())
        segments.append(_Segment(marker, data[start:end]))
        at = end
    return (segments, at) if scans else ([], 0)
