"""Drives models whose caption continues a beginning, or needs none: one small class a family.

The beginning, if there is one, is part of the caption of BLIP and GIT, as a person expects: asked
with "a photography of", the answer is "a photography of a dog". BLIP-2 answers a text instead, and
the text is no part of its answer.
"""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from captiv.errors import ModelError
from captiv_worker.engines.checkpoint import read_processor
from captiv_worker.engines.transformer import Asked, Places, TransformerEngine


class BlipEngine(TransformerEngine):
    """BLIP. Its positions ignore padding, so a batch is right only without any: one prompt text."""

    model_class = "BlipForConditionalGeneration"
    keeps_prompt = True

    @property
    def vocabulary(self) -> int:
        """How many tokens the text decoder knows."""
        return int(self.model.config.text_config.vocab_size)

    @property
    def ends(self) -> list[int]:
        """Its generate() stops at [SEP], whatever the generation config says."""
        return [self.model.config.text_config.sep_token_id]

    @property
    def begin_token(self) -> int:
        """Of the beginning; without one generate() puts it there itself."""
        return int(self.model.config.text_config.bos_token_id)

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures and the one beginning; generate() drops its last column, a [SEP]."""
        prompt = prompts[0]
        texts = [prompt] * len(images) if prompt else None
        inputs = self.processor(images=images, text=texts, return_tensors="pt")
        config = self.model.config.text_config
        given = 1
        if prompt:
            inputs["input_ids"][:, 0] = config.bos_token_id  # as generate() does, in place of [CLS]
            given = inputs["input_ids"].shape[1] - 1
        return Asked(inputs, echoed=given, room=config.max_position_embeddings - given)

    def check(self) -> None:
        """Refuse, besides, a tokenizer that starts, ends or fills up a text with other tokens."""
        config = self.model.config.text_config
        for name in ("bos_token_id", "sep_token_id", "pad_token_id"):
            wanted = getattr(config, name, None)
            if wanted is None or not 0 <= wanted < config.vocab_size:
                raise ModelError(
                    f"The configuration in {self.path} has {name} {wanted}; its vocabulary has "
                    f"{config.vocab_size} tokens."
                )
        if self.tokenizer.sep_token_id != config.sep_token_id:
            raise ModelError(
                f"In {self.path} the tokenizer ends a text with token "
                f"{self.tokenizer.sep_token_id}, the model with {config.sep_token_id}.",
                hint="They are of different models: fetch the model again.",
            )
        super().check()


class GitEngine(TransformerEngine):
    """GIT. A beginning stands behind [CLS], without the [SEP] that would end the caption there."""

    model_class = "GitForCausalLM"
    keeps_prompt = True

    @property
    def begin_token(self) -> int:
        """[CLS], with which a caption begins even without a beginning of its own."""
        return int(self.tokenizer.cls_token_id)

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures and their beginnings, filled up on the left."""
        inputs = self.processor(images=images, return_tensors="pt")
        rows = [
            [self.begin_token, *self.tokenizer(prompt or "", add_special_tokens=False).input_ids]
            for prompt in prompts
        ]
        inputs.update(self.tokenizer.pad({"input_ids": rows}, return_tensors="pt"))
        given = inputs["input_ids"].shape[1]
        return Asked(inputs, given, self.model.config.max_position_embeddings - given)


class VitGpt2Engine(TransformerEngine):
    """ViT-GPT2: a picture in, a caption out. It has no processor, only the two halves of one."""

    model_class = "VisionEncoderDecoderModel"
    unused = (r"encoder\.pooler\.",)

    def read_processor(self) -> Any:
        """Return the image processor; the tokenizer is beside it."""
        transformers = self.runtime.transformers
        self._tokenizer = read_processor(transformers.AutoTokenizer, self.path)
        return read_processor(transformers.AutoImageProcessor, self.path)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the decoder."""
        return self._tokenizer

    @property
    def vocabulary(self) -> int:
        """How many tokens the decoder knows."""
        return int(self.model.config.decoder.vocab_size)

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures; generate() starts each caption with one token."""
        inputs = self.processor(images=images, return_tensors="pt")
        return Asked(inputs, 1, self.model.config.decoder.max_position_embeddings - 1)


class Blip2Engine(TransformerEngine):
    """BLIP-2, with either language model. The places of the image stand in front of the text.

    OPT repeats the whole prompt, those places included; T5, an encoder-decoder, starts a new text.
    A text is always given, an empty one for none, so that both may share a batch.
    """

    model_class = "Blip2ForConditionalGeneration"
    ends_with_word = True

    @property
    def _starts_anew(self) -> bool:
        return bool(self.model.config.text_config.is_encoder_decoder)

    @property
    def vocabulary(self) -> int:
        """How many tokens the language model knows."""
        return int(self.model.config.text_config.vocab_size)

    @property
    def ends(self) -> list[int]:
        """The language model generates, by its own configuration: OPT ends at a line break."""
        found = self.model.language_model.generation_config.eos_token_id
        return [found] if isinstance(found, int) else list(found or ())

    @property
    def begin_token(self) -> int | None:
        """OPT's; T5 has none."""
        return None if self._starts_anew else self.tokenizer.bos_token_id

    def prepare(self) -> None:
        """Make the processor put as many places in front as the model fills: saved ones do not."""
        super().prepare()
        self.processor.num_query_tokens = self.model.config.num_query_tokens

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures and their texts."""
        texts = [prompt or "" for prompt in prompts]
        inputs = self.processor(images=images, text=texts, padding=True, return_tensors="pt")
        if self._starts_anew:
            return Asked(inputs, echoed=1)
        given = inputs["input_ids"].shape[1]
        return Asked(inputs, given, self.model.config.text_config.max_position_embeddings - given)

    def image_places(self, inputs: Any) -> Places:
        """Return one place for each of the queries through which the model looks."""
        token, wanted = self.model.config.image_token_id, self.model.config.num_query_tokens
        rows = inputs["input_ids"].tolist()
        return Places([row.count(token) for row in rows], [wanted] * len(rows))
