"""Florence-2 in small."""

from pathlib import Path

from tests.worker.checkpoints.checkpoint import Checkpoint, randomise, train_pieces


def build(path: Path) -> None:
    from transformers import (
        BartTokenizer,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    vocabulary, merges = train_pieces(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer = BartTokenizer(
        vocab=vocabulary, merges=merges, extra_special_tokens={"image_token": "<image>"}
    )
    config = Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": 2,
        },
        vision_config={
            "depths": (1, 1, 1, 1),
            "patch_size": (7, 3, 3, 3),
            "patch_stride": (4, 2, 2, 2),
            "embed_dim": (16, 16, 32, 32),
            "num_heads": (2, 2, 4, 4),
            "num_groups": (2, 2, 4, 4),
            "window_size": 4,
            "projection_dim": 32,
            "drop_path_rate": 0.0,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = randomise(Florence2ForConditionalGeneration(config), 0.3)
    model.save_pretrained(path)
    pixels = CLIPImageProcessorPil(
        size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=5
    )
    pixels.image_seq_length = 5  # four places of the last grid, and their mean
    Florence2Processor(pixels, tokenizer).save_pretrained(path)


CHECKPOINTS = (Checkpoint("florence2-large", build),)
