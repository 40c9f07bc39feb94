"""The chunks of a PNG: which decide how it is shown, and which are only in a decoder's way.

A PNG is a signature and chunks: a length, a name, bytes and a checksum each. Chunks whose name
begins with a small letter are ancillary: texts, profiles, animation, whatever a program leaves
there. What is odd in these, or how long they are, is no reason to refuse a picture whose pixels are
whole; a wrong checksum of the pixels is.

Source: PNG specification, third edition, 5.3 and 11.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_SHOWN: Final = {b"tRNS": 1, b"gAMA": 4, b"sRGB": 1, b"iCCP": 3, b"eXIf": 8}
"""The ancillary chunks that decide how the pixels are shown, and how many bytes they have at
least."""
_MAX_ANCILLARY_BYTES: Final = 4 * 1024 * 1024
_MAX_PROFILE_BYTES: Final = 1024 * 1024
"""Pillow refuses a picture whose profile unpacks to more."""
_HEAD: Final = struct.Struct(">I4s")
_CHECKSUM_BYTES: Final = 4
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"


class WrongChecksum(ValueError):
    """A chunk without which there is no picture is not what was written."""


def mended(data: bytes) -> bytes:
    """Return the PNG with the chunks alone that decide how it is shown.

    Of the ancillary ones those that are damaged or very long go, too. `data` itself if all stay. A
    last chunk that is cut off is left to the decoder, but for the end of the file.

    Raises: WrongChecksum.
    """
    kept: list[memoryview] = []
    for name, chunk in _chunks(data):
        if name == b"IEND":  # nothing of the picture is in it, however it is damaged or cut off
            kept.append(memoryview(_END))
            break
        if not name[:1].islower():
            if not _is_whole(chunk):
                raise WrongChecksum("a checksum of its header or its pixels is wrong")
        elif not _is_usable(name, chunk):
            continue
        kept.append(chunk)
    whole = b"".join((SIGNATURE, *kept))
    return data if whole == data else whole


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the name and the whole of each chunk; of one that is cut off, what there is."""
    view, at = memoryview(data), len(SIGNATURE)
    while at + _HEAD.size <= len(data):
        length, name = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length + _CHECKSUM_BYTES
        yield name, view[at:end]
        at = end


def _is_usable(name: bytes, chunk: memoryview) -> bool:
    """Whether an ancillary chunk decides how the pixels are shown, and a decoder can read it."""
    content = chunk[_HEAD.size : -_CHECKSUM_BYTES]
    if not _SHOWN.get(name, _MAX_ANCILLARY_BYTES) <= len(content) < _MAX_ANCILLARY_BYTES:
        return False
    return _is_whole(chunk) and (name != b"iCCP" or _unpacks(bytes(content)))


def _unpacks(profile: bytes) -> bool:
    """Whether a profile (a name, a zero byte, the method 0, zlib) unpacks to what may be."""
    _, _, packed = profile.partition(b"\0")
    try:
        unpacking = zlib.decompressobj()
        unpacking.decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and unpacking.eof


def _is_whole(chunk: memoryview) -> bool:
    """Whether its checksum is right, or it is cut off, which the decoder finds."""
    length = int.from_bytes(chunk[:4])
    if len(chunk) < _HEAD.size + length + _CHECKSUM_BYTES:
        return True
    told = int.from_bytes(chunk[-_CHECKSUM_BYTES:])
    return zlib.crc32(chunk[4:-_CHECKSUM_BYTES]) == told
