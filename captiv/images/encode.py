"""Encoding a prepared picture for its way to a worker: small, and near to what the model would see.

Three qualities, measured at the model's input over photographs (docs/benchmarks.md). At `standard`
no photograph is off by more than 4.5 of 255 levels on average, and all together by 1.6: JPEG 90
with whole colours for small pictures, 85 with halved colours for large ones, where the network sees
several pixels of each edge.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from PIL import Image

from captiv.catalog.model import ImagePolicy, ImageQuality

PNG_UP_TO_PX: Final = 256
"""A picture from a lossless file that is no larger travels as PNG: JPEG would smear drawn edges."""

_PNG_LEVEL: Final = 1
"""Measured on noisy 128 px drawings: a quarter of the time of level 6, a seventh more bytes."""

_WHOLE_COLOURS: Final = 0
_HALVED_COLOURS: Final = 2
_SMALL: Final[dict[ImageQuality, tuple[int, int]]] = {
    "low": (85, _HALVED_COLOURS),
    "standard": (90, _WHOLE_COLOURS),
    "high": (95, _WHOLE_COLOURS),
}
"""JPEG's quality and subsampling for models that see one square. An entry never changes: unfinished
runs have its name in their row, and a key of theirs must not name two bodies."""
_LARGE: Final[dict[ImageQuality, tuple[int, int]]] = {
    "low": (75, _HALVED_COLOURS),
    "standard": (85, _HALVED_COLOURS),
    "high": (95, _WHOLE_COLOURS),
}
"""The same for models that see more."""
SMALL_BYTES: Final = 16 * 1024
"""What is no larger than this may be larger than its file: nobody waits for it."""
_WEBP_QUALITY: Final = 85
"""As near as JPEG at `standard`, in fewer bytes and ten times the CPU: for a picture that would be
larger than its file."""
_WEBP_LOWER: Final = (70, 50, 30, 15)
"""What is left to try then."""
_PLAIN_COLOURS: Final = 256

Encoded = tuple[bytes, str]
"""Bytes and media type."""


def encoded(
    picture: Image.Image,
    policy: ImagePolicy,
    quality: ImageQuality,
    *,
    lossless: bool,
    at_most: int | None,
) -> Encoded:
    """Return the picture encoded, in no more than `at_most` bytes if any way leads there.

    What is no larger than `SMALL_BYTES` may be larger than its file.

    Args:
        picture: mode RGB.
        policy: what the model sees.
        quality: of the run.
        lossless: whether the file keeps every pixel as drawn.
        at_most: how many bytes the file has; None sets no bound.
    """
    best: Encoded | None = None
    for way in _ways(picture, policy, quality, lossless=lossless):
        if at_most is None or len(way[0]) <= max(at_most, SMALL_BYTES):
            return way
        if best is None or len(way[0]) < len(best[0]):
            best = way
    assert best is not None
    return best


def _ways(
    picture: Image.Image, policy: ImagePolicy, quality: ImageQuality, *, lossless: bool
) -> Iterator[Encoded]:
    """Yield the picture in one way after the other, the wanted one first."""
    drawing = lossless and max(picture.size) <= PNG_UP_TO_PX
    if drawing:
        yield _saved(picture, "PNG", compress_level=_PNG_LEVEL)
        yield from _exact(picture)
    level, subsampling = (_SMALL if policy.rule in ("square", "short") else _LARGE)[quality]
    yield _saved(picture, "JPEG", quality=level, subsampling=subsampling)
    plain = lossless and picture.getcolors(_PLAIN_COLOURS) is not None
    if plain and not drawing:
        yield from _exact(picture)
    yield _saved(picture, "WEBP", quality=_WEBP_QUALITY, method=2)
    if lossless and not (plain or drawing):
        yield from _exact(picture)
    for level in _WEBP_LOWER:
        yield _saved(picture, "WEBP", quality=level, method=2)


def _exact(picture: Image.Image) -> Iterator[Encoded]:
    """Yield it in ways that keep every pixel; one of few colours is worth a longer search."""
    plain = picture
    if picture.getcolors(_PLAIN_COLOURS) is not None:
        plain = picture.quantize(_PLAIN_COLOURS, dither=Image.Dither.NONE)
        if plain.convert("RGB").tobytes() != picture.tobytes():
            plain = picture
    few = plain is not picture
    yield _saved(plain, "PNG", optimize=few)
    yield _saved(picture, "WEBP", lossless=True, method=4 if few else 0)


def _saved(picture: Image.Image, kind: str, **options: Any) -> Encoded:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue(), f"image/{kind.lower()}"
