"""Chat models that are taken at their word, in small: LLaVA-NeXT, OneVision, Gemma 3, InternVL."""

from pathlib import Path
from typing import Any

from tests.worker.checkpoints.chatting import TEXT, VISION, byte_level, save
from tests.worker.checkpoints.checkpoint import Checkpoint, change, randomise
from tests.worker.checkpoints.qwen_vl import image_only

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NEXT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    " [/INST]{% else %} {{ message['content'][0]['text'] }}</s>{% endif %}{% endfor %}"
)
_GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] | trim }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def llava_next(path: Path) -> None:
    """Save a LLaVA-NeXT: an image in tiles beside a small copy, as its shape wants it."""
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
        MistralConfig,
    )
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    tokenizer = byte_level(
        ("<s>", "</s>", "<pad>", "<image>"),
        begins="<s>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    image, begin, end = tokenizer.convert_tokens_to_ids(["<image>", "<s>", "</s>"])
    tiles = [[32, 64], [64, 32], [64, 64]]
    config = LlavaNextConfig(
        text_config=MistralConfig(
            **TEXT, vocab_size=len(tokenizer), bos_token_id=begin, eos_token_id=end
        ),
        vision_config=CLIPVisionConfig(
            **VISION, num_hidden_layers=3, image_size=32, patch_size=8, projection_dim=32
        ),
        image_token_index=image,
        image_grid_pinpoints=tiles,
        vision_feature_select_strategy="default",
    )
    model = LlavaNextForConditionalGeneration(config)
    pixels = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_grid_pinpoints=tiles,
    )
    processor = LlavaNextProcessor(
        pixels,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_NEXT_TEMPLATE,
    )
    _saved(path, model, processor, begin, [end], tokenizer.pad_token_id)


def llava_onevision(path: Path) -> None:
    """Save a LLaVA-OneVision: as many tiles as an image needs, thinned out where they are many."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    tokenizer, ids = _chatml_tokenizer("<image>", "<video>")
    tiles = [[32 * rows, 32 * columns] for rows in range(1, 4) for columns in range(1, 4)]
    config = LlavaOnevisionConfig(
        text_config=Qwen2Config(**TEXT, vocab_size=len(tokenizer), eos_token_id=ids["<|im_end|>"]),
        vision_config=SiglipVisionConfig(
            **VISION, num_hidden_layers=3, image_size=32, patch_size=8
        ),
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=tiles,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        vision_aspect_ratio="anyres_max_9",
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    pixels = LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32}, image_grid_pinpoints=tiles
    )
    processor = image_only(LlavaOnevisionProcessor)(
        pixels, tokenizer, chat_template=CHATML.replace("IMAGE", "<image>")
    )
    _saved(path, model, processor, None, [ids["<|im_end|>"]], tokenizer.pad_token_id)
    change(
        path / "processor_config.json", num_image_tokens=16, vision_feature_select_strategy="full"
    )


def gemma3(path: Path) -> None:
    """Save a Gemma 3: in the text an image is its start mark, which the processor fills up."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    marks = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = byte_level(
        ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *marks.values()),
        begins="<bos>",
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        extra_special_tokens=marks,
    )
    number = tokenizer.convert_tokens_to_ids
    config = Gemma3Config(
        text_config=Gemma3TextConfig(
            **TEXT,
            vocab_size=len(tokenizer),
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=32,
            layer_types=["sliding_attention", "full_attention"],
            bos_token_id=number("<bos>"),
            eos_token_id=number("<eos>"),
            pad_token_id=number("<pad>"),
        ),
        vision_config=SiglipVisionConfig(
            **VISION, num_hidden_layers=2, image_size=32, patch_size=8, vision_use_head=False
        ),
        mm_tokens_per_image=4,
        boi_token_index=number("<start_of_image>"),
        eoi_token_index=number("<end_of_image>"),
        image_token_index=number("<image_soft_token>"),
        eos_token_id=[number("<eos>"), number("<end_of_turn>")],
    )
    model = Gemma3ForConditionalGeneration(config)
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer,
        image_seq_length=4,
        chat_template=_GEMMA_TEMPLATE,
    )
    ends = [number("<eos>"), number("<end_of_turn>")]
    _saved(path, model, processor, number("<bos>"), ends, number("<pad>"))


def internvl(path: Path) -> None:
    """Save an InternVL 3.5: an image in tiles of one size, and a small copy of the whole."""
    from transformers import (
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVisionConfig,
        Qwen3Config,
    )
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    marks = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer, ids = _chatml_tokenizer(*marks.values(), extra_special_tokens=marks)
    config = InternVLConfig(
        text_config=Qwen3Config(
            **TEXT, vocab_size=len(tokenizer), head_dim=16, eos_token_id=ids["<|im_end|>"]
        ),
        vision_config=InternVLVisionConfig(
            **VISION, num_hidden_layers=2, image_size=[32, 32], patch_size=[8, 8]
        ),
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=4,
    )
    model = InternVLForConditionalGeneration(config)
    pixels = GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    processor = image_only(InternVLProcessor)(
        pixels, tokenizer, chat_template=CHATML.replace("IMAGE", "<IMG_CONTEXT>")
    )
    _saved(path, model, processor, None, [ids["<|im_end|>"]], tokenizer.pad_token_id)
    change(path / "processor_config.json", image_seq_length=4)


def _chatml_tokenizer(*specials: str, **roles: Any) -> tuple[Any, dict[str, int]]:
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *specials)
    tokenizer = byte_level(names, eos_token="<|im_end|>", pad_token="<|endoftext|>", **roles)
    return tokenizer, {name: tokenizer.convert_tokens_to_ids(name) for name in names}


def _saved(
    path: Path, model: Any, processor: Any, begin: int | None, ends: list[int], pad: int
) -> None:
    from transformers import GenerationConfig

    randomise(model, 0.25)
    model.generation_config = GenerationConfig(
        bos_token_id=begin, eos_token_id=ends, pad_token_id=pad
    )
    save(path, model, processor)


_PROMPTS = ("Describe it.", "What is in the picture? Say it in one long sentence, please.")

CHECKPOINTS = (
    Checkpoint("llava-next-7b", llava_next, _PROMPTS),
    Checkpoint("llava-onevision-7b", llava_onevision, _PROMPTS),
    Checkpoint("gemma-3-4b", gemma3, _PROMPTS, seen="logits"),
    Checkpoint("internvl3.5-4b", internvl, _PROMPTS),
)
