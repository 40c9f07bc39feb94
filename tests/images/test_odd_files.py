"""Files that are whole, and odd: shown as they are, or refused in words that fit."""

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from captiv.catalog.model import ImagePolicy
from captiv.errors import ImageUnreadable
from captiv.images import jpeg
from captiv.images.prepare import decode, prepare

from .test_prepare import encoded, scene

DATA = Path(__file__).with_name("data")
PICTURE = scene(96, 64)
SAME = 1.0


def apart(data: bytes, right: Image.Image = PICTURE) -> float:
    """Return by how many of 255 levels a file is shown other than `right`, on average."""
    shown = decode(data)
    assert shown.size == right.size
    means = ImageStat.Stat(ImageChops.difference(shown, right.convert("RGB"))).mean
    return sum(means) / len(means)


# -- PNG -------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    right = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", right)


def png_with(*chunks: bytes, picture: Image.Image = PICTURE) -> bytes:
    """Return a PNG with these chunks behind its header."""
    whole = encoded(picture, "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"pHYs", b"\0" * 9, checksum=1),
        chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"{}" * 2_000_000)),
        chunk(b"zTXt", b"workflow\0\7" + zlib.compress(b"{}")),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + b"no zlib"),
        b"".join(chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b" * 1_000_000)) for _ in range(70)),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"\0" * 2_000_000)),
        chunk(b"iCCP", b"profile\0\1" + zlib.compress(b"\0" * 200)),
        chunk(b"iCCP", b"profile\0\0no zlib at all"),
        chunk(b"iCCP", b"profile"),
        chunk(b"gAMA", b"\0\1"),
        chunk(b"sRGB", b""),
        chunk(b"eXIf", b"no exif, but long enough"),
        chunk(b"acTL", struct.pack(">II", 7, 0)),
        chunk(b"acTL", b"\0"),
        chunk(b"fcTL", b"\0" * 26),
        chunk(b"fdAT", b"\0" * 100),
        chunk(b"prVt", b"whatever", checksum=5),
    ],
)
def test_no_ancillary_chunk_refuses_a_png_whose_pixels_are_whole(extra: bytes) -> None:
    assert apart(png_with(extra)) == 0


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_a_wrong_checksum_of_the_picture_itself_does(name: bytes) -> None:
    data = bytearray(encoded(PICTURE, "PNG"))
    at = data.index(name)
    length = int.from_bytes(data[at - 4 : at])
    data[at + 4 + length] ^= 1
    with pytest.raises(ImageUnreadable, match="damaged PNG picture: a checksum"):
        decode(bytes(data))


def test_a_png_that_ends_early_is_truncated_and_not_damaged() -> None:
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode(encoded(PICTURE, "PNG")[:-400])


@pytest.mark.parametrize("missing", range(1, 12))
def test_a_png_whose_end_is_cut_off_is_shown(missing: int) -> None:
    assert apart(encoded(PICTURE, "PNG")[:-missing]) == 0


def test_a_wrong_checksum_of_the_end_is_none_of_the_picture() -> None:
    assert apart(encoded(PICTURE, "PNG")[:-1] + b"\0") == 0


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_linear_light_is_brought_to_srgb(mode: str) -> None:
    grey = Image.new("L", (8, 8), 55).convert(mode)
    for level in decode(png_with(gamma(1.0), picture=grey)).getpixel((4, 4)):  # type: ignore[union-attr]
        assert abs(level - 128) <= 2


@pytest.mark.parametrize(
    "chunks",
    [
        (gamma(1 / 2.2),),
        (gamma(0.0),),
        (gamma(1.0), chunk(b"sRGB", b"\0")),
    ],
)
def test_a_gamma_that_says_nothing_new_changes_nothing(chunks: tuple[bytes, ...]) -> None:
    assert apart(png_with(*chunks)) == 0


def test_the_transparent_grey_of_a_png_of_sixteen_bits_is_white() -> None:
    rows = [[0] * 8, [30_000] * 8]
    raw = b"".join(b"\0" + struct.pack(">8H", *row) for row in rows)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, 16, 0, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">H", 0)),
            chunk(b"IDAT", zlib.compress(raw)),
            chunk(b"IEND", b""),
        ]
    )
    shown = decode(data)
    assert shown.getpixel((3, 0)) == (255, 255, 255)
    assert shown.getpixel((3, 1)) == (117, 117, 117)


def test_the_transparent_colour_of_a_png_of_sixteen_bits_is_white() -> None:
    rows = [[0x1234, 0x5678, 0x9ABC] * 4, [0xFFFF, 0, 0] * 4]
    raw = b"".join(b"\0" + struct.pack(">12H", *row) for row in rows)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)),
            chunk(b"IDAT", zlib.compress(raw)),
            chunk(b"IEND", b""),
        ]
    )
    shown = decode(data)
    assert shown.getpixel((1, 0)) == (255, 255, 255)
    assert shown.getpixel((1, 1)) == (255, 0, 0)


# -- JPEG ------------------------------------------------------------------------------------------


def jpeg_of(picture: Image.Image = PICTURE, /, **how: object) -> bytes:
    return encoded(picture, "JPEG", quality=90, subsampling=0, **how)


@pytest.mark.parametrize(
    "between",
    [
        b"\0",
        b"\xff\xff\xff",
        b"\xff\xee\0\x08Adobe\0",
        b"\xff\xe0\0\x07JFIF\0",
        b"\xff\xed\0\x1ePhotoshop 3.0\0" + b"8BIM\4\4\0\0\x7f\xff\0\0",
        b"\xff\xe1\0\x0cExif\0\0xyzw",
        b"\xff\xe2\0\x10MPF\0garbage!!!",
        b"\xff\xe2\0\x0fICC_PROFILE\0\1",
        b"\xff\xfe\0\x02",
    ],
)
def test_what_stands_before_the_picture_of_a_jpeg_never_refuses_it(between: bytes) -> None:
    plain = jpeg_of()
    assert apart(plain[:2] + between + plain[2:], decode(plain)) == 0


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}])
def test_a_jpeg_without_its_end_is_shown_if_every_row_came(how: dict[str, bool]) -> None:
    whole = jpeg_of(**how)
    assert apart(whole[:-2], decode(whole)) == 0
    assert prepare(whole[:-2], ImagePolicy(512)).data.endswith(b"\xff\xd9")


@pytest.mark.parametrize("seed", range(12))
def test_a_jpeg_of_which_a_row_is_missing_is_truncated(seed: int) -> None:
    chance = random.Random(seed)
    noise = Image.frombytes("RGB", (40, 30), chance.randbytes(3600)).resize((150, 110))
    whole = jpeg_of(noise, progressive=seed % 2 == 0)
    for missing in (20, 60, 200):
        with pytest.raises(ImageUnreadable, match="truncated"):
            decode(whole[: -2 - missing])


def test_a_jpeg_with_fewer_bits_than_blocks_of_pixels_is_not_filled_up() -> None:
    whole = bytearray(jpeg_of())
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", 1_400, 1_400)
    before = bytes(whole) + bytes(3 * 1_400 * 1_400 // 64 // 8)
    with pytest.raises(EOFError):
        jpeg.mended(bytes(whole))
    assert jpeg.mended(before)
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode(bytes(whole))


def test_a_jpeg_that_is_cut_between_its_scans_is_truncated() -> None:
    whole = jpeg_of(progressive=True)
    tables = whole.rindex(b"\xff\xc4")
    between = tables + 2 + int.from_bytes(whole[tables + 2 : tables + 4])
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode(whole[:between])


def test_a_jpeg_whose_segments_cannot_be_followed_does_not_travel_as_it_is() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[0x001B] = b"ASCII\0\0\0the garden behind our house"
    whole = jpeg_of(exif=exif.tobytes())
    broken = whole[: len(whole) - 40] + b"\xff\xfe\x40\x00" + b"x" * 100
    assert b"garden" in jpeg.bare(broken), "it has become one that can be followed"
    try:
        sent = prepare(broken, ImagePolicy(512)).data
    except ImageUnreadable:
        return
    assert b"garden" not in sent


def test_where_a_picture_was_taken_does_not_travel() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[0x001B] = b"ASCII\0\0\0the garden behind our house"
    whole = jpeg_of(exif=exif.tobytes(), comment=b"in our garden")
    assert b"garden" in whole
    as_it_is = prepare(whole, ImagePolicy(512)).data
    assert b"garden" not in as_it_is
    assert apart(as_it_is, decode(whole)) == 0


def test_a_bare_jpeg_has_the_same_pixels_and_says_nothing_of_its_maker() -> None:
    exif = Image.Exif()
    exif[0x010F] = "the maker"
    whole = jpeg_of(exif=exif.tobytes(), comment=b"a comment") + b"behind the end"
    bare = jpeg.bare(whole)
    assert apart(bare, decode(whole)) == 0
    for word in (b"maker", b"comment", b"behind", b"Exif"):
        assert word in whole
        assert word not in bare


# -- TIFF ------------------------------------------------------------------------------------------


def tiff_of(
    width: int, height: int, tags: dict[int, tuple[int, list[int]]], pixels: bytes
) -> bytes:
    """Return an uncompressed little-endian TIFF of one strip; tags are number: (type, values)."""
    size = {3: 2, 4: 4}
    planes = max(1, len(tags.get(273, (4, [0]))[1]))
    every = len(pixels) // planes
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        259: (3, [1]),
        273: (4, [8 + at * every for at in range(planes)]),
        278: (4, [height]),
        279: (4, [every] * planes),
        **{number: tag for number, tag in tags.items() if number != 273},
    }
    entries, more = b"", b""
    start = 8 + len(pixels) + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        assert len(packed) == size[kind] * len(values)
        if len(packed) > 4:
            where, more = struct.pack("<I", start + len(more)), more + packed
        else:
            where = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", number, kind, len(values)) + where
    ifd = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + ifd + more


def test_a_tiffs_palette_of_eight_bits_is_not_black() -> None:
    palette = PICTURE.quantize(16)
    colours = palette.getpalette() or []
    colours += [0] * (768 - len(colours))
    planes = [colours[at::3] for at in range(3)]
    tags = {
        258: (3, [8]),
        262: (3, [3]),
        277: (3, [1]),
        320: (3, [*planes[0], *planes[1], *planes[2]]),
    }
    data = tiff_of(*PICTURE.size, tags, palette.tobytes())
    assert apart(data, palette.convert("RGB")) == 0


def test_planes_of_sixteen_bits_are_not_garbled() -> None:
    planes = b"".join(
        struct.pack(f"<{PICTURE.width * PICTURE.height}H", *(257 * v for v in band.tobytes()))
        for band in PICTURE.split()
    )
    tags = {
        258: (3, [16, 16, 16]),
        262: (3, [2]),
        273: (4, [0, 0, 0]),
        277: (3, [3]),
        284: (3, [2]),
    }
    assert apart(tiff_of(*PICTURE.size, tags, planes)) <= SAME


def floats(values: list[float], width: int) -> bytes:
    picture = Image.frombytes(
        "F", (width, len(values) // width), struct.pack(f"={len(values)}f", *values)
    )
    return encoded(picture, "TIFF")


RAMP = [at / 4095 for at in range(4096)]


@pytest.mark.parametrize(
    "odd",
    [
        {5: 1e6},
        {5: -9999.0},
        {5: float("nan"), 6: float("inf"), 7: -1e38},
        dict.fromkeys(range(900), -9999.0),
        dict.fromkeys(range(900), -3.4028234663852886e38),
        dict.fromkeys(range(3100, 4096), 65535.0),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_a_hot_pixel_or_no_data_makes_no_sheet(odd: dict[int, float], scale: float) -> None:
    values = [odd.get(at, value * scale) for at, value in enumerate(RAMP)]
    shown = decode(floats(values, 64))
    right = {at: round(255 * value) for at, value in enumerate(RAMP) if at not in odd}
    low, high = (
        (0.0, 1.0) if scale == 1 else (min(RAMP[at] for at in right), max(RAMP[at] for at in right))
    )
    levels = shown.getchannel(0).tobytes()
    for at in right:
        assert abs(levels[at] - 255 * (RAMP[at] - low) / (high - low)) <= 3


def test_floats_from_0_to_1_stay_as_they_are() -> None:
    assert decode(floats([0.25, 0.5, 0.75] * 8, 3)).getchannel(0).tobytes()[:3] == bytes(
        (64, 128, 191)
    )


def test_a_kind_of_tiff_that_is_not_read_is_not_called_damaged() -> None:
    tags = {258: (3, [32, 32, 32]), 262: (3, [2]), 277: (3, [3]), 339: (3, [3, 3, 3])}
    data = tiff_of(4, 4, tags, b"\0" * 192)
    with pytest.raises(
        ImageUnreadable, match="a kind of TIFF that captiv does not read: save it as PNG"
    ):
        decode(data)


def test_a_tiff_packed_in_a_way_that_is_not_read_is_not_called_damaged() -> None:
    tags = {258: (3, [8, 8, 8]), 259: (3, [50001]), 262: (3, [2]), 277: (3, [3])}
    data = tiff_of(4, 4, tags, encoded(PICTURE, "WEBP"))
    with pytest.raises(ImageUnreadable, match="a kind of TIFF that captiv does not read"):
        decode(data)


# -- BMP -------------------------------------------------------------------------------------------


def bmp_of(width: int, height: int, bits: int, runs: bytes) -> bytes:
    """Return a BMP of packed runs; the palette's colours are red, green, blue and 13 whites."""
    palette = b"\0\0\xff\0" + b"\0\xff\0\0" + b"\xff\0\0\0" + b"\xff\xff\xff\0" * 13
    packing = {8: 1, 4: 2}[bits]
    sizes = (40, width, height, 1, bits, packing, len(runs), 0, 0, len(palette) // 4, 0)
    head = struct.pack("<IiiHHIIiiII", *sizes)
    at = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(runs), 0, 0, at) + head + palette + runs


@pytest.mark.parametrize(
    ("bits", "runs", "rows"),
    [
        (8, b"\4\1\0\0\4\2\0\1", "bbbb gggg"),
        (8, b"\4\1\4\1\0\0\4\2", "bbbb gggg"),
        (8, b"\2\1\0\0\0\3\1\2\3\0\0\1", "gbwr ggrr"),
        (8, b"\0\0\4\1\0\1", "gggg rrrr"),
        (8, b"\0\2\1\1\2\2\0\1", "rbbr rrrr"),
        (4, b"\4\x12\0\0\0\3\x21\x10\0\1", "bggr gbgb"),
    ],
)
def test_runs_of_a_bitmap_are_unpacked(bits: int, runs: bytes, rows: str) -> None:
    shown = decode(bmp_of(4, 2, bits, runs)).tobytes()
    names = {b"\xff\0\0": "r", b"\0\xff\0": "g", b"\0\0\xff": "b", b"\xff\xff\xff": "w"}
    assert "".join(names[shown[at : at + 3]] for at in range(0, 24, 3)) == rows.replace(" ", "")


@pytest.mark.parametrize("runs", [b"", b"\4", b"\4\1", b"\4\1\0\0\0\4\1", b"\0\2\1"])
def test_a_bitmap_whose_runs_end_early_is_truncated(runs: bytes) -> None:
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode(bmp_of(4, 2, 8, runs))


# -- HEIC and AVIF ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("plain.heic", PICTURE),
        ("exif6.heic", PICTURE),
        ("turned.heic", PICTURE.transpose(Image.Transpose.ROTATE_270)),
    ],
)
def test_a_phones_picture_is_shown_upright_once(name: str, right: Image.Image) -> None:
    assert apart((DATA / name).read_bytes(), right) < 6


def test_what_is_transparent_in_a_heic_is_white() -> None:
    shown = decode((DATA / "transparent.heic").read_bytes())
    assert min(shown.getpixel((90, 30))) >= 250  # type: ignore[arg-type]
    assert apart((DATA / "plain.heic").read_bytes()) < 6


def test_grey_of_twelve_bits_is_shown_as_grey_of_eight() -> None:
    right = decode((DATA / "grey.heic").read_bytes())
    assert apart((DATA / "grey_of_12_bits.heic").read_bytes(), right) < 1
    assert right.getpixel((50, 40)) == (162, 162, 162)


def test_a_heic_that_claims_more_bits_than_its_pixels_have_is_refused() -> None:
    """pi-heif would write behind the pixels, and end the process."""
    data = bytearray((DATA / "grey.heic").read_bytes())
    depth = data.index(b"hvcC") + 4 + 17
    assert data[depth] & 7 == 0, "eight bits"
    data[depth] |= 4
    with pytest.raises(ImageUnreadable, match="damaged HEIC picture"):
        decode(bytes(data))


def test_a_heic_with_an_item_of_a_type_that_is_no_text_is_refused() -> None:
    """pi-heif would end the process."""
    data = (DATA / "exif6.heic").read_bytes()
    assert data.count(b"Exif\0\0\0") == 1
    with pytest.raises(ImageUnreadable, match="damaged HEIC picture"):
        decode(data.replace(b"Exif\0\0\0", b"Exi\x80\0\0\0"))


def test_a_heic_that_ends_early_is_refused() -> None:
    data = (DATA / "plain.heic").read_bytes()
    with pytest.raises(ImageUnreadable, match=r"truncated|damaged"):
        decode(data[: len(data) // 2])


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
</rdf:RDF></x:xmpmeta>"""


def test_an_avif_is_not_turned_by_its_xmp() -> None:
    assert decode(encoded(PICTURE, "AVIF", xmp=XMP)).size == PICTURE.size


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True, "quality": 30}])
def test_a_jpeg_in_which_nothing_is_odd_is_left_as_it_is_without_a_look_at_its_pixels(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoded(scene(200, 150), "JPEG", **how)
    odd = {
        "fill bytes": plain[:2] + b"\xff\xff" + plain[2:],
        "a short segment": plain[:2] + b"\xff\xe1\0\x04ab" + plain[2:],
        "no end": plain[:-2],
        "more behind": plain + b"\0",
        "a comment": plain[:2] + b"\xff\xfe\0\x04ab" + plain[2:],
    }
    looked: list[bytes] = []
    parsed = jpeg._parsed

    def watched(data: bytes) -> Any:
        looked.append(data)
        return parsed(data)

    monkeypatch.setattr(jpeg, "_parsed", watched)

    assert jpeg.mended(plain) is plain
    assert looked == []
    for name, data in odd.items():
        assert decode(data).tobytes() == decode(plain).tobytes(), name
        assert data in looked, name
