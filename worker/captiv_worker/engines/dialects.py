"""How chat models differ: how a processor is read, and how many tokens an image takes.

Everything else (the template, its order of image and text, the tokens that begin and end a text)
is the checkpoint's own, and is checked when it loads.

A processor that also reads videos cannot be loaded without torchvision; a subclass whose signature
has no video half can: transformers reads the parts of a processor from it (docs/models.md).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from captiv.errors import ModelError

Size = tuple[int, int]
"""Width and height in pixels."""


class Unfit(Exception):
    """The model cannot read an image of this shape."""


class Dialect(Protocol):
    """What is particular to one kind of chat model."""

    def read_processor(self, transformers: Any, path: Path) -> Any:
        """Return the checkpoint's processor, whether or not torchvision is installed."""

    def settle(self, processor: Any, config: Any, path: Path) -> None:
        """Bring the processor in line with the model, or raise a ModelError that names why not."""

    def given(self, images: Sequence[Image.Image]) -> Any:
        """Return one image a text, as the processor takes them."""

    def image_tokens(self, processor: Any, config: Any, size: Size) -> int:
        """Return how many image tokens an image of this size will have, without looking at it.

        Raises:
            Unfit: the model cannot read such an image.
        """

    def features(self, config: Any, inputs: Any) -> list[int]:
        """Return how many image features the model makes of each image of a batch."""


class Llava:
    """LLaVA, and JoyCaption, which is one: every image is squashed or cropped to one square."""

    def read_processor(self, transformers: Any, path: Path) -> Any:
        """Return the processor; it reads images only."""
        return transformers.AutoProcessor.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )

    def settle(self, processor: Any, config: Any, path: Path) -> None:
        """Take from the model what the processor's file does not say; refuse what it says wrong.

        Old files lack these, and a processor without them counts the image's tokens wrong.
        """
        vision = config.vision_config
        if vision.model_type not in LEADING_TOKENS:
            raise ModelError(f"captiv knows no LLaVA with the vision tower {vision.model_type!r}.")
        if processor.patch_size is None:
            processor.patch_size = vision.patch_size
        if processor.vision_feature_select_strategy is None:
            processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        processor.num_additional_image_tokens = LEADING_TOKENS[vision.model_type]
        strategy = processor.vision_feature_select_strategy
        same("patch_size", processor.patch_size, vision.patch_size, path)
        same(
            "vision_feature_select_strategy", strategy, config.vision_feature_select_strategy, path
        )
        same("image size", _square(processor.image_processor), vision.image_size, path)
        if strategy == "full" and not LEADING_TOKENS[vision.model_type]:
            # The author's own scripts shrink with Lanczos: "higher quality results" than the
            # processor's bicubic.
            processor.image_processor.resample = Image.Resampling.LANCZOS
        _same_token(processor, config, path)

    def given(self, images: Sequence[Image.Image]) -> Any:
        """Return the images."""
        return list(images)

    def image_tokens(self, processor: Any, config: Any, size: Size) -> int:
        """Return the patches of the square, whatever the image's size."""
        return self._patches(config)

    def features(self, config: Any, inputs: Any) -> list[int]:
        """Return the patches of the square for each image."""
        return [self._patches(config)] * len(inputs["pixel_values"])

    def _patches(self, config: Any) -> int:
        vision = config.vision_config
        patches = (vision.image_size // vision.patch_size) ** 2
        leading = LEADING_TOKENS[vision.model_type]
        return int(patches + leading - (config.vision_feature_select_strategy == "default"))


LEADING_TOKENS = {"siglip_vision_model": 0, "siglip2_vision_model": 0, "clip_vision_model": 1}
"""What a vision tower puts before the patches: CLIP its class token."""


def _square(image_processor: Any) -> Any:
    size = getattr(image_processor, "crop_size", None) or image_processor.size
    return size["height"] if "height" in size else size["shortest_edge"]


class QwenVl:
    """Qwen-VL: an image keeps its shape, and its pixels are packed with those of the others."""

    def __init__(self, processor: str) -> None:
        self._processor = processor

    def read_processor(self, transformers: Any, path: Path) -> Any:
        """Return the processor without its video half."""
        own: Any = getattr(transformers, self._processor)

        class ImageOnly(own):  # type: ignore[misc]
            def __init__(
                self,
                image_processor: Any = None,
                tokenizer: Any = None,
                chat_template: Any = None,
                **rest: Any,
            ) -> None:
                super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

        return ImageOnly.from_pretrained(path, local_files_only=True, trust_remote_code=False)

    def settle(self, processor: Any, config: Any, path: Path) -> None:
        """Bound the tokens of an image, and refuse patches that the model does not have."""
        pixels, vision = processor.image_processor, config.vision_config
        same("patch_size", pixels.patch_size, vision.patch_size, path)
        same("merge_size", pixels.merge_size, vision.spatial_merge_size, path)
        same("temporal_patch_size", pixels.temporal_patch_size, vision.temporal_patch_size, path)
        most = QWEN_MOST_TOKENS * self._factor(config) ** 2
        least = pixels.size["shortest_edge"]
        pixels.size = {
            "shortest_edge": min(least, most),
            "longest_edge": min(pixels.size["longest_edge"], most),
        }
        _same_token(processor, config, path)

    def given(self, images: Sequence[Image.Image]) -> Any:
        """Return the images."""
        return list(images)

    def image_tokens(self, processor: Any, config: Any, size: Size) -> int:
        """Return the merged patches of the image as it is resized."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        width, height = size
        bounds = processor.image_processor.size
        try:
            rows, columns = smart_resize(
                height,
                width,
                self._factor(config),
                bounds["shortest_edge"],
                bounds["longest_edge"],
            )
        except ValueError as error:
            raise Unfit(f"The model reads no image of {width}x{height} pixels: {error}.") from error
        return int(rows * columns // self._factor(config) ** 2)

    def features(self, config: Any, inputs: Any) -> list[int]:
        """Return the merged patches of each image: its own share of the packed pixels."""
        merged = config.vision_config.spatial_merge_size**2
        return [int(grid.prod()) // merged for grid in inputs["image_grid_thw"]]

    def _factor(self, config: Any) -> int:
        vision = config.vision_config
        return int(vision.patch_size * vision.spatial_merge_size)


QWEN_MOST_TOKENS = 1280
"""The authors' advice for a balance of detail and cost; their files allow 16,384 an image."""


class SmolVlm:
    """SmolVLM and Idefics3: an image is split into tiles beside a small copy of the whole."""

    def __init__(self, *, video: bool) -> None:
        self._video = video

    def read_processor(self, transformers: Any, path: Path) -> Any:
        """Return the processor without its video half."""
        if not self._video:
            return transformers.AutoProcessor.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        return _smolvlm_processor().from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )

    def settle(self, processor: Any, config: Any, path: Path) -> None:
        """Refuse tiles that are not what the model sees. Splitting stays as the authors have it."""
        vision = config.vision_config
        pixels = processor.image_processor
        same("tile size", pixels.max_image_size["longest_edge"], vision.image_size, path)
        same("image_seq_len", processor.image_seq_len, self._tile_tokens(config), path)
        _same_token(processor, config, path)

    def given(self, images: Sequence[Image.Image]) -> Any:
        """Return a list of one image for each text."""
        return [[image] for image in images]

    def image_tokens(self, processor: Any, config: Any, size: Size) -> int:
        """Return the tokens of all tiles."""
        return self._tiles(processor.image_processor, size) * self._tile_tokens(config)

    def features(self, config: Any, inputs: Any) -> list[int]:
        """Return the tokens of the tiles that are there; a batch is filled up with empty ones."""
        there = inputs["pixel_attention_mask"].flatten(2).any(-1).sum(-1)
        return [int(tiles) * self._tile_tokens(config) for tiles in there]

    def _tile_tokens(self, config: Any) -> int:
        vision = config.vision_config
        return int((vision.image_size // vision.patch_size) ** 2 // config.scale_factor**2)

    def _tiles(self, pixels: Any, size: Size) -> int:
        """Return how many tiles the image processor makes, the copy of the whole included."""
        if not pixels.do_image_splitting:
            return 1
        width, height = _scaled(size, pixels.size["longest_edge"])
        tile = pixels.max_image_size["longest_edge"]
        aspect = width / height
        if width >= height:
            columns = -(-width // tile)
            rows = -(-int(columns * tile / aspect) // tile)
        else:
            rows = -(-height // tile)
            columns = -(-int(rows * tile * aspect) // tile)
        return rows * columns + 1 if max(rows, columns) > 1 else 1


def _scaled(size: Size, longest: int) -> Size:
    """Return width and height with the longer edge at `longest`, as the image processor rounds."""
    width, height = size
    aspect = width / height
    if width >= height:
        short = int(longest / aspect)
        return longest, max(1, short + short % 2)
    short = int(longest * aspect)
    return max(1, short + short % 2), longest


def _smolvlm_processor() -> Any:
    from transformers.models.smolvlm import processing_smolvlm

    if processing_smolvlm.num2words is None:
        processing_smolvlm.num2words = object()  # spells a video's frames: never called for images
    own: Any = processing_smolvlm.SmolVLMProcessor

    class ImageOnly(own):  # type: ignore[misc]
        def __init__(
            self,
            image_processor: Any,
            tokenizer: Any,
            image_seq_len: int = 169,
            chat_template: Any = None,
            **rest: Any,
        ) -> None:
            super().__init__(
                image_processor,
                tokenizer,
                None,
                image_seq_len=image_seq_len,
                chat_template=chat_template,
            )

        def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
            # Its own asks the video half how many frames it takes.
            return super(own, self).apply_chat_template(*args, **kwargs)

    return ImageOnly


DIALECTS: dict[str, Dialect] = {
    "llava": Llava(),
    "qwen2_vl": QwenVl("Qwen2VLProcessor"),
    "qwen2_5_vl": QwenVl("Qwen2_5_VLProcessor"),
    "qwen3_vl": QwenVl("Qwen3VLProcessor"),
    "qwen3_vl_moe": QwenVl("Qwen3VLProcessor"),
    "smolvlm": SmolVlm(video=True),
    "idefics3": SmolVlm(video=False),
}
"""By `model_type` of the checkpoint's config.json."""


def pillow_only(processor: Any, transformers: Any, path: Path) -> Any:
    """Return the processor with an image processor that resizes by Pillow, torchvision or not.

    torchvision's resizes a little differently, and before 0.27 takes bicubic for Lanczos.

    Raises:
        ModelError: this version of transformers has none for this model.
    """
    if not _by_pillow(processor):
        processor.image_processor = transformers.AutoImageProcessor.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    if not _by_pillow(processor):  # transformers takes another without a word
        name = type(processor.image_processor).__name__
        raise ModelError(
            f"Pillow can't prepare the images of this model: {name} is of torchvision."
        )
    return processor


def _by_pillow(processor: Any) -> bool:
    return type(processor.image_processor).__name__.endswith("Pil")


def _same_token(processor: Any, config: Any, path: Path) -> None:
    same("image token", processor.image_token_id, config.image_token_id, path)


def same(what: str, processor: Any, model: Any, path: Path) -> None:
    """Refuse a processor that counts otherwise than the model."""
    if processor != model:
        raise ModelError(
            f"In {path} the processor has {what} {processor}, the model {model}.",
            hint="They are of different models: fetch the model again.",
        )
