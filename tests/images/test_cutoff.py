"""Files that end before their picture does: refused, or shown as far as they came when asked."""

import random
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageFile, ImageStat

from captiv.catalog.model import ImagePolicy
from captiv.errors import ImageUnreadable
from captiv.images.prepare import decode, prepare

from .test_odd_files import chunk
from .test_prepare import encoded, opened

POLICY = ImagePolicy(512)
GRAIN = random.Random(5).randbytes(3 * 30 * 20)
PICTURE = Image.frombytes("RGB", (30, 20), GRAIN).resize((300, 200), Image.Resampling.BICUBIC)
OPTION = "; --accept-truncated captions what is there"

KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}),
    "jpeg in scans": ("JPEG", "RGB", {"progressive": True}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png with alpha": ("PNG", "RGBA", {}),
    "png palette": ("PNG", "P", {}),
    "png 16 bit": ("PNG", "I;16", {}),
    "gif": ("GIF", "P", {"interlace": 0}),
    "gif with a transparent colour": ("GIF", "P", {"interlace": 0, "transparency": 3}),
    "tiff": ("TIFF", "RGB", {}),
}
BOTTOM_UP: dict[str, tuple[str, str, dict[str, object]]] = {
    "bmp": ("BMP", "RGB", {}),
    "bmp palette": ("BMP", "P", {}),
    "dib": ("DIB", "RGB", {}),
}
NOTHING_COMES: dict[str, tuple[str, str, dict[str, object]]] = {
    "tiff with its directory at its end": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", "RGB", {}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
}


def sample(kind: str) -> bytes:
    name, mode, how = (KINDS | BOTTOM_UP | NOTHING_COMES)[kind]
    picture = PICTURE
    if mode == "I;16":
        picture = picture.convert("I").point(lambda level: level * 257).convert("I;16")
    return encoded(picture.convert(mode), name, **how)


def refusal(data: bytes, *, accept_truncated: bool) -> str:
    with pytest.raises(ImageUnreadable) as refused:
        prepare(data, POLICY, accept_truncated=accept_truncated)
    return refused.value.message


def apart(shown: Image.Image, right: Image.Image, rows: tuple[int, int]) -> float:
    """Return by how many levels these rows are shown other than right, on average."""
    box = (0, rows[0], shown.width, rows[1])
    means = ImageStat.Stat(ImageChops.difference(shown.crop(box), right.crop(box))).mean
    return sum(means) / len(means)


@pytest.mark.parametrize("kind", [*KINDS, *BOTTOM_UP])
def test_a_file_that_is_cut_off_is_shown_as_far_as_it_came_when_asked(kind: str) -> None:
    whole = sample(kind)
    half = whole[: len(whole) // 2]
    right = decode(whole)
    came, missing = ((150, 200), (0, 50)) if kind in BOTTOM_UP else ((0, 50), (170, 200))

    said = refusal(half, accept_truncated=False)
    shown = opened(prepare(half, POLICY, accept_truncated=True).data).convert("RGB")

    assert said.startswith("the file is truncated: it ends before the ")
    assert said.endswith(OPTION)
    assert shown.size == right.size
    assert apart(shown, right, came) < (8 if kind == "jpeg in scans" else 4)
    if kind != "jpeg in scans":  # of which every row came, less sharp
        assert apart(shown, right, missing) > 20
    assert refusal(half, accept_truncated=False) == said, "it is asked for in each image anew"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("kind", NOTHING_COMES)
def test_a_kind_of_which_nothing_comes_is_truncated_and_names_no_option(kind: str) -> None:
    half = sample(kind)[: len(sample(kind)) // 2]

    for accept in (False, True):
        said = refusal(half, accept_truncated=accept)
        assert said.startswith("the file is truncated: it ends before the ")
        assert "--accept-truncated" not in said


BEFORE_ITS_FIRST_ROW: dict[str, Callable[[bytes], int]] = {
    "jpeg": lambda whole: whole.rindex(b"\xff\xda") + 20,
    "png": lambda whole: whole.index(b"IDAT") + 6,
    "png palette": lambda whole: whole.index(b"IDAT") + 6,
    "gif": lambda whole: whole.index(b",\0\0\0\0") + 12,
    "bmp": lambda whole: 60,
    "tiff": lambda whole: 300,
}


@pytest.mark.parametrize("kind", BEFORE_ITS_FIRST_ROW)
def test_a_file_without_a_single_row_is_refused_all_the_same(kind: str) -> None:
    data = sample(kind)[: BEFORE_ITS_FIRST_ROW[kind](sample(kind))]

    said = refusal(data, accept_truncated=True)

    assert said == refusal(data, accept_truncated=False)
    assert said.startswith("the file is truncated: it ends before the ")
    assert "--accept-truncated" not in said


def test_a_jpeg_cut_between_its_scans_is_shown_as_far_as_it_came_when_asked() -> None:
    whole = sample("jpeg in scans")
    tables = whole.rindex(b"\xff\xc4")
    cut = whole[: tables + 9]

    assert refusal(cut, accept_truncated=False).endswith(OPTION)
    shown = opened(prepare(cut, POLICY, accept_truncated=True).data)

    assert apart(shown, decode(whole), (0, 200)) < 6


def test_a_png_with_a_wrong_checksum_is_damaged_whatever_is_asked() -> None:
    whole = sample("png")
    at = whole.index(b"IDAT")
    pixels = whole[at + 4 : whole.index(b"IEND") - 8]
    split = len(pixels) // 3
    wrong = whole[: at - 4] + chunk(b"IDAT", pixels[:split], checksum=7)
    cut = wrong + chunk(b"IDAT", pixels[split:])[:900]

    assert zlib.crc32(b"IDAT" + pixels[:split]) != 7
    for data in (cut, wrong + chunk(b"IDAT", pixels[split:]) + whole[-12:]):
        said = refusal(data, accept_truncated=True)
        assert (
            said
            == "the file is a damaged PNG picture: a checksum of its header or its pixels is wrong"
        )


def test_a_file_that_is_damaged_and_not_cut_off_is_refused_whatever_is_asked() -> None:
    whole = sample("png")
    at = whole.index(b"IDAT")
    pixels = bytearray(whole[at + 4 : whole.index(b"IEND") - 8])
    pixels[len(pixels) // 2 : len(pixels) // 2 + 40] = bytes(40)
    data = whole[: at - 4] + chunk(b"IDAT", bytes(pixels)) + whole[-12:]

    assert refusal(data, accept_truncated=True) == "the file is a damaged PNG picture"


def test_a_picture_that_is_whole_is_sent_the_same_whatever_is_asked() -> None:
    for kind in KINDS:
        whole = sample(kind)
        assert prepare(whole, POLICY, accept_truncated=True) == prepare(whole, POLICY)
