"""What preparing a photograph costs, how many bytes it sends, and how near the model's input is.

    scripts/bench prepare [FOLDER…]

Each picture of the folders (JPEG, PNG, WebP) is prepared for models that see different things of
it. The baseline is the plain way, in the same run: decode the whole file by Pillow, shrink by
Lanczos to the same size, encode as JPEG 95 with whole colours. Told are, over all pictures:

- CPU milliseconds a picture, and the share of the plain way;
- KB a picture, the share of the plain way and of the file;
- at the model's input, the mean difference from the picture as it was before it was encoded, of all
  and of the worst picture, in levels of 255.

Without folders, the photographs are those of Debian's package plasma-workspace-wallpapers, where it
is installed; `apt-get install plasma-workspace-wallpapers` does that.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageChops, ImageStat

from captiv.catalog import ImagePolicy
from captiv.catalog.model import ImageQuality
from captiv.images.prepare import decode, fitted, prepare

WALLPAPERS: Final = Path("/usr/share/wallpapers")
MODELS: Final = (
    ("JoyCaption, 384 px square", ImagePolicy(384, "square")),
    ("Qwen-VL, 1152 px of area", ImagePolicy(1152, "area")),
    ("SmolVLM, 1536 px long", ImagePolicy(1536, "long")),
)
QUALITIES: Final[tuple[ImageQuality, ...]] = ("low", "standard", "high")
STEP_PX: Final = 28
"""To multiples of this a model brings both edges that keeps a picture's shape."""


class Cost(NamedTuple):
    """What one picture took."""

    cpu_s: float
    size: int
    apart: float
    """Mean difference at the model's input, in levels of 255."""


def main() -> None:
    options = _options()
    paths = _photographs(options.folders)
    if not paths:
        sys.exit("There is no picture of 1 megapixel or more in these folders.")
    files = [path.read_bytes() for path in paths]
    total = statistics.mean(map(len, files))
    print(f"{len(files)} pictures of {total / 1000:,.0f} KB")
    for name, policy in MODELS:
        plain = [_cost(_plain, data, policy) for data in files]
        print(f"{name}: plainly {_told(plain, None, total)}")
        for quality in QUALITIES:
            ours = [_cost(partial(_captivs, quality=quality), data, policy) for data in files]
            print(f"  {quality}: {_told(ours, plain, total)}")


def _photographs(folders: Sequence[Path]) -> list[Path]:
    """Return the pictures of 1 megapixel and more; of a wallpaper its largest one."""
    found: dict[Path, tuple[int, Path]] = {}
    for folder in folders or [WALLPAPERS]:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
                continue
            with Image.open(path) as image:
                pixels = image.width * image.height
            at = path.parent if not folders else path
            if pixels >= 1_000_000 and pixels > found.get(at, (0, path))[0]:
                found[at] = pixels, path
    return [path for _, path in found.values()]


def _plain(data: bytes, policy: ImagePolicy) -> bytes:
    with Image.open(BytesIO(data)) as image:
        whole = image.convert("RGB").resize(fitted(image.size, policy), Image.Resampling.LANCZOS)
    out = BytesIO()
    whole.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


def _captivs(data: bytes, policy: ImagePolicy, *, quality: ImageQuality) -> bytes:
    return prepare(data, policy, quality=quality).data


def _cost(make: Callable[[bytes, ImagePolicy], bytes], data: bytes, policy: ImagePolicy) -> Cost:
    """Return what one picture takes: of two tries the shorter one."""
    took = []
    for _ in range(2):
        began = time.thread_time()
        sent = make(data, policy)
        took.append(time.thread_time() - began)
    before, after = (_seen(decode(each, policy=policy), policy) for each in (data, sent))
    apart = statistics.mean(ImageStat.Stat(ImageChops.difference(before, after)).mean)
    return Cost(min(took), len(sent), apart)


def _seen(image: Image.Image, policy: ImagePolicy) -> Image.Image:
    """Return the picture as it goes into the network."""
    if policy.rule in ("square", "short"):
        size = (policy.size_px, policy.size_px)
    else:
        width, height = (max(STEP_PX, round(edge / STEP_PX) * STEP_PX) for edge in image.size)
        size = (width, height)
    return image.resize(size, Image.Resampling.BICUBIC)


def _told(costs: list[Cost], plain: list[Cost] | None, file_bytes: float) -> str:
    cpu_s, size, apart = (statistics.mean(values) for values in zip(*costs, strict=True))
    worst = max(cost.apart for cost in costs)
    text = f"{1000 * cpu_s:.0f} ms, {size / 1000:.0f} KB ({size / file_bytes:.2f} of the file)"
    if plain is not None:
        plain_s, plain_size, _ = (statistics.mean(values) for values in zip(*plain, strict=True))
        text += f", {cpu_s / plain_s:.2f} of the time and {size / plain_size:.2f} of the bytes"
    return f"{text}; {apart:.2f} levels apart, at most {worst:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
