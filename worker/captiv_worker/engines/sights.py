"""What a model sees of a picture: resized exactly as the model would, and how many tokens that is.

A picture that arrives in this size is left as it is by whatever resizes it next. The arithmetic is
that of the models' own processors, without them; tests hold it against theirs.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from captiv.errors import ModelError
from captiv_worker.engines.dialects import LEADING_TOKENS, QWEN_MOST_TOKENS, Size, Unfit, same
from captiv_worker.models import read_config

_MOST_ASPECT = 200
"""Of a Qwen-VL's picture."""


class Sight(Protocol):
    """How one checkpoint sees."""

    @property
    def most_tokens(self) -> int:
        """The most tokens that a picture has."""

    def fitted(self, image: Image.Image) -> Image.Image:
        """Return the picture as the model sees it.

        Raises:
            Unfit: the model cannot read such a picture.
        """

    def tokens(self, fitted: Size) -> int:
        """Return how many tokens a fitted picture of this size has."""


@dataclass(frozen=True, slots=True)
class Square:
    """A LLaVA's: every picture is squashed or cropped to one square."""

    size_px: int
    most_tokens: int
    crops: bool
    resample: Image.Resampling

    def fitted(self, image: Image.Image) -> Image.Image:
        """Return the square."""
        side = self.size_px
        if not self.crops:
            return image.resize((side, side), self.resample)
        width, height = image.size
        short = min(width, height)
        size = (int(side * width / short), int(side * height / short))
        resized = image.resize(size, self.resample)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        return resized.crop((left, top, left + side, top + side))

    def tokens(self, fitted: Size) -> int:
        """Return the patches of the square."""
        return self.most_tokens


@dataclass(frozen=True, slots=True)
class Packed:
    """A Qwen-VL's: a picture keeps its shape, in whole patches, within bounds."""

    factor: int
    """Pixels along a side of one token."""
    least_px: int
    most_px: int
    resample: Image.Resampling

    @property
    def most_tokens(self) -> int:
        """As many as fit into the upper bound."""
        return int(self.most_px // self.factor**2)

    def fitted(self, image: Image.Image) -> Image.Image:
        """Return the picture in whole patches."""
        size = self.size(image.size)
        if self.size(size) != size:  # a strip, to a model that sees fewer tokens than any known
            raise Unfit(f"The model reads no image of {image.width}x{image.height} pixels.")
        return image.resize(size, self.resample)

    def tokens(self, fitted: Size) -> int:
        """Return one token for each square of patches that are merged."""
        width, height = fitted
        return width * height // self.factor**2

    def size(self, size: Size) -> Size:
        """Return the size that a picture of this size is resized to; that of a fitted one is kept.

        As `smart_resize` of transformers' qwen2_vl has it.
        """
        long, short = max(size), min(size)
        if long / short > _MOST_ASPECT:
            raise Unfit(f"The model reads no image of {size[0]}x{size[1]} pixels.")
        width, height = size
        rounded = self._whole(width, height, round)
        if math.prod(rounded) > self.most_px:
            beta = math.sqrt(height * width / self.most_px)
            width, height = self._whole(width / beta, height / beta, math.floor)
            return max(self.factor, width), max(self.factor, height)
        if math.prod(rounded) < self.least_px:
            beta = math.sqrt(self.least_px / (height * width))
            return self._whole(width * beta, height * beta, math.ceil)
        return rounded

    def _whole(self, width: float, height: float, rounding: Callable[[float], int]) -> Size:
        factor = self.factor
        return rounding(width / factor) * factor, rounding(height / factor) * factor


def sight_of(path: Path, *, advised: bool = True) -> Sight:
    """Return how the checkpoint in this directory sees.

    Args: `advised` bounds the tokens of a picture as captiv does; else as the files do.

    Raises:
        ModelError: its files contradict each other, or it sees as captiv does not know.
    """
    config, pixels = read_config(path), _pixels(path)
    kind = str(config.get("model_type"))
    if kind not in _SIGHTS:
        raise ModelError(f"captiv does not drive {kind} models by vLLM.", hint=WITHOUT)
    return _SIGHTS[kind](config, pixels, path, advised)


WITHOUT = "Use --engine transformers, or auto."


def _llava(
    config: Mapping[str, Any], pixels: Mapping[str, Any], path: Path, _advised: bool
) -> Sight:
    vision = config["vision_config"]
    kind = str(vision.get("model_type"))
    if kind not in LEADING_TOKENS:
        raise ModelError(f"captiv knows no LLaVA with the vision tower {kind!r}.")
    side = int(vision["image_size"])
    strategy = config.get("vision_feature_select_strategy", "default")
    crop = pixels.get("crop_size") if pixels.get("do_center_crop", True) else None
    same("image size", _side(crop or pixels.get("size") or side), side, path)
    patches = (side // int(vision["patch_size"])) ** 2
    tokens = patches + LEADING_TOKENS[kind] - (strategy == "default")
    # The author's own scripts shrink JoyCaption's pictures with Lanczos; see dialects.Llava.
    lanczos = strategy == "full" and not LEADING_TOKENS[kind]
    resample = Image.Resampling.LANCZOS if lanczos else _resample(pixels)
    return Square(side, tokens, crop is not None, resample)


def _qwen(config: Mapping[str, Any], pixels: Mapping[str, Any], path: Path, advised: bool) -> Sight:
    vision = config["vision_config"]
    patch, merge = int(vision["patch_size"]), int(vision.get("spatial_merge_size", 2))
    same("patch_size", pixels.get("patch_size", patch), patch, path)
    same("merge_size", pixels.get("merge_size", merge), merge, path)
    factor = patch * merge
    size = pixels.get("size") or {}
    least = pixels.get("min_pixels") or size.get("shortest_edge") or 56 * 56
    most = pixels.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280
    bound = QWEN_MOST_TOKENS * factor**2 if advised else most
    return Packed(factor, min(least, bound), min(most, bound), _resample(pixels))


_SIGHTS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], Path, bool], Sight]] = {
    "llava": _llava,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
}
"""By `model_type` of the checkpoint's config.json; the catalog calls the same ones vLLM's."""

SEEN = frozenset(_SIGHTS)


def _pixels(path: Path) -> Mapping[str, Any]:
    """Return what the image processor's file says, whichever of the two it is in."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        try:
            found = json.loads((path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ModelError(f"{path / name} is damaged.", hint="Fetch the model again.") from error
        if name == "preprocessor_config.json":
            return dict(found)
        if "image_processor" in found:
            return dict(found["image_processor"])
    raise ModelError(f"{path} does not say how pictures are prepared.")


def _side(size: Any) -> Any:
    if isinstance(size, Mapping):
        return size.get("height", size.get("shortest_edge"))
    return size


def _resample(pixels: Mapping[str, Any]) -> Image.Resampling:
    return Image.Resampling(int(pixels.get("resample", Image.Resampling.BICUBIC)))
