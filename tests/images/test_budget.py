"""One budget of bytes for all that decode, and pictures that are made smaller before all else."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from captiv.catalog import ImagePolicy
from captiv.errors import ImageTooLarge, ImageUnreadable
from captiv.images.budget import Budget
from captiv.images.colour import flattened, mend
from captiv.images.memory import stored_bytes
from captiv.images.prepare import decode
from captiv.images.reduce import averaged, plan
from tests.support import until

POLICY = ImagePolicy(384)
MB = 1024 * 1024


def test_who_finds_it_used_up_waits_for_its_turn() -> None:
    budget = Budget(10)
    order: list[str] = []
    held = budget.taken((1, 1), 8)
    held.__enter__()

    def take(name: str, wanted: int) -> None:
        with budget.taken((1, 1), wanted):
            order.append(name)

    threads = []
    for name, wanted in (("large", 9), ("small", 1)):
        threads.append(threading.Thread(target=take, args=(name, wanted)))
        threads[-1].start()
        until(lambda: len(budget._waiting) == len(threads), "it waits")

    assert order == []
    held.__exit__(None, None, None)
    for thread in threads:
        thread.join(10)
    assert sorted(order) == ["large", "small"]
    with budget.taken((1, 1), 10):
        pass


def test_what_never_fits_is_refused_in_words_and_takes_nothing() -> None:
    budget = Budget(3 * MB)
    with (
        pytest.raises(ImageTooLarge, match=r"2,000 x 3,000 pixels, which take 4 MB.*up to 3 MB"),
        budget.taken((2000, 3000), 4 * MB),
    ):
        pass
    with budget.taken((1, 1), 3 * MB):
        pass


def test_what_fails_gives_back_what_it_took() -> None:
    budget = Budget(400_000)
    out = BytesIO()
    Image.effect_noise((150, 150), 50).save(out, "PNG")
    for _ in range(3):
        with pytest.raises(Exception, match="truncated"):
            decode(out.getvalue()[:-3000], budget=budget)
    assert decode(out.getvalue(), budget=budget).size == (150, 150)


def drawing(mode: str, size: tuple[int, int]) -> Image.Image:
    """Return a picture of large areas, with fine noise, in any mode."""
    image = Image.effect_noise(size, 40).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), (200, 40, 40))
    draw.rectangle((size[0] // 2, size[1] // 2, size[0] - 40, size[1] - 40), (30, 60, 220))
    if mode in ("LA", "RGBA", "PA"):
        image.putalpha(Image.linear_gradient("L").resize(size))
        return image.convert(mode)
    if mode == "P":
        palette = image.quantize(64)
        palette.info["transparency"] = 3
        return palette
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_large_picture_averaged_by_bands_is_the_same_picture(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captiv.images.reduce._LARGE_BYTES", 0)
    monkeypatch.setattr("captiv.images.reduce._BAND_BYTES", 200_000)
    size, target = (1531, 1003), (101, 97)
    planned = plan(mode, size, target)
    picture = drawing(mode, size)
    by_bands, box = averaged(picture.copy(), planned.factors)
    at_once, _ = averaged(picture.copy(), (1, 1))

    assert planned.factors == (7, 5)
    assert by_bands.size == (219, 201)
    small = by_bands.convert("RGB").resize(target, Image.Resampling.LANCZOS, box)
    right = at_once.convert("RGB").resize(target, Image.Resampling.LANCZOS)
    assert max(ImageStat.Stat(ImageChops.difference(small, right)).mean) < 2.5


def test_a_strip_whose_decoder_does_not_halve_it_is_averaged_along_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("captiv.images.reduce._LARGE_BYTES", 0)
    strip = drawing("RGB", (6000, 90))
    out = BytesIO()
    strip.save(out, "JPEG", quality=95, subsampling=0)
    policy = ImagePolicy(60, "square")

    shown = decode(out.getvalue(), policy=policy)

    assert plan("RGB", (6000, 90), (60, 60)).factors == (50, 1)
    right = strip.resize((60, 60), Image.Resampling.LANCZOS)
    assert max(ImageStat.Stat(ImageChops.difference(shown, right)).mean) < 4


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "LAB"])
def test_a_picture_whose_range_decides_is_brought_to_8_bits_whole(mode: str) -> None:
    assert plan(mode, (20_000, 20_000), (100, 100)).factors == (1, 1)


@pytest.mark.parametrize("gamma", [None, 1.0])
def test_a_transparent_palette_becomes_one_in_which_pixels_are_only_looked_up(
    gamma: float | None,
) -> None:
    picture = drawing("RGB", (90, 80)).quantize(256)
    picture.info["transparency"] = bytes(range(0, 256, 2)) * 2
    picture.info |= {} if gamma is None else {"gamma": gamma}
    right = flattened(picture.convert("RGBA"))

    mend(picture)

    assert not picture.has_transparency_data
    assert picture.mode == "P"
    assert picture.convert("RGB").tobytes() == right.tobytes() == flattened(picture).tobytes()


class Watched(Budget):
    """A budget that remembers how many bytes were asked for."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.asked: list[int] = []

    @contextmanager
    def taken(self, size: tuple[int, int], wanted_bytes: int) -> Iterator[None]:
        self.asked.append(wanted_bytes)
        with super().taken(size, wanted_bytes):
            yield


@pytest.mark.parametrize(("kind", "size", "times"), [("PNG", (150, 100), 2), ("JPEG", (19, 13), 8)])
def test_the_search_for_the_rows_of_a_file_that_is_cut_off_counts_in_the_budget(
    kind: str, size: tuple[int, int], times: int
) -> None:
    out = BytesIO()
    Image.effect_noise((150, 100), 50).save(out, kind)
    budget = Watched(MB)
    with pytest.raises(ImageUnreadable, match="accept-truncated"):
        decode(out.getvalue()[:-3000], budget=budget)
    assert budget.asked.count(stored_bytes("L", size)) == times
    assert budget.asked[0] == budget.asked[-1] > stored_bytes("L", (150, 100))


def a0(path: Path) -> None:
    Image.new("1", (19_866, 28_087), 1).save(path, "TIFF", compression="group4")


def sheet(path: Path) -> None:
    Image.new("RGBA", (13_350, 13_350), (255, 0, 0, 128)).save(path, "PNG", compress_level=6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process took at most")
@pytest.mark.parametrize(("make", "shown"), [(a0, (255, 255, 255)), (sheet, (255, 127, 127))])
def test_a_sheet_of_paper_is_read_within_the_budget(
    make: Callable[[Path], Any], shown: tuple[int, int, int], tmp_path: Path
) -> None:
    make(tmp_path / "sheet")
    ask = (
        "import re, sys; from captiv.catalog import ImagePolicy;"
        "from captiv.images.prepare import decode;"
        "image = decode(open(sys.argv[1], 'rb').read(), policy=ImagePolicy(384));"
        "status = open('/proc/self/status').read();"  # a process's rusage begins with its parent's
        "print(*image.getpixel((9, 9)), re.search(r'VmHWM:\\s+(\\d+)', status)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, tmp_path / "sheet"], check=True, capture_output=True, text=True
    )
    *colour, peak_kb = map(int, done.stdout.split())

    assert (tmp_path / "sheet").stat().st_size < 2 * MB
    assert max(abs(a - b) for a, b in zip(colour, shown, strict=True)) <= 1
    assert peak_kb / 1024 < 1024
