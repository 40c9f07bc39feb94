"""BLIP in small."""

from pathlib import Path

from tests.worker.checkpoints.checkpoint import Checkpoint, randomise, write_vocabulary


def build(path: Path) -> None:
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    tokenizer = BertTokenizer(str(write_vocabulary(path)))
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    size = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = BlipConfig(
        text_config={
            **size,
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 2,
            "max_position_embeddings": 32,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            **size,
            "num_hidden_layers": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.02,
        },
    )
    randomise(BlipForConditionalGeneration(config), 0.25).save_pretrained(path)
    pixels = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(pixels, tokenizer).save_pretrained(path)


CHECKPOINTS = (
    Checkpoint("blip-large", build, prompts=("a photography of", "a red dog in the old street")),
)
