"""Drives Kosmos-2, which can say where things are, and Kosmos-2.5, which reads documents.

Both count positions past the padding, so that a batch is right only without any: one prompt text.
"""

import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from captiv_worker.engines.transformer import Asked, Places, TransformerEngine

GROUNDING = "<grounding>"
"""In front of a prompt it makes Kosmos-2 mark what it names, with the place of it."""

_BOX = re.compile(r"<bbox>.*?</bbox>")


class Kosmos2Engine(TransformerEngine):
    """Kosmos-2. The text is cleaned of its marks; asked with grounding, boxes stay in it."""

    model_class = "Kosmos2ForConditionalGeneration"

    @property
    def vocabulary(self) -> int:
        """How many tokens the text model knows."""
        return int(self.model.config.text_config.vocab_size)

    @property
    def ends(self) -> list[int]:
        """The text model generates, by its own configuration."""
        found = self.model.text_model.generation_config.eos_token_id
        return [found] if isinstance(found, int) else list(found or ())

    @property
    def begin_token(self) -> int:
        """The token in front of the image and the text."""
        return int(self.tokenizer.bos_token_id)

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures and their text, with as many places as the model has queries."""
        inputs = self.processor(
            images=images,
            text=[prompt or "" for prompt in prompts],
            num_image_tokens=self.model.config.latent_query_num,
            padding=True,
            return_tensors="pt",
        )
        given = inputs["input_ids"].shape[1]
        return Asked(inputs, given, self.model.config.text_config.max_position_embeddings - given)

    def image_places(self, inputs: Any) -> Places:
        """Return the places that the mask marks for the image."""
        marked = (inputs["image_embeds_position_mask"] == 1).sum(dim=1).tolist()
        return Places(marked, [self.model.config.latent_query_num] * len(marked))

    def text(self, ids: list[int], prompt: str | None) -> str:
        """Return the words; with grounding each phrase is followed by its boxes."""
        written = super().text(ids, prompt)
        text, found = self.processor.post_process_generation(written, cleanup_and_extract=True)
        if not (prompt or "").startswith(GROUNDING):
            return str(text)
        for _phrase, (_start, end), boxes in sorted(found, key=lambda f: f[1], reverse=True):
            text = text[:end] + "".join(f" [{_corners(box)}]" for box in boxes) + text[end:]
        return str(text)


class Kosmos25Engine(TransformerEngine):
    """Kosmos-2.5: the text of a document, as Markdown or line by line. No captioner."""

    model_class = "Kosmos2_5ForConditionalGeneration"

    @property
    def vocabulary(self) -> int:
        """How many tokens the text model knows."""
        return int(self.model.config.text_config.vocab_size)

    def prepare(self) -> None:
        """Make the processor put as many places into the prompt as the model has queries."""
        super().prepare()
        self.processor.num_image_tokens = self.model.config.latent_query_num

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures in patches, and the task that all share."""
        inputs = self.processor(
            images=images,
            text=[prompt or "" for prompt in prompts],
            max_patches=self.model.config.vision_config.max_num_patches,
            return_tensors="pt",
        )
        for unwanted in ("height", "width"):
            inputs.pop(unwanted, None)
        given = inputs["input_ids"].shape[1]
        return Asked(inputs, given, self.model.config.text_config.max_position_embeddings - given)

    def image_places(self, inputs: Any) -> Places:
        """Return the places that the mask marks for the image."""
        marked = (inputs["image_embeds_position_mask"] == 1).sum(dim=1).tolist()
        return Places(marked, [self.model.config.latent_query_num] * len(marked))

    def text(self, ids: list[int], prompt: str | None) -> str:
        """Return the words, without the place of each line."""
        return _BOX.sub("", super().text(ids, prompt)).strip()


def _corners(box: Sequence[float]) -> str:
    """Return a box as left, top, right and bottom, in shares of the picture."""
    return ", ".join(f"{share:.2f}" for share in box)
