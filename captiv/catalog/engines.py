"""What drives a model: transformers in batches, or vLLM, which batches continuously.

transformers drives every family. vLLM drives those whose architecture says so, about twice as many
images a second on a large GPU, and honours fewer settings.
"""

from typing import Final, Literal

from captiv.catalog.model import QUANTISED, Family
from captiv.wire import Generation

Engine = Literal["transformers", "vllm"]
EngineWish = Literal["auto", "transformers", "vllm"]

ENGINES: Final[tuple[EngineWish, ...]] = ("auto", "transformers", "vllm")
"""As a person names them; `auto` takes vLLM where it is there and can do what is asked."""


def against_vllm(family: Family, dtype: str, asked: Generation | None) -> str | None:
    """Return why vLLM cannot drive this family as asked, in a sentence; None if it can.

    Args:
        family: as the variant has it.
        dtype: the precision that is asked for.
        asked: how the model decodes; what is None, and None itself, is as the family has it.
    """
    if not family.architecture.vllm:
        return f"captiv does not drive {family.title} by vLLM."
    if dtype in QUANTISED:
        return f"vLLM has no {dtype} as captiv means it (--torch-dtype)."
    unable = unable_in_vllm((asked or Generation()).over(family.generation))
    return None if unable is None else f"{family.title} is set to {unable}."


def unable_in_vllm(generation: Generation) -> str | None:
    """Return the setting that vLLM cannot honour, and why; None if it honours them all.

    Early stopping ends a search with beams, so it needs no word of its own.
    """
    if (generation.num_beams or 1) > 1:
        return f"{generation.num_beams} beams (num_beams), and vLLM has no beam search"
    if generation.no_repeat_ngram_size:
        size = generation.no_repeat_ngram_size
        return f"no_repeat_ngram_size {size}, and vLLM can't forbid repeats"
    return None


def is_exact(dtype: str) -> bool:
    """Whether a seed has to give the same whatever the batch: then `auto` takes no vLLM."""
    return dtype == "float32"
