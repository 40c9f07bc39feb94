"""Sampling by row: what a seed draws for an image does not depend on the batch it falls into.

A batch that draws from one stream of random numbers gives each row what is left by its neighbours.
Here each row has noise of its own: a number for each step and token, computed from a key that
comes of the picture and the seed alone. Added to the logarithms of the probabilities, Gumbel noise
makes the likeliest token a sample of the distribution (the Gumbel-max trick, Gumbel 1954), so that
the search itself is greedy and any number of rows go together.

In float32 the result is exact: a batch changes the last digits of a logit, and the two leading
tokens would have to be as close as that. In half precision they often are: no promise there.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from captiv.wire import Generation
from captiv_worker.engines.spec import EngineItem

_STEP, _TOKEN = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
"""Of SplitMix64 (Steele, Lea and Flood 2014), whose counter is step and token here."""

_BITS = 23
"""Of a uniform number: as many as keep it apart from 0 and 1 in float32."""


def row_keys(items: Sequence[EngineItem], seed: int) -> tuple[int, ...]:
    """Return what each row draws from: the picture's pixels and the seed, nothing else."""
    return tuple(_key(item, seed) for item in items)


def _key(item: EngineItem, seed: int) -> int:
    digest = hashlib.blake2b(seed.to_bytes(8, "little"), digest_size=8)
    digest.update(f"{item.image.mode} {item.image.size}".encode())
    digest.update(item.image.tobytes())
    return int.from_bytes(digest.digest(), "little", signed=True)


def drawing(transformers: Any, generation: Generation, keys: Sequence[int]) -> list[Any]:
    """Return the processors of scores that make a greedy generate() sample these rows."""
    logits = transformers.generation.logits_process
    chain: list[Any] = []
    if generation.temperature not in (None, 1.0):
        chain.append(logits.TemperatureLogitsWarper(float(generation.temperature or 1.0)))
    if generation.top_k:
        chain.append(logits.TopKLogitsWarper(generation.top_k))
    if generation.top_p is not None and generation.top_p < 1:
        chain.append(logits.TopPLogitsWarper(generation.top_p))
    return [*chain, RowNoise(keys)]


class RowNoise:
    """Adds each row's own noise to its scores; one instance serves one generate()."""

    supports_continuous_batching = False

    def __init__(self, keys: Sequence[int]) -> None:
        self._keys = keys
        self._step = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return `scores` with noise, of the same shape: rows by tokens."""
        noise = self._gumbel(scores)
        self._step += 1
        return scores.float() + noise

    def _gumbel(self, scores: Any) -> Any:
        tokens = scores.new_zeros(scores.shape[1]).long()
        tokens = tokens.fill_(_signed(_TOKEN)).cumsum(0)  # token number n has n + 1 times this
        keys = tokens.new_tensor(list(self._keys))
        drawn = tokens[None, :] + (keys + _signed(self._step * _STEP))[:, None]
        for shift, factor in _MIX:
            drawn = (drawn ^ _shifted(drawn, shift)) * _signed(factor)
        drawn = _shifted(drawn ^ _shifted(drawn, 31), 64 - _BITS)
        uniform = (drawn.float() + 0.5) * 2.0**-_BITS
        return -(-uniform.log()).log()


def _shifted(numbers: Any, by: int) -> Any:
    """Shift to the right without the sign: torch has no unsigned arithmetic of 64 bits."""
    return (numbers >> by) & ((1 << (64 - by)) - 1)


def _signed(number: int) -> int:
    """Return the signed number that has the lowest 64 bits of this one."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
