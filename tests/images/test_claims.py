"""Files of a kilobyte that claim a gigabyte: they take no more than captiv counts, nor long."""

import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from types import TracebackType

import pytest
from PIL import Image

from captiv.catalog.model import ImagePolicy
from captiv.errors import ImageUnreadable
from captiv.images.kinds import kind_of
from captiv.images.memory import stored_bytes
from captiv.images.prepare import decode, prepare

from .test_odd_files import chunk
from .test_prepare import encoded, opened

LONGEST = 178_956_970
"""A column of so many pixels has as many as the largest sheet of 13,377 x 13,377."""
BACKGROUND, PREVIOUS = 2, 3
TRANSPARENT = 1
PACKED = zlib.compress(bytes(1000))


def gif(size: tuple[int, int], frame: tuple[int, int, int, int], disposal: int = 0) -> bytes:
    """Return a GIF with two pixels of a transparent frame (left, top, width, height)."""
    pixels = b"\x02\x02\x04\x0a\x00"  # two of the first colour
    return b"".join(
        (
            b"GIF89a",
            struct.pack("<HHBBB", *size, 0x80, 0, 0),
            bytes((9, 9, 9, 200, 0, 0)),
            bytes((0x21, 0xF9, 4, disposal << 2 | TRANSPARENT, 0, 0, 0, 0)),
            b"," + struct.pack("<HHHHB", *frame, 0),
            pixels,
            b";",
        )
    )


def bitmap(size: tuple[int, int], bits: int, packed: int = 0) -> bytes:
    palette = bytes(range(256)) * 4 if bits <= 8 else b""
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, packed, 0, 0, 0, 0, 0)
    whole = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 14 + 40 + len(palette)) + head + palette
    return whole + bytes(64)


def png(size: tuple[int, int], colour: int, packed: bytes = PACKED) -> bytes:
    head = struct.pack(">IIBBBBB", *size, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def met(data: bytes, folder: Path) -> str:
    """Return how the fuzz meets a file, in a process under its limits."""
    kind = kind_of(data)
    assert kind is not None
    (folder / "claim").write_bytes(data)
    ask = (
        "import json, sys; from pathlib import Path; from captiv.images.kinds import Kind\n"
        "from tests.images.fuzz.mutants import Mutant\n"
        "from tests.images.fuzz.seeds import Seed\n"
        "from tests.images.fuzz.trial import Limits, attempt, limit\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "mutant = Mutant(1, Seed('claim', Kind(sys.argv[2]), data), data)\n"
        "limit(Limits().memory_mb)\n"
        "trial = attempt(mutant, Limits())\n"
        "print(json.dumps([trial.ending, trial.code, trial.words]))\n"
    )
    with tempfile.TemporaryFile("w+b") as said:
        done = subprocess.run(
            [sys.executable, "-c", ask, folder / "claim", kind],
            check=True,
            stdout=subprocess.PIPE,
            stderr=said,
        )
    ending, code, words = json.loads(done.stdout)
    return words or f"{ending} {code}"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds what a process takes")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bitmap((1, LONGEST), 8), id="a column of grey"),
        pytest.param(bitmap((2, LONGEST), 1), id="two columns of bits"),
        pytest.param(bitmap((1, LONGEST), 24), id="a column of colours"),
        pytest.param(bitmap((1, LONGEST), 8, packed=1), id="a column of runs"),
        pytest.param(png((1, LONGEST), 6), id="a transparent column"),
        pytest.param(gif((53_360, 39_573), (0, 0, 53_360, 39_573), BACKGROUND), id="a background"),
        pytest.param(gif((53_360, 39_573), (0, 0, 53_360, 39_573), PREVIOUS), id="a frame before"),
    ],
)
def test_a_claim_beyond_the_budget_is_refused_before_memory_is_taken(
    data: bytes, tmp_path: Path
) -> None:
    assert met(data, tmp_path) == "refused image_too_large"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process takes")
@pytest.mark.parametrize(
    ("mode", "size"),
    [("L", (1, 4_000_000)), ("1", (6, 3_000_000)), ("RGB", (1, 4_000_000)), ("L", (8000, 6000))],
)
def test_a_picture_takes_what_is_counted_for_it(mode: str, size: tuple[int, int]) -> None:
    ask = (
        "import re, sys; from PIL import Image\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "held = lambda: int(re.search(r'VmRSS:\\s+(\\d+)', status())[1])\n"
        "before = held()\n"
        "picture = Image.new(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), 1)\n"
        "print((held() - before) * 1024)\n"
    )
    command = [sys.executable, "-c", ask, mode, *map(str, size)]
    took = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert abs(took - stored_bytes(mode, size)) < 0.05 * took


def test_an_edge_that_no_webp_holds_is_squashed_to_one_that_does() -> None:
    noise = Image.effect_noise((40, 20_000), 90).convert("RGB")
    strip = encoded(noise, "AVIF", quality=1, speed=10)

    prepared = prepare(strip, ImagePolicy(1152, "area"))

    assert (prepared.width_px, prepared.height_px) == (40, 16_383)
    assert prepared.media_type == "image/webp"
    assert opened(prepared.data).size == (40, 16_383)


def emptied(trace: TracebackType | None) -> bool:
    """Whether none of its frames keeps a picture."""
    while trace is not None:
        if any(isinstance(held, Image.Image) for held in trace.tb_frame.f_locals.values()):
            return False
        trace = trace.tb_next
    return True


def test_an_error_keeps_no_picture_whose_memory_the_budget_has_back() -> None:
    whole = encoded(Image.effect_noise((300, 200), 50), "PNG")
    with pytest.raises(ImageUnreadable, match="truncated") as cut_off:
        decode(whole[:-3000])
    with pytest.raises(ImageUnreadable, match="damaged") as damaged:
        decode(png((300, 200), 2, PACKED[:2] + b"\xff" * 40))
    for error in (cut_off.value, damaged.value):
        raised: BaseException | None = error
        while raised is not None:
            assert emptied(raised.__traceback__)
            raised = raised.__context__
