"""BLIP-2 in small, with OPT and with T5."""

from pathlib import Path
from typing import Any

from tests.worker.checkpoints.checkpoint import Checkpoint, randomise, train_pieces, unigrams

_QUERIES = 4
_SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}


def build_opt(path: Path) -> None:
    from transformers import GPT2Tokenizer, OPTConfig

    vocabulary, merges = train_pieces(["<pad>", "</s>"])
    tokenizer = GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token="</s>",
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    )
    text = OPTConfig(
        vocab_size=len(tokenizer) + 1,  # and the place of the image
        hidden_size=64,  # 4 bit needs that much
        word_embed_proj_dim=64,
        ffn_dim=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids("\u010a"),  # a line break, as in the real one
    )
    _save(path, tokenizer, text, spread=0.25)


def build_t5(path: Path) -> None:
    from transformers import T5Config, T5Tokenizer

    tokenizer = T5Tokenizer(vocab=unigrams(["<pad>", "</s>", "<unk>"]), extra_ids=4)
    text = T5Config(
        vocab_size=len(tokenizer) + 1,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        bos_token_id=1,
    )
    _save(path, tokenizer, text, spread=0.25)


def _save(path: Path, tokenizer: Any, text: Any, *, spread: float) -> None:
    """Save it as the hub's directories are: the processor does not say how many queries."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    processor = Blip2Processor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)
    config = Blip2Config(
        text_config=text.to_dict(),
        vision_config={
            **_SIZE,
            "num_hidden_layers": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.02,
        },
        qformer_config={**_SIZE, "num_hidden_layers": 2, "vocab_size": 32},
        num_query_tokens=_QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    randomise(Blip2ForConditionalGeneration(config), spread).save_pretrained(path)
    processor.save_pretrained(path)


_PROMPTS = ("a photo of", "Question: what is the dog in the picture? Answer:")
CHECKPOINTS = (
    Checkpoint("blip2-opt-2.7b", build_opt, _PROMPTS),
    Checkpoint("blip2-flan-t5-xl", build_t5, _PROMPTS),
)
