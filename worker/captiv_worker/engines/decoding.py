"""From generation settings to token ids, and from token ids to answers.

Greedy and beam search give each image in a batch what it gets alone, and so does sampling with a
seed, by row (`sampling`). Only beams that are sampled are done image by image.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from captiv.wire import Generation

Finish = Literal["stop", "length"]


def is_seeded(generation: Generation) -> bool:
    """Return whether these settings draw random numbers from a seed."""
    return bool(generation.temperature) and generation.seed is not None


@contextmanager
def drawing_from(torch: Any, seed: int | None, device: Any) -> Iterator[None]:
    """Let the random numbers of this context come from the seed, and leave all others alone."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def settings(generation: Generation, max_new_tokens: int) -> dict[str, Any]:
    """Return what generate() is called with. Greedy unless there is a temperature or more beams."""
    chosen: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "num_beams": generation.num_beams or 1,
        "do_sample": bool(generation.temperature),
    }
    if generation.min_new_tokens:
        chosen["min_new_tokens"] = min(generation.min_new_tokens, max_new_tokens)
    if generation.repetition_penalty is not None:
        chosen["repetition_penalty"] = generation.repetition_penalty
    if generation.no_repeat_ngram_size is not None:
        chosen["no_repeat_ngram_size"] = generation.no_repeat_ngram_size
    if generation.early_stopping is not None and chosen["num_beams"] > 1:
        chosen["early_stopping"] = bool(generation.early_stopping)
    if generation.temperature:
        chosen["temperature"] = generation.temperature
        chosen["top_k"] = generation.top_k if generation.top_k is not None else 0
        chosen["top_p"] = generation.top_p if generation.top_p is not None else 1.0
    return chosen


class PresencePenalty:
    """Lowers the score of each token that a row's answer has already, however often it has it.

    Only new tokens count, as with vLLM: what the prompt says may be said once more for nothing, and
    what fills up a shorter prompt is no part of the answer.
    """

    supports_continuous_batching = False

    def __init__(self, penalty: float, echoed: int) -> None:
        """Args: `echoed` is how many tokens of a row are not new."""
        self._penalty = penalty
        self._echoed = echoed

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return `scores`, rows by tokens, with the penalty taken off."""
        new = input_ids[:, self._echoed :]
        said = scores.new_zeros(scores.shape).scatter(1, new, 1.0)
        return scores - self._penalty * said


def until_end(row: Sequence[int], ends: Collection[int]) -> tuple[list[int], Finish]:
    """Return the tokens before the first that ends an answer, and whether there was one."""
    for count, token in enumerate(row):
        if token in ends:
            return list(row[:count]), "stop"
    return list(row), "length"
