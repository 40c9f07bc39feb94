"""Kosmos-2 and Kosmos-2.5 in small."""

from pathlib import Path

from tests.worker.checkpoints.checkpoint import Checkpoint, randomise, unigrams

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_QUERIES = 4


def build_2(path: Path) -> None:
    from transformers import (
        Kosmos2Config,
        Kosmos2ForConditionalGeneration,
        Kosmos2Processor,
        XLMRobertaTokenizer,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    # The tokens behind <unk> stand for the image and are used for nothing else.
    reserved = [f"<image_{n}>" for n in range(_QUERIES)]
    tokenizer = XLMRobertaTokenizer(vocab=unigrams([*_SPECIAL, *reserved]))
    pixels = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = Kosmos2Processor(pixels, tokenizer, num_patch_index_tokens=16)
    config = Kosmos2Config(
        text_config={
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 128,
            "embed_dim": 32,
            "layers": 2,
            "ffn_dim": 64,
            "attention_heads": 4,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        latent_query_num=_QUERIES,
    )
    randomise(Kosmos2ForConditionalGeneration(config), 0.4).save_pretrained(path)
    processor.save_pretrained(path)


def build_25(path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        Kosmos2_5Config,
        Kosmos2_5ForConditionalGeneration,
        Kosmos2_5Processor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.kosmos2_5.image_processing_pil_kosmos2_5 import (
        Kosmos2_5ImageProcessorPil,
    )

    marks = ["<image>", "</image>", "<md>", "<ocr>", "<bbox>", "</bbox>"]
    bare = Tokenizer(models.Unigram(unigrams([*_SPECIAL, *marks]), unk_id=3))
    bare.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    bare.decoder = decoders.Metaspace(prepend_scheme="never")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={
            "boi_token": "<image>",
            "eoi_token": "</image>",
            "image_token": "<s>",
        },
    )
    tokenizer.add_tokens(marks[2:])
    pixels = Kosmos2_5ImageProcessorPil(patch_size={"height": 4, "width": 4}, max_patches=24)
    config = Kosmos2_5Config(
        text_config={
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 128,
            "embed_dim": 32,
            "layers": 2,
            "ffn_dim": 64,
            "attention_heads": 4,
        },
        vision_config={
            "hidden_size": 32,
            "patch_embed_hidden_size": 48,
            "intermediate_size": 64,
            "head_dim": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_num_patches": 24,
        },
        latent_query_num=_QUERIES,
    )
    randomise(Kosmos2_5ForConditionalGeneration(config), 0.4).save_pretrained(path)
    Kosmos2_5Processor(pixels, tokenizer, num_image_tokens=_QUERIES).save_pretrained(path)


CHECKPOINTS = (
    Checkpoint("kosmos-2", build_2, prompts=("a photo of", "what is in the picture?")),
    Checkpoint("kosmos-2.5", build_25),
)
