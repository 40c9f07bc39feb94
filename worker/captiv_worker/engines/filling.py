"""Keeps what fills up a row out of whatever looks at the tokens before the next one.

Rows of a batch are filled up on the left. Attention leaves that out by the mask; but a repetition
penalty and a ban on repeated n-grams read token ids, and what fills up may be a token that ends an
answer (Qwen-VL's is). Transformers masks it for its own penalty alone, and not in every version.
"""

from collections.abc import Callable
from typing import Any

Processor = Callable[[Any, Any], Any]
"""Takes token ids, rows by positions, and scores, rows by tokens; returns scores."""

_NO_TOKEN = -1
"""No answer holds it, so that no run of tokens with it in front is ever repeated."""


def fillings(inputs: Any, echoed: int) -> Any:
    """Return how many places of each row are filled up; None where no row has any.

    Args: `echoed` is how many tokens of a row the model repeats; an encoder-decoder's row begins
    anew, and nothing is filled up there.
    """
    mask = inputs.get("attention_mask")
    if mask is None or echoed < mask.shape[1] or bool(mask.all()):
        return None
    return (mask == 0).sum(dim=1)


def own_tokens(transformers: Any, chosen: dict[str, Any], settings: Any, filled: Any) -> None:
    """Let what generate() is called with look at each row's own tokens only.

    Args: `chosen` is that, and is changed; `settings` is what holds where it says nothing.
    """
    logits = transformers.generation.logits_process
    chain: list[Processor] = []
    penalty = chosen.get("repetition_penalty", settings.repetition_penalty)
    if penalty not in (None, 1.0):
        chain.append(OwnTokens(logits.RepetitionPenaltyLogitsProcessor(float(penalty)), filled))
        chosen["repetition_penalty"] = 1.0
    size = chosen.get("no_repeat_ngram_size", settings.no_repeat_ngram_size)
    if size:
        ban = logits.NoRepeatNGramLogitsProcessor(size)
        chain.append(OwnTokens(ban, filled, _NO_TOKEN if size > 1 else None))
        chosen["no_repeat_ngram_size"] = 0
    if chain:
        given = chosen.get("logits_processor", ())
        chosen["logits_processor"] = logits.LogitsProcessorList([*chain, *given])


class OwnTokens:
    """Shows a processor rows in which the filling is the row's own first token, or another.

    The first one is there anyway, and a penalty counts a token once.
    """

    supports_continuous_batching = False

    def __init__(self, processor: Processor, filled: Any, shown: int | None = None) -> None:
        """Take what a batch has in common.

        Args: `filled` is how many places of each row are filled up, on the left; `shown` what is
        seen there, where that isn't the first token.
        """
        self._processor = processor
        self._filled = filled
        self._shown = shown

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the scores that the processor makes of the rows' own tokens."""
        beams = input_ids.shape[0] // self._filled.shape[0]
        filled = self._filled.to(input_ids.device).repeat_interleave(beams)[:, None]
        places = input_ids.new_ones(input_ids.shape[1]).cumsum(0) - 1
        shown = input_ids.gather(1, filled) if self._shown is None else self._shown
        return self._processor(input_ids.where(places >= filled, shown), scores)
