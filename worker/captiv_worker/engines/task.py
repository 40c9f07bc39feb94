"""Drives models that are asked with the name of a task (Florence-2)."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from captiv_worker.engines.transformer import Asked, Places, TransformerEngine


class Florence2Engine(TransformerEngine):
    """Florence-2, an encoder-decoder. Its processor turns a task's name into a sentence."""

    model_class = "Florence2ForConditionalGeneration"

    @property
    def begin_token(self) -> int:
        """The token between the places of the image and the sentence."""
        return int(self.tokenizer.bos_token_id)

    def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
        """Return the pictures and the sentences of their tasks."""
        inputs = self.processor(
            images=images,
            text=[prompt or "" for prompt in prompts],
            padding=True,
            return_tensors="pt",
        )
        return Asked(inputs, 1, self.model.config.text_config.max_position_embeddings - 1)

    def image_places(self, inputs: Any) -> Places:
        """Return one place for each feature that the vision tower makes of a picture."""
        pixels = self.moved(inputs)["pixel_values"]
        features = self.model.get_image_features(pixels).pooler_output
        token = self.model.config.image_token_id
        rows = inputs["input_ids"].tolist()
        return Places([row.count(token) for row in rows], [features.shape[1]] * len(rows))
