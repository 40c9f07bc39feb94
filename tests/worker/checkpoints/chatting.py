"""What the chat models in small have in common: byte-level tokenizers, and small halves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TEXTS = (
    "Write a long detailed description for this image. Describe the image in one sentence.",
    "a photograph of a dog on the grass beside a red ball, with soft light from the left",
    "You are a helpful assistant and help users with any queries. User: Assistant: system",
)


def byte_level(specials: Sequence[str], *, begins: str | None = None, **roles: Any) -> Any:
    """Return a byte-level BPE tokenizer; it puts `begins` in front of every text, if given."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.add_special_tokens(list(specials))
    if begins is not None:
        number = tokenizer.token_to_id(begins)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begins} $A", special_tokens=[(begins, number)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
"""Wide enough for blocks of 64 weights, which 4 bit quantises together."""

VISION = {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4}


def save(path: Path, model: Any, processor: Any) -> None:
    model.save_pretrained(path)
    processor.save_pretrained(path)
