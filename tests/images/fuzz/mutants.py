"""Mutated files: which one a number stands for never changes."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from captiv.images import png
from captiv.images.kinds import Kind, kind_of

from .anatomy import Number, anatomy
from .seeds import Seed

_EDGES: Final = (
    *(0, 1, 2, 3, 7, 255, 256, 1023, 4096, 9000, 13_000, 16_383, 20_000, 32_767, 65_500, 65_535),
    *(65_536, 178_956_970, 2**31 - 1, 2**31, 2**32 - 1),
)
_INTERESTING: Final = (
    *(0, 1, 2, 3, 4, 8, 15, 16, 31, 32, 64, 100, 127, 128, 255, 256, 512, 1000, 1024, 4096),
    *(32_767, 32_768, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1),
)
_HEAD_BYTES: Final = 256
_LARGEST_BYTES: Final = 256 * 1024
_TIMES: Final = (1, 1, 1, 1, 2, 2, 3, 5)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file as no writer made it."""

    number: int
    seed: Seed
    data: bytes


def mutant(number: int, whole: Sequence[Seed], draw: str) -> Mutant:
    """Return the mutant of this number in one draw of many."""
    chance = random.Random(f"{draw} {number}")
    kinds = sorted({seed.kind for seed in whole})
    kind = chance.choice(kinds)
    alike = [seed for seed in whole if seed.kind is kind]
    seed = chance.choice(alike)
    data = seed.data
    for _ in range(chance.choice(_TIMES)):
        other = chance.choice(alike if chance.random() < 0.9 else whole).data
        data = chance.choice(_MUTATIONS)(data, kind, other, chance)[:_LARGEST_BYTES]
    if kind is Kind.PNG and chance.random() < 0.8:
        data = _with_checksums(data)
    return Mutant(number, seed, data)


_Mutation = Callable[[bytes, Kind, bytes, random.Random], bytes]


def _bits(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(chance.randint(1, 16) if data else 0):
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _bytes_of_the_head(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4) if data else 0):
        at = chance.randrange(min(len(data), _HEAD_BYTES))
        changed[at] = chance.choice((0, 1, 2, 3, 4, 127, 128, 255, chance.randrange(256)))
    return bytes(changed)


def _number_anywhere(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    number = Number(
        chance.randrange(min(len(data), _HEAD_BYTES)) if data else 0,
        chance.choice((1, 2, 4)),
        "big" if chance.random() < 0.5 else "little",
    )
    return _put(data, number, chance.choice(_INTERESTING))


def _length(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    lengths = anatomy(data, kind).lengths
    if not lengths:
        return _number_anywhere(data, kind, other, chance)
    number = chance.choice(lengths)
    told = int.from_bytes(data[number.at : number.at + number.size], number.order)
    near = told + chance.choice((-8, -4, -2, -1, 1, 2, 4, 8))
    value = chance.choice((near, told * 2, told // 2, chance.choice(_INTERESTING)))
    return _put(data, number, value)


def _edge(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    edges = anatomy(data, kind).edges
    for number in chance.sample(edges, min(len(edges), chance.randint(1, 2))):
        data = _put(data, number, chance.choice(_EDGES))
    return data


def _cut(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _without(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    piece = _piece(data, kind, chance)
    return data[: piece.start] + data[piece.stop :]


def _doubled(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    piece = _piece(data, kind, chance)
    times = chance.choice((1, 1, 2, 40))
    return data[: piece.stop] + data[piece.start : piece.stop] * times + data[piece.stop :]


def _swapped(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    pieces = (_piece(data, kind, chance) for _ in range(2))
    one, two = sorted(pieces, key=lambda piece: piece.start)
    if one.stop > two.start:
        return data
    between = data[one.stop : two.start]
    first, second = data[one.start : one.stop], data[two.start : two.stop]
    return data[: one.start] + second + between + first + data[two.stop :]


def _spliced(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _with_a_part_of_another(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    here, there = _piece(data, kind, chance), _piece(other, kind_of(other) or kind, chance)
    stop = here.stop if chance.random() < 0.5 else here.start
    return data[: here.start] + other[there.start : there.stop] + data[stop:]


def _with_noise(data: bytes, kind: Kind, other: bytes, chance: random.Random) -> bytes:
    at, noise = chance.randrange(len(data) + 1), chance.randbytes(chance.randint(1, 64))
    return data[:at] + noise + data[at + chance.choice((0, len(noise))) :]


_MUTATIONS: Final[tuple[_Mutation, ...]] = (
    *(_bits, _bytes_of_the_head, _number_anywhere, _length, _length, _edge, _cut, _without),
    *(_doubled, _swapped, _spliced, _with_a_part_of_another, _with_noise),
)


def _piece(data: bytes, kind: Kind, chance: random.Random) -> range:
    """Return where a part of the file is, or any few bytes."""
    parts = anatomy(data, kind).parts
    if parts and chance.random() < 0.7:
        return chance.choice(parts)
    start = chance.randrange(len(data) + 1)
    return range(start, min(len(data), start + chance.randint(1, 100)))


def _put(data: bytes, number: Number, value: int) -> bytes:
    room = min(number.size, max(0, len(data) - number.at))
    packed = (value % (1 << (8 * number.size))).to_bytes(number.size, number.order)
    return data[: number.at] + packed[:room] + data[number.at + room :]


def _with_checksums(data: bytes) -> bytes:
    """Make each checksum of a PNG right, without which no decoder looks at its chunk."""
    whole, at = bytearray(data), len(png.SIGNATURE)
    while at + 12 <= len(whole):
        end = at + 8 + int.from_bytes(whole[at : at + 4])
        if end + 4 <= len(whole):
            struct.pack_into(">I", whole, end, zlib.crc32(whole[at + 4 : end]))
        at = end + 4
    return bytes(whole)
