"""What drives a model: transformers in batches, or vLLM, which batches continuously.

transformers drives every family. vLLM drives those whose architecture says so, about twice as many
images a second on a large GPU, and honours fewer settings.
"""

from typing import Final, Literal

from captiv.catalog.model import QUANTISED, Family

Engine = Literal["transformers", "vllm"]
EngineWish = Literal["auto", "transformers", "vllm"]

ENGINES: Final[tuple[EngineWish, ...]] = ("auto", "transformers", "vllm")
"""As a person names them; `auto` takes vLLM where it is there and can do what is asked."""


def against_vllm(family: Family, dtype: str, beams: int | None) -> str | None:
    """Return why vLLM cannot drive this family as asked, in a sentence; None if it can.

    Args:
        family: as the variant has it.
        dtype: the precision that is asked for.
        beams: how many are searched; None for the family's own number.
    """
    if not family.architecture.vllm:
        return f"captiv does not drive {family.title} by vLLM."
    if dtype in QUANTISED:
        return f"vLLM has no {dtype} as captiv means it (--torch-dtype)."
    wanted = family.generation.num_beams if beams is None else beams
    if (wanted or 1) > 1:
        return f"{family.title} is asked with {wanted} beams, and vLLM searches none."
    return None


def is_exact(dtype: str) -> bool:
    """Whether a seed has to give the same whatever the batch: then `auto` takes no vLLM."""
    return dtype == "float32"
