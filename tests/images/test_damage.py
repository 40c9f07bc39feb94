"""Whatever is done to a file, preparing it gives a whole picture or an ImageError."""

import io
import random
import subprocess
import sys
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from captiv.catalog.model import ImagePolicy
from captiv.errors import ImageError
from captiv.images.prepare import prepare

SMALL = ImagePolicy(32)
KINDS: dict[str, tuple[str, str, dict[str, str | int]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 80}),
    "jpeg progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "mpo": ("MPO", "RGB", {}),
    "png": ("PNG", "RGBA", {}),
    "png palette": ("PNG", "P", {}),
    "png 16 bit": ("PNG", "I;16", {}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "dib": ("DIB", "RGB", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff float": ("TIFF", "F", {}),
    "webp": ("WEBP", "RGB", {}),
    "webp lossless": ("WEBP", "RGBA", {"lossless": True}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
}

# Outside the tests these warnings are silenced where Pillow is imported.
pytestmark = pytest.mark.filterwarnings("ignore")


@cache
def sample(kind: str) -> bytes:
    name, mode, how = KINDS[kind]
    grain = random.Random(kind).randbytes(3 * 12 * 9)
    image = Image.frombytes("RGB", (12, 9), grain).resize((60, 45), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    if mode == "I;16":
        image = image.convert("I").point(lambda value: value * 257).convert("I;16")
    out = io.BytesIO()
    about = {} if name in ("GIF", "BMP", "DIB") else {"exif": exif.tobytes()}
    image.convert(mode).save(out, name, **how, **about)
    return out.getvalue()


def whole_or_error(data: bytes) -> bool:
    """Tell whether a picture came out, which then must be whole."""
    try:
        prepared = prepare(data, SMALL)
    except ImageError as error:
        assert error.message.startswith(("the file ", "the picture "))
        assert error.message.isprintable()
        return False
    shown = Image.open(io.BytesIO(prepared.data))
    shown.load()
    assert shown.size == (prepared.width_px, prepared.height_px)
    assert shown.mode == "RGB"
    assert min(shown.size) <= SMALL.size_px
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_an_undamaged_sample_is_shown(kind: str) -> None:
    assert whole_or_error(sample(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_refused_or_whole(kind: str) -> None:
    data = sample(kind)
    for length in range(0, len(data), max(1, len(data) // 60)):
        whole_or_error(data[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_picture_is_never_shown(kind: str) -> None:
    data = sample(kind)
    assert not whole_or_error(data[: len(data) // 2])


@given(st.data())
@settings(
    max_examples=250, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_flipped_bytes_are_refused_or_shown(data: st.DataObject) -> None:
    damaged = bytearray(sample(data.draw(st.sampled_from(list(KINDS)))))
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=12)):
        damaged[at] = data.draw(st.integers(0, 255))
    whole_or_error(bytes(damaged))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_headers_are_refused_or_shown(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(60):
        damaged = bytearray(sample(kind))
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(4, min(400, len(damaged)))] = chance.choice((0, 1, 127, 255))
        whole_or_error(bytes(damaged))


@given(st.binary(max_size=400), st.sampled_from(list(KINDS)))
@settings(max_examples=300, database=None, derandomize=True)
def test_noise_behind_a_true_beginning_is_refused_or_shown(noise: bytes, kind: str) -> None:
    whole_or_error(sample(kind)[:16] + noise)


_QUIETLY = """
import random
from captiv.errors import ImageError
from captiv.images.prepare import decode
from tests.images.test_damage import KINDS, sample
for kind in KINDS:
    whole, chance = sample(kind), random.Random(kind)
    for _ in range(20):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        try:
            decode(bytes(damaged))
        except ImageError:
            pass
"""


def test_no_decoder_writes_to_standard_error() -> None:
    """Whoever reads captiv's standard error reads captiv's own sentences."""
    done = subprocess.run([sys.executable, "-c", _QUIETLY], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
