"""Compare how captiv shows pictures with how ImageMagick and libvips do.

A picture that any of them shows by more than 8 levels otherwise, or that captiv refuses and another
one reads, needs a reason in decoders.toml. The table of these is written anew.
"""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageChops, ImageStat

from captiv.errors import ImageError
from captiv.images.find import is_image_name
from captiv.images.kinds import kind_of
from captiv.images.prepare import decode

ROOT: Final = Path(__file__).parents[1]
REASONS: Final = Path(__file__).with_suffix(".toml")
TABLE: Final = ROOT / "tests" / "images" / "decoders.md"
MOST_LEVELS: Final = 8.0
_LONGEST_S: Final = 60
_UPRIGHT_ON_WHITE: Final = (
    "-auto-orient -background white -alpha remove -alpha off -colorspace sRGB -depth 8 ppm:-"
)

Decoder = Callable[[Path], Image.Image | None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some pictures are shown otherwise."""

    files: tuple[str, ...]
    """Patterns of a folder's name and a path in it."""
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A picture that is shown otherwise by others."""

    name: str
    others: tuple[str, ...]
    """What is different, one a decoder."""
    why: str


def main() -> int:
    options = _options()
    decoders = dict(_decoders())
    if not decoders:
        print("There is nothing to compare with.", file=sys.stderr)
        return 2
    reasons = _reasons()
    rows, compared = [], 0
    for name, path in _pictures(options.folders):
        compared += 1
        row = _row(name, path, list(decoders.values()), reasons)
        if row is not None:
            rows.append(row)
            if not row.why or options.verbose:
                print(" | ".join((row.name, *row.others, row.why)), flush=True)
    options.table.write_text("\n".join(_page(rows, list(decoders), compared)) + "\n")
    missing = sum(not row.why for row in rows)
    print(f"{compared:,} pictures, {len(rows)} shown otherwise, {missing} without a reason")
    return int(missing > 0)


def _pictures(folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (is_image_name(path.name) or kind_of(path.read_bytes())):
                yield f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}", path


def _row(
    name: str, path: Path, decoders: Sequence[Decoder], reasons: Sequence[Reason]
) -> Row | None:
    ours: Image.Image | str
    try:
        ours = decode(path.read_bytes())
    except ImageError as error:
        ours = error.message
    others = tuple(_difference(ours, decoder(path)) for decoder in decoders)
    if not any(others):
        return None
    fitting = (reason.why for reason in reasons if any(fnmatch(name, one) for one in reason.files))
    return Row(name, others, next(fitting, ""))


def _difference(ours: Image.Image | str, other: Image.Image | None) -> str:
    """Return what is different, or nothing."""
    if other is None:
        return ""
    if isinstance(ours, str):
        return f"{other.width}x{other.height}; captiv: {ours}"
    if ours.size != other.size:
        return f"{other.width}x{other.height}, not {ours.width}x{ours.height}"
    means = ImageStat.Stat(ImageChops.difference(ours, other)).mean
    levels = sum(means) / len(means)
    return f"{levels:.0f} levels" if levels > MOST_LEVELS else ""


def _decoders() -> Iterator[tuple[str, Decoder]]:
    for command in ("magick", "convert"):
        told = _said([command, "-version"])
        if told.startswith(b"Version: ImageMagick"):
            words = told.split()
            yield f"ImageMagick {words[2].decode()}", partial(_by_magick, command)
            break
    else:
        print("ImageMagick is not here: apt-get install imagemagick", file=sys.stderr)
    try:
        import pyvips
    except (ImportError, OSError) as error:
        print(f"libvips is not here: {error}", file=sys.stderr)
        return
    pyvips.cache_set_max(0)
    version = ".".join(str(pyvips.version(part)) for part in range(3))
    yield f"libvips {version}", partial(_by_vips, pyvips)


def _by_magick(command: str, path: Path) -> Image.Image | None:
    told = _said([command, f"{path}[0]", *_UPRIGHT_ON_WHITE.split()])
    return Image.open(BytesIO(told)).convert("RGB") if told.startswith(b"P") else None


def _by_vips(pyvips: Any, path: Path) -> Image.Image | None:
    try:
        image = pyvips.Image.new_from_buffer(path.read_bytes(), "", fail_on="error").autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True, depth=8)
        image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten(background=255)
        image = image.extract_band(0, n=min(3, image.bands)).cast("uchar")
        mode = "RGB" if image.bands == 3 else "L"
        size = image.width, image.height
        return Image.frombytes(mode, size, image.write_to_memory()).convert("RGB")
    except pyvips.Error:
        return None


def _said(command: list[str]) -> bytes:
    """Return what a command writes if it ends well, soon."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST_S)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def _reasons() -> list[Reason]:
    told = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    return [Reason(tuple(one["files"]), " ".join(one["why"].split())) for one in told["reason"]]


def _page(rows: Sequence[Row], decoders: Sequence[str], compared: int) -> Iterator[str]:
    yield "# Pictures that other programs show otherwise"
    yield ""
    yield (
        f"`scripts/compare_decoders` wrote this page. Of {compared:,} pictures, these are shown"
        f" otherwise by more than {MOST_LEVELS:.0f} of 255 levels on average, or not by captiv."
    )
    yield ""
    yield f"| picture | {' | '.join(decoders)} | why |"
    yield "| --- |" + " --- |" * (len(decoders) + 1)
    for row in rows:
        yield f"| `{row.name}` | {' | '.join(row.others)} | {row.why} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/compare_decoders", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="of pictures")
    parser.add_argument("--table", type=Path, default=TABLE, help="where it is written")
    parser.add_argument("--verbose", action="store_true", help="print pictures with reasons, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
