"""From any way of storing colour to 8-bit sRGB, without clipping and without guessing twice.

Two steps, because shrinking lies between them: `flattened` gives 8 bits and no transparency, which
is all that a good resize needs; `to_srgb` then converts the few pixels that are left.
"""

import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageCms

_SIXTEEN_BIT: Final = 65535
_EIGHT_OF_SIXTEEN: Final = [round(value / 257) for value in range(_SIXTEEN_BIT + 1)]
_BITS_PER_SAMPLE: Final = 258
"""The TIFF tag that tells a 12-bit scan, which is stored in 16 bits, from one of 16."""

_COLOR_MAP: Final = 320
_ENTRIES: Final = 256
"""The most that a palette has."""
_NO_DATA: Final = 42113
"""GDAL's tag for the value that stands for no data."""

_SAMPLE_EDGE: Final = 256
_MEASURED: Final = 1e30
"""What is greater stands for no data: -3.4e38 is the least number that a float holds."""
_FEW: Final = 200
"""One in so many values may be far outside on either side."""
_FAR: Final = 3.0
"""So many times the range of all the others."""
_DARKEST: Final = 1 / 16
"""Floats that are all below are no picture of 0 to 1."""

_SRGB_GAMMA: Final = 1 / 2.2
_SAME_GAMMA: Final = 0.02
_LEAST_GAMMA: Final = 0.05
_GREATEST_GAMMA: Final = 5.0

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
    mend(image)
    shown = _blended(image)
    if shown.mode == "LAB":
        return _from_lab(shown)
    if shown.mode == "1":
        return shown.convert("L")
    return shown if shown.mode in ("L", "RGB", "CMYK") else shown.convert("RGB")


def mend(image: Image.Image) -> None:
    """Put right, in place, what the whole file says of its colours, and a part of it would not."""
    _mend_palette(image)
    _mend_transparency(image)
    _blend_palette(image)


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


def _mend_palette(image: Image.Image) -> None:
    """Read the palette of a TIFF whose writer gave its entries 8 bits, not 16 as TIFF has them."""
    entries = _tags(image).get(_COLOR_MAP)
    if image.mode == "P" and entries and max(entries) < 256:
        size = len(entries) // 3
        planes = (entries[at * size : (at + 1) * size] for at in range(3))
        image.putpalette([level for colour in zip(*planes, strict=True) for level in colour])


def _mend_transparency(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG of 16 bits to the 8 bits that its pixels have now."""
    colour = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(colour, tuple) and max(colour) > 255:
        image.info["transparency"] = tuple(level >> 8 for level in colour)


def _blend_palette(image: Image.Image) -> None:
    """Make each entry of a palette what it is shown as, so that a pixel need only be looked up."""
    if image.mode != "P":
        return
    entries = image.crop((0, 0, _ENTRIES, 1))
    entries.frombytes(bytes(range(_ENTRIES)))
    shown = _blended(entries)
    if shown is not entries:
        image.putpalette(shown.tobytes())
        for done in ("transparency", "gamma"):
            image.info.pop(done, None)


def _blended(image: Image.Image) -> Image.Image:
    """Return an image's colours as its gamma has them, on white where it is transparent."""
    shown = _with_gamma(image)
    return _on_white(shown) if shown.has_transparency_data else shown


def _with_gamma(image: Image.Image) -> Image.Image:
    """Return a PNG's levels as sRGB has them, where its gamma says that they are others.

    A profile, or the word that it is sRGB, counts more than a gamma.
    """
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or {"srgb", "icc_profile"} & image.info.keys():
        return image
    if not _LEAST_GAMMA <= gamma <= _GREATEST_GAMMA or abs(gamma - _SRGB_GAMMA) < _SAME_GAMMA:
        return image
    levels = [round(255 * _srgb((level / 255) ** (1 / gamma))) for level in range(256)]
    if image.mode in ("1", "P"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode in ("L", "RGB") and image.has_transparency_data:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    colours = len(image.getbands()) - (image.mode in ("LA", "RGBA"))
    opacity = list(range(256)) * (len(image.getbands()) - colours)
    return image.point(levels * colours + opacity)


def _srgb(linear: float) -> float:
    """Encode linear light of 0 to 1 as IEC 61966-2-1 has it."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF; none of anything else."""
    return getattr(image, "tag_v2", None) or {}


def _from_sixteen(image: Image.Image) -> Image.Image:
    bits = (_tags(image).get(_BITS_PER_SAMPLE) or (16,))[0]
    if 8 < bits < 16:
        return _stretched(image.convert("F"), 0, 2**bits - 1)
    levels = image.convert("I")
    grey = levels.point(_EIGHT_OF_SIXTEEN, "L")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        mask = [255 * (level == transparent) for level in range(_SIXTEEN_BIT + 1)]
        grey.paste(255, mask=levels.point(mask, "L"))
    return grey


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 32-bit integers by the narrowest range that holds them: 8 bits, 16 bits, their own."""
    low, high = _extrema(image)
    if low >= 0 and high <= 255:
        return image.convert("L")
    if low >= 0 and high <= _SIXTEEN_BIT:
        return image.point(_EIGHT_OF_SIXTEEN, "L")
    return _from_floats(image.convert("F"), _missing(image))


def _from_floats(image: Image.Image, missing: float | None = None) -> Image.Image:
    """Scale floats by the range that most of them are in; 0 to 1 where that holds them.

    Left out are those that mean that nothing was measured, and the few far outside.
    """
    missing = _missing(image) if missing is None else missing
    low, high = _range(image, missing)
    if low >= 0 and _DARKEST <= high <= 1:
        low, high = 0, 1
    return _stretched(image, low, high)


def _missing(image: Image.Image) -> float | None:
    """Return the value that says that nothing was measured, if a GeoTIFF names it."""
    try:
        return float(str(_tags(image).get(_NO_DATA, "")).strip("\0 "))
    except ValueError:
        return None


def _range(image: Image.Image, missing: float | None) -> tuple[float, float]:
    """Return the least and the greatest value, but of what lies far outside of all others."""
    size = min(image.width, _SAMPLE_EDGE), min(image.height, _SAMPLE_EDGE)
    sample = image.resize(size, Image.Resampling.NEAREST)
    values = sorted(
        value
        for value in struct.unpack(f"={sample.width * sample.height}f", sample.tobytes())
        if abs(value) < _MEASURED and value != missing
    )
    if not values:
        return 0, 1
    values = _without_stand_ins(values)
    few = len(values) // _FEW
    low, high = values[few], values[-1 - few]
    width = (high - low) or max(abs(low), 1.0) / _FAR
    least, greatest = _extrema(image)
    if math.isfinite(least) and low - least <= _FAR * width and least != missing:
        low = least
    if math.isfinite(greatest) and greatest - high <= _FAR * width and greatest != missing:
        high = greatest
    return low, high


def _without_stand_ins(values: list[float]) -> list[float]:
    """Leave out a least or greatest value that many share and that is far from all others."""
    least, greatest = values[0], values[-1]
    others = [value for value in values if least < value < greatest]
    far = _FAR * (others[-1] - others[0]) if others else 0.0
    if not far:
        return values
    return [
        value
        for value in values
        if (value > least or others[0] - least <= far)
        and (value < greatest or greatest - others[-1] <= far)
    ]


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
