"""Drives a chat model by what its checkpoint declares, whatever its kind.

The processor, its image token, the template and the tokens that end an answer are the checkpoint's.
Nothing of a kind is known here, so what the named kinds are known for is tried when it loads: as
many image features as places in the prompt, and two images in one batch that get what each gets
alone. A checkpoint that fails says why, and what else can caption with it.
"""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from captiv.catalog import choose
from captiv.catalog.waysout import served
from captiv.errors import ModelError
from captiv_worker.engines.chat import ChatEngine
from captiv_worker.engines.checks import check_alike
from captiv_worker.engines.dialects import LEADING_TOKENS, Dialect, Size, Unfit
from captiv_worker.engines.runtime import has_no_memory
from captiv_worker.engines.spec import Loaded, OutOfMemory, Progress
from captiv_worker.engines.transformer import Places
from captiv_worker.models import read_config

_PROBE = "What is in this picture?"
_PLAIN = (64, 48)
_OTHER_HALVES = ("video_processor", "feature_extractor")
"""Parts of a processor that read no images, and often need packages that a worker has not."""


class Declared:
    """The dialect of a checkpoint that is taken at its word."""

    def __init__(self) -> None:
        self._counts: dict[Size, int] = {}
        self._marks = 0
        """What the processor counts besides, for each image: InternVL's marks around one."""

    def read_processor(self, transformers: Any, path: Path) -> Any:
        """Return the processor of the class that the checkpoint names, its image half only."""
        name = _processor_class(transformers, path)
        own = getattr(transformers, name, None)
        if own is None:
            raise ModelError(
                f"This version of transformers has no {name}.",
                hint="Install the version that captiv was tested with (docs/models.md).",
            )
        return image_only(own).from_pretrained(path, local_files_only=True, trust_remote_code=False)

    def settle(self, processor: Any, config: Any, path: Path) -> None:
        """Take from the model what old files of the LLaVAs don't say of the processor."""
        vision = getattr(config, "vision_config", None)
        if vision is not None and getattr(processor, "patch_size", 0) is None:
            processor.patch_size = vision.patch_size
        if getattr(processor, "vision_feature_select_strategy", "") is None:
            processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        leading = LEADING_TOKENS.get(getattr(vision, "model_type", ""))
        if hasattr(processor, "num_additional_image_tokens") and leading is not None:
            processor.num_additional_image_tokens = leading
        if hasattr(processor, "_get_num_multimodal_tokens"):
            self._marks = _foretold(processor, _PLAIN) - self._made(processor, config, _PLAIN)

    def given(self, images: Sequence[Image.Image]) -> Any:
        """Return a list of one image for each text."""
        return [[image] for image in images]

    def image_tokens(self, processor: Any, config: Any, size: Size) -> int:
        """Return what the processor foretells; of one that can't, what it makes of such an image.

        Raises:
            Unfit: it reads no image of this shape.
            OutOfMemory: there is no memory for it now.
        """
        if size not in self._counts:
            if len(self._counts) >= 4096:
                self._counts.clear()
            try:
                self._counts[size] = self._counted(processor, config, size)
            except Exception as error:  # processors raise what they like for shapes not theirs
                if has_no_memory(error):
                    raise OutOfMemory(str(error).partition("\n")[0][:200]) from error
                raise Unfit(
                    f"The model reads no image of {size[0]}x{size[1]} pixels: {error}."
                ) from error
        return self._counts[size]

    def features(self, config: Any, inputs: Any) -> list[int]:
        """Return nothing: the engine asks the model itself."""
        return []

    def _counted(self, processor: Any, config: Any, size: Size) -> int:
        if hasattr(processor, "_get_num_multimodal_tokens"):
            return _foretold(processor, size) - self._marks
        return self._made(processor, config, size)

    def _made(self, processor: Any, config: Any, size: Size) -> int:
        blank = self.given([Image.new("RGB", size)])
        ids = processor(text=[processor.image_token], images=blank, return_tensors="pt")
        return int((ids["input_ids"] == config.image_token_id).sum())


def _foretold(processor: Any, size: Size) -> int:
    told = processor._get_num_multimodal_tokens(image_sizes=[(size[1], size[0])])
    return int(told["num_image_tokens"][0])


class DeclaredEngine(ChatEngine):
    """A chat model of a kind that captiv doesn't name, or names for its sizes only."""

    def dialect(self) -> Dialect:
        """Return the dialect of a checkpoint that is taken at its word."""
        return Declared()

    def load(self, progress: Progress) -> Loaded:
        """Read the weights onto the device, and check that they are asked rightly.

        Raises:
            ModelError: why this checkpoint can't be driven here, and what can drive it.
        """
        try:
            return super().load(progress)
        except ModelError as error:
            if type(error) is not ModelError:  # the host's fault, not the checkpoint's
                raise
            hint = f"{error.hint} " if error.hint else ""
            raise ModelError(error.message, hint=hint + served(self._source())) from error

    @property
    def vocabulary(self) -> int:
        """How many tokens the model reads: Mllama's image token is none that it writes."""
        return max(super().vocabulary, int(self.model.get_input_embeddings().num_embeddings))

    def image_places(self, inputs: Any) -> Places:
        """Return the image tokens of a batch, and how many features the model makes of it."""
        found = sum(self.image_tokens_in(inputs))
        if not hasattr(self.model, "get_image_features"):
            return Places([found], [found])  # such a model counts them itself, and raises
        return Places([found], [self._features(inputs)])

    def check(self) -> None:
        """Refuse, besides, a model that gives an image something else in a batch than alone."""
        super().check()
        sizes = ((64, 48), (48, 80))
        images = [
            Image.linear_gradient("L").rotate(90 * n).resize(size).convert("RGB")
            for n, size in enumerate(sizes)
        ]
        together = self._first_scores(images)
        for number, image in enumerate(images):
            exact = self.runtime.torch_dtype == self.runtime.torch.float32
            check_alike(together[number], self._first_scores([image])[0], exact=exact)

    def _features(self, inputs: Any) -> int:
        """Return how many vectors of the language model's width the images become."""
        takes = inspect.signature(self.model.get_image_features).parameters
        moved = self.moved(inputs)
        made = self.model.get_image_features(**{n: v for n, v in moved.items() if n in takes})
        pooled = getattr(made, "pooler_output", made)
        rows = pooled if isinstance(pooled, (list, tuple)) else [pooled]
        width = self.model.get_input_embeddings().embedding_dim
        return sum(int(row.numel()) // width for row in rows)

    def _first_scores(self, images: list[Image.Image]) -> Any:
        """Return the scores of every first token, one row an image."""
        asked = self.ask(images, [_PROBE] * len(images))
        written = self.model.generate(
            **self.moved(asked.inputs),
            max_new_tokens=1,
            do_sample=False,
            num_beams=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return written.logits[0].float().cpu()

    def _source(self) -> str:
        """Return the checkpoint as a server elsewhere would be told it."""
        known = choose(self.spec.variant)
        if known is not None:
            return known.variant.source
        return self.spec.variant if "/" in self.spec.variant else str(self.path)


def image_only(own: Any) -> Any:
    """Return a processor's class that reads images and text, and does without its other halves."""
    lacks = [name for name in own.get_attributes() if name in _OTHER_HALVES]
    if not lacks:
        return own

    class ImageOnly(own):  # type: ignore[misc]
        @classmethod
        def _get_arguments_from_pretrained(
            cls, path: Any, processor_dict: Any = None, **arguments: Any
        ) -> list[Any]:
            import transformers

            halves = {
                "tokenizer": transformers.AutoTokenizer,
                "image_processor": transformers.AutoImageProcessor,
            }
            return [
                halves[name].from_pretrained(path, **arguments) if name in halves else None
                for name in own.get_attributes()
            ]

        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            if argument is None and name in lacks:
                return None
            return super().check_argument_for_proper_class(name, argument)

    ImageOnly.__name__ = own.__name__
    return ImageOnly


def _processor_class(transformers: Any, path: Path) -> str:
    for file in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        try:
            told = json.loads((path / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict) and told.get("processor_class"):
            return str(told["processor_class"])
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    model_type = str(read_config(path).get("model_type"))
    return str(PROCESSOR_MAPPING_NAMES.get(model_type) or f"processor of {model_type}")
