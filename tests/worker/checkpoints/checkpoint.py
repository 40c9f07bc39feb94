"""What a tiny checkpoint is, and what all builders need: weights and vocabularies."""

import json
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS: tuple[str, ...] = tuple(
    word
    for line in (
        "a an the of in on with and red blue green black white dog cat man woman tree house car",
        "street photography photo picture image large small old round under near left right sky",
        "water stone what does describe this detail show is shown paragraph question answer",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One architecture in small."""

    variant: str
    """The variant of the catalog that it is like."""
    build: Callable[[Path], None]
    """Saves it into an empty directory."""
    prompts: tuple[str, ...] = ()
    """Texts of different length that a person might ask with; empty where none is taken."""
    seen: str = "captions"
    """What tells that the answer depends on the picture: `captions`, or `logits` where random
    weights say the same word of nearly every picture."""


PathOf = Callable[[Checkpoint], Path]
"""Gives the directory of a checkpoint, built when it is first asked for (tests/conftest.py)."""


def randomise(model: Any, spread: float, seed: int = 11) -> Any:
    """Return the model with every matrix drawn anew, so that it tells one picture from another.

    So is every vector that was drawn, as an embedding of a class is: with what the library draws by
    a seed of its own, the model would be another one after other tests.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 or bool((parameter != parameter[:1]).any()):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model.eval()


def write_vocabulary(path: Path, words: Sequence[str] = WORDS) -> Path:
    """Write a vocabulary for BERT's tokenizer, beside the directory of the checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_suffix(".txt")
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    special = ["[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]"]
    file.write_text("\n".join([*special, *words, *letters, ":", ".", "?"]) + "\n")
    return file


_SPACE, _BREAK = "\u0120", "\u010a"
"""How a byte-level BPE writes them."""


def train_pieces(special: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return vocabulary and merges of a byte-level BPE, `special` tokens first.

    Of the bytes it has only those of plain English, so that random weights say something readable.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=[*string.ascii_letters, *string.digits, *".,:?!<>_/", _SPACE, _BREAK],
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


def unigrams(special: Sequence[str]) -> list[tuple[str, float]]:
    """Return the vocabulary of a unigram tokenizer, `special` tokens first."""
    letters = "abcdefghijklmnopqrstuvwxyz.:?"
    pieces = [*(f"\u2581{word}" for word in WORDS), "\u2581", *letters]
    scores = [-2.0 if len(piece) > 1 else -8.0 for piece in pieces]
    return [*((token, 0.0) for token in special), *zip(pieces, scores, strict=True)]


def change(path: Path, **values: Any) -> None:
    """Change values of a JSON file."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **values}))
