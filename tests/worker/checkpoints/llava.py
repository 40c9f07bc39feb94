"""LLaVA in small: as JoyCaption is, with SigLIP and Llama 3.1, and as LLaVA 1.5 is, with CLIP."""

from pathlib import Path

from tests.worker.checkpoints.chatting import TEXT, VISION, byte_level, save
from tests.worker.checkpoints.checkpoint import Checkpoint, randomise

_LLAMA_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|reserved_special_token_69|>",
    "<|reserved_special_token_70|>",
    "<|reserved_special_token_71|>",
)
_JOY_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{% if message['role'] == 'user' %}"
    "<|reserved_special_token_70|><|reserved_special_token_69|><|reserved_special_token_71|>"
    "{% endif %}"
    "{{ message['content'] | replace('<|reserved_special_token_69|>', '') | trim }}<|eot_id|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def llava(path: Path) -> None:
    """Save a LLaVA with SigLIP and Llama, as JoyCaption is."""
    from transformers import (
        GenerationConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        SiglipVisionConfig,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    image = "<|reserved_special_token_69|>"
    tokenizer = byte_level(
        _LLAMA_SPECIALS,
        begins="<|begin_of_text|>",
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in _LLAMA_SPECIALS}
    ends = [ids["<|end_of_text|>"], ids["<|eom_id|>"], ids["<|eot_id|>"]]
    config = LlavaConfig(
        text_config=LlamaConfig(
            **TEXT,
            vocab_size=len(tokenizer),
            bos_token_id=ids["<|begin_of_text|>"],
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        ),
        vision_config=SiglipVisionConfig(
            **VISION, num_hidden_layers=3, image_size=58, patch_size=14
        ),
        image_token_index=ids[image],
        image_seq_length=16,
        vision_feature_layer=-2,
        vision_feature_select_strategy="full",
    )
    model = LlavaForConditionalGeneration(config)
    randomise(model, 0.25)
    model.generation_config = GenerationConfig(
        bos_token_id=ids["<|begin_of_text|>"],
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.6,
        top_p=0.9,
    )
    pixels = SiglipImageProcessorPil(
        size={"height": 58, "width": 58}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor = LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token=image,
        chat_template=_JOY_TEMPLATE,
    )
    save(path, model, processor)


_LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% if message['role'] == 'assistant' %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def llava_clip(path: Path) -> None:
    """Save a LLaVA with CLIP, as LLaVA 1.5 is: one image token more, dropped again, and content
    in parts; its template leaves the beginning of the text to the tokenizer."""
    from transformers import (
        CLIPVisionConfig,
        GenerationConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = byte_level(
        ("<s>", "</s>", "<pad>", "<image>"),
        begins="<s>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    image, begin, end = tokenizer.convert_tokens_to_ids(["<image>", "<s>", "</s>"])
    config = LlavaConfig(
        text_config=LlamaConfig(
            **TEXT,
            vocab_size=len(tokenizer),
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=tokenizer.pad_token_id,
        ),
        vision_config=CLIPVisionConfig(
            **VISION, num_hidden_layers=3, image_size=32, patch_size=8, projection_dim=32
        ),
        image_token_index=image,
        image_seq_length=16,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config)
    randomise(model, 0.25)
    model.generation_config = GenerationConfig(
        bos_token_id=begin, eos_token_id=end, pad_token_id=tokenizer.pad_token_id
    )
    pixels = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_LLAVA_TEMPLATE,
    )
    save(path, model, processor)


CHECKPOINTS = (
    Checkpoint(
        "joycaption-beta-one",
        llava,
        ("Describe it.", "What is in the picture? Say it in one long sentence, please."),
    ),
    Checkpoint(
        "llava-1.5-7b",
        llava_clip,
        ("Describe it.", "What is in the picture? Say it in one long sentence, please."),
    ),
)
