"""Qwen-VL in small: pixels packed over the patches of all images, positions in three dimensions."""

from pathlib import Path
from typing import Any

from tests.worker.checkpoints.chatting import TEXT, byte_level, save
from tests.worker.checkpoints.checkpoint import Checkpoint, randomise

_QWEN_SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _text_of_2(tokenizer: Any, ids: Any) -> dict[str, Any]:
    """Return the text_config of a Qwen2-VL or Qwen2.5-VL."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]}
    return {**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope, **_ends(ids)}


def qwen2_vl(path: Path) -> None:
    """Save a Qwen2-VL."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    tokenizer, ids = _qwen_tokenizer()
    config = Qwen2VLConfig(
        text_config=_text_of_2(tokenizer, ids),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "patch_size": 14,
        },
        **_qwen_places(ids),
    )
    model = Qwen2VLForConditionalGeneration(config)
    decoding = {"temperature": 0.01, "top_p": 0.001, "top_k": 1}
    _saved_qwen(path, model, Qwen2VLProcessor, tokenizer, ids, patch_size=14, **decoding)


def qwen2_5_vl(path: Path) -> None:
    """Save a Qwen2.5-VL."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
    )

    tokenizer, ids = _qwen_tokenizer()
    config = Qwen2_5_VLConfig(
        text_config=_text_of_2(tokenizer, ids),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": 64,
        },
        **_qwen_places(ids),
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    _saved_qwen(
        path,
        model,
        Qwen2_5_VLProcessor,
        tokenizer,
        ids,
        patch_size=14,
        temperature=1e-6,
        repetition_penalty=1.05,
    )


def qwen3_vl(path: Path) -> None:
    """Save a Qwen3-VL: larger patches, and vision features that enter at several depths."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    _saved_qwen3(path, Qwen3VLConfig, Qwen3VLForConditionalGeneration)


def qwen3_vl_moe(path: Path) -> None:
    """Save a Qwen3-VL with experts, of which each token has some."""
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    experts = {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "decoder_sparse_step": 1,
    }
    _saved_qwen3(path, Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, **experts)


def _saved_qwen3(path: Path, config_class: Any, model_class: Any, **text: Any) -> None:
    from transformers import Qwen3VLProcessor

    tokenizer, ids = _qwen_tokenizer()
    config = config_class(
        text_config={
            **TEXT,
            **text,
            "vocab_size": len(tokenizer),
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
            **_ends(ids),
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "out_hidden_size": 64,
        },
        **_qwen_places(ids),
    )
    _saved_qwen(
        path,
        model_class(config),
        Qwen3VLProcessor,
        tokenizer,
        ids,
        patch_size=16,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
    )


def _qwen_tokenizer() -> tuple[Any, dict[str, int]]:
    tokenizer = byte_level(_QWEN_SPECIALS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    return tokenizer, {name: tokenizer.convert_tokens_to_ids(name) for name in _QWEN_SPECIALS}


def _ends(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }


def _qwen_places(ids: dict[str, int]) -> dict[str, int]:
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _saved_qwen(
    path: Path,
    model: Any,
    processor: Any,
    tokenizer: Any,
    ids: dict[str, int],
    *,
    patch_size: int,
    **decoding: float,
) -> None:
    from transformers import GenerationConfig
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    randomise(model, 0.25)
    model.generation_config = GenerationConfig(
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
        pad_token_id=ids["<|endoftext|>"],
        do_sample=True,
        **decoding,
    )
    factor = (2 * patch_size) ** 2
    pixels = Qwen2VLImageProcessorPil(
        patch_size=patch_size, size={"shortest_edge": 4 * factor, "longest_edge": 16 * factor}
    )
    save(path, model, image_only(processor)(pixels, tokenizer, _QWEN_TEMPLATE))


def image_only(cls: Any) -> Any:
    """Return the processor's class without the video half, which asks for torchvision."""

    class ImageOnly(cls):  # type: ignore[misc]
        def __init__(
            self,
            image_processor: Any = None,
            tokenizer: Any = None,
            chat_template: Any = None,
            **rest: Any,
        ) -> None:
            super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

    ImageOnly.__name__ = cls.__name__
    return ImageOnly


_PROMPTS = ("Describe it.", "What is in the picture? Say it in one long sentence, please.")

CHECKPOINTS = (
    Checkpoint("qwen3-vl-2b", qwen3_vl, _PROMPTS),
    Checkpoint("qwen2.5-vl-3b", qwen2_5_vl, _PROMPTS),
    Checkpoint("qwen2-vl-2b", qwen2_vl, _PROMPTS),
    Checkpoint("qwen3-vl-30b-a3b", qwen3_vl_moe, _PROMPTS),
)
