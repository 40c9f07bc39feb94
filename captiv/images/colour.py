"""From any way of storing colour to 8-bit sRGB, without clipping and without guessing twice.

Two steps, because shrinking lies between them: `flattened` gives 8 bits and no transparency, which
is all that a good resize needs; `to_srgb` then converts the few pixels that are left.
"""

import math
from functools import lru_cache
from io import BytesIO
from typing import Final

from PIL import Image, ImageCms

_SIXTEEN_BIT: Final = 65535
_EIGHT_OF_SIXTEEN: Final = [round(value / 257) for value in range(_SIXTEEN_BIT + 1)]
_BITS_PER_SAMPLE: Final = 258
"""The TIFF tag that tells a 12-bit scan, which is stored in 16 bits, from one of 16."""

_MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
_SAME: Final = 3
"""A profile that moves no colour by more than this many of 255 levels is taken for sRGB itself."""


def flattened(image: Image.Image) -> Image.Image:
    """Return `image` in mode L, RGB or CMYK: 8 bits a sample, on white where it is transparent."""
    if image.mode.startswith("I;16"):
        return _from_sixteen(image)
    if image.mode == "I":
        return _from_integers(image)
    if image.mode == "F":
        return _from_floats(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return a flattened image in mode RGB, converted by its ICC profile where that is usable."""
    transform = conversion(profile, image.mode)
    if transform is not None:
        return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def conversion(profile: object, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from `profile` to sRGB, or None if it is damaged, of another mode, or sRGB."""
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MAX_PROFILE_BYTES:
        return None
    return _conversion(profile, mode)


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    if mode not in ("RGB", "CMYK"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != mode:
            return None
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Try a cube of 125 colours: profile names do not tell, there are dozens of sRGBs."""
    levels = (0, 64, 128, 192, 255)
    colours = bytes(level for r in levels for g in levels for b in levels for level in (r, g, b))
    probe = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
    return all(
        abs(a - b) <= _SAME for a, b in zip(colours, transform.apply(probe).tobytes(), strict=True)
    )


def _from_sixteen(image: Image.Image) -> Image.Image:
    tags = getattr(image, "tag_v2", None) or {}
    bits = (tags.get(_BITS_PER_SAMPLE) or (16,))[0]
    if 8 < bits < 16:
        return _stretched(image.convert("F"), 0, 2**bits - 1)
    return image.convert("I").point(_EIGHT_OF_SIXTEEN, "L")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 32-bit integers by the narrowest range that holds them: 8 bits, 16 bits, their own."""
    low, high = _extrema(image)
    if low >= 0 and high <= 255:
        return image.convert("L")
    if low >= 0 and high <= _SIXTEEN_BIT:
        return image.point(_EIGHT_OF_SIXTEEN, "L")
    return _stretched(image.convert("F"), low, high)


def _from_floats(image: Image.Image) -> Image.Image:
    """Scale floats from their least to their greatest; from 0 to 1 where those are no numbers."""
    low, high = _extrema(image)
    return _stretched(image, low, high) if math.isfinite(high - low) else _stretched(image, 0, 1)


def _extrema(image: Image.Image) -> tuple[float, float]:
    low, high = image.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    return low, high


def _stretched(image: Image.Image, low: float, high: float) -> Image.Image:
    """Map `low` to 0 and `high` to 255; a picture of one value becomes black."""
    scale = 255 / (high - low) if high > low else 0.0
    return image.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    rgba = (image.convert(straight) if straight else image).convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)
