"""What must be true of a loaded model, asserted once before it captions anything.

Each of these mistakes gives no error later, only worse captions: two beginnings of a text, an image
token too few, padding on the wrong side, pixels in another precision, a prompt cut off by guess.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captiv.errors import ModelError

_HINT = (
    "The checkpoint does not go with this version of transformers: fetch it again, or install "
    "the version that captiv was tested with (docs/models.md)."
)

_NEVER = -1e30
"""A token with this score or a lower one is masked: by infinity, or the least of the precision."""


def check_begins_once(rows: Sequence[Sequence[int]], token: int) -> None:
    """Refuse a prompt that does not have this token exactly once."""
    for row in rows:
        count = list(row).count(token)
        if count != 1:
            raise _wrong(f"a prompt begins {count} times (token {token}) instead of once")


def check_places(found: Sequence[int], wanted: Sequence[int]) -> None:
    """Refuse prompts that hold more or fewer image tokens than the model fills."""
    for has, count in zip(found, wanted, strict=True):
        if has != count:
            raise _wrong(
                f"the processor puts {has} image tokens into a prompt where the model "
                f"expects {count}"
            )


def check_padding(masks: Sequence[Sequence[int]], side: str) -> None:
    """Refuse prompts that are filled up on the other side; a mask is 0 where it is filled up."""
    for mask in masks:
        row = list(mask)
        ordered = sorted(row, reverse=side == "right")
        if row != ordered:
            raise _wrong(f"prompts are filled up on another side than the {side} one")


def check_side(tokenizer: Any, side: str) -> None:
    """Refuse a tokenizer that fills up on the other side."""
    if tokenizer.padding_side != side:
        raise _wrong(f"the tokenizer fills up prompts {tokenizer.padding_side}, the model {side}")


def check_pixels(inputs: Any, dtype: Any) -> None:
    """Refuse images in another precision than the weights."""
    for name, value in inputs.items():
        floats = hasattr(value, "is_floating_point") and value.is_floating_point()
        if floats and value.dtype != dtype:
            raise _wrong(f"{name} is {value.dtype} where the weights are {dtype}")


def check_echo(
    rows: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]] | None, echoed: int
) -> None:
    """Refuse a model that, asked for one new token, returns other than what is trimmed, and one.

    Args: `prompts` is what a row is to begin with where the model repeats its prompt.
    """
    for index, row in enumerate(rows):
        if len(row) != echoed + 1:
            raise _wrong(
                f"asked for one token the model returns {len(row)}, where {echoed} of the prompt "
                "are trimmed"
            )
        if prompts is not None and list(row[:echoed]) != list(prompts[index])[:echoed]:
            raise _wrong("the model does not repeat its prompt in front of the answer")


def check_alike(together: Any, alone: Any, *, exact: bool) -> None:
    """Refuse a model that scores the first token of an image otherwise in a batch than alone.

    Args: `exact` is float32, in which nothing but the order of sums may differ; in half precision
    a wrong position or mask still shows, as it moves scores by a large share of their range. Tokens
    that the model never writes, as both scores say, tell nothing.
    """
    written = (together > _NEVER) | (alone > _NEVER) | together.isnan() | alone.isnan()
    apart = float((together - alone)[written].abs().max())
    scores = alone[alone > _NEVER]
    span = float(scores.max() - scores.min())
    if not apart <= (0.001 if exact else 0.1) * span:
        raise _wrong(
            f"an image gets other scores in a batch than alone (up to {apart:.2g} apart, of a "
            f"range of {span:.2g})"
        )


def check_ends(ends: Sequence[int], vocabulary: int) -> None:
    """Refuse a model without a token that ends an answer."""
    if not ends or not all(0 <= token < vocabulary for token in ends):
        raise _wrong(f"an answer ends with {list(ends)}; the vocabulary has {vocabulary} tokens")


def check_end_is_special(ends: Sequence[int], tokenizer: Any) -> None:
    """Refuse a tokenizer to which whatever ends an answer is a word, or fills up a text."""
    names = ("pad_token_id", "unk_token_id", "mask_token_id", "cls_token_id")
    others = {getattr(tokenizer, name, None) for name in names}
    others -= {tokenizer.eos_token_id, getattr(tokenizer, "sep_token_id", None)}
    marks = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder} - others
    if not marks.intersection(ends):
        raise ModelError(
            f"The model ends an answer with {list(ends)}; to the tokenizer that ends nothing.",
            hint="They are of different models: fetch the model again.",
        )


def check_turn_ends(after: Sequence[int], ends: Sequence[int]) -> None:
    """Refuse a template that puts another token after an answer than those that end one."""
    for token in after:
        if token not in ends:
            raise _wrong(f"its template ends an answer with token {token}, it with {list(ends)}")


def check_vocabulary(tokenizer: Any, vocabulary: int) -> None:
    """Refuse a tokenizer with more tokens than the model."""
    if len(tokenizer) > vocabulary:
        raise ModelError(
            f"The tokenizer has {len(tokenizer)} tokens, the model {vocabulary}.",
            hint="They are of different models: fetch the model again.",
        )


def always_thinks(path: Path) -> ModelError:
    """Return why a checkpoint isn't driven whose template has every answer begin with thoughts."""
    return ModelError(
        f"The chat template in {path} has the model think before each answer, and no setting "
        "switches that off.",
        hint="Use a release that doesn't think, often named -Instruct.",
    )


def _wrong(what: str) -> ModelError:
    return ModelError(f"The model would caption wrongly: {what}.", hint=_HINT)
