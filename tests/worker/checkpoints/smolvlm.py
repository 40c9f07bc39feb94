"""SmolVLM in small: an image is split into tiles beside a small copy of the whole."""

from pathlib import Path
from typing import Any

from tests.worker.checkpoints.chatting import TEXT, VISION, byte_level, save
from tests.worker.checkpoints.checkpoint import Checkpoint, randomise

_SMOL_SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)
_SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def smolvlm(path: Path) -> None:
    """Save a SmolVLM2."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    _saved_smol(
        path,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        _smol_processor(),
        SmolVLMImageProcessorPil,
    )


def idefics3(path: Path) -> None:
    """Save an Idefics3, which is what the first SmolVLM is."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    _saved_smol(
        path,
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3Processor,
        Idefics3ImageProcessorPil,
    )


def _saved_smol(path: Path, config_class: Any, model_class: Any, processor: Any, own: Any) -> None:
    from transformers import GenerationConfig

    tokenizer = byte_level(
        _SMOL_SPECIALS,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
    )
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in _SMOL_SPECIALS}
    config = config_class(
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "bos_token_id": ids["<|im_start|>"],
            "eos_token_id": ids["<end_of_utterance>"],
            "pad_token_id": ids["<|im_end|>"],
        },
        vision_config={**VISION, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8},
        scale_factor=2,
        image_token_id=ids["<image>"],
        pad_token_id=ids["<|im_end|>"],
    )
    model = model_class(config)
    randomise(model, 0.25)
    model.generation_config = GenerationConfig(
        bos_token_id=ids["<|im_start|>"],
        eos_token_id=ids["<end_of_utterance>"],
        pad_token_id=ids["<|im_end|>"],
    )
    pixels = own(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    save(path, model, processor(pixels, tokenizer, image_seq_len=4, chat_template=_SMOL_TEMPLATE))


def _smol_processor() -> Any:
    from transformers.models.smolvlm import processing_smolvlm

    if processing_smolvlm.num2words is None:
        processing_smolvlm.num2words = object()  # names a video's frames: never called here

    class SmolVLMProcessor(processing_smolvlm.SmolVLMProcessor):  # type: ignore[misc]
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

    return SmolVLMProcessor


_PROMPTS = ("Describe it.", "What is in the picture? Say it in one long sentence, please.")

CHECKPOINTS = (
    Checkpoint("smolvlm2-500m", smolvlm, _PROMPTS),
    Checkpoint("smolvlm-256m", idefics3, _PROMPTS),
)
