"""Which engine drives a model here: what is asked for, what is installed, and what each can do."""

from importlib.util import find_spec
from typing import Final

from captiv.catalog import Family
from captiv.catalog.engines import against_vllm, is_exact
from captiv.errors import ModelError, UsageError
from captiv.wire import Generation
from captiv_worker.engines import vllm

AUTO: Final = "auto"
TRANSFORMERS: Final = "transformers"
VLLM: Final = "vllm"

_DEVICES = ("auto", "cuda", "cpu")
_TORCH = ("torch", "transformers")
ONNXRUNTIME: Final = "onnxruntime"
"""Drives taggers, whatever drives other models."""


def available() -> list[str]:
    """Return the engines that this worker can load."""
    found = [TRANSFORMERS] if all(find_spec(name) is not None for name in _TORCH) else []
    found += [ONNXRUNTIME] if find_spec(ONNXRUNTIME) is not None else []
    return [*found, VLLM] if vllm.command() is not None else found


def choose_engine(asked: str, family: Family, *, dtype: str, device: str) -> str:
    """Return the engine for this family: `auto` takes vLLM where it is installed and can do it.

    Raises:
        ModelError: vLLM is asked for, and cannot do what is asked.
    """
    if asked != VLLM and family.tagging is not None:
        return ONNXRUNTIME
    if asked == TRANSFORMERS:
        return TRANSFORMERS
    why = _unfit(family, dtype, device)
    if asked == VLLM:
        if why is not None:
            raise ModelError(why, hint="Use --engine transformers, or auto.")
        return VLLM
    exact = is_exact(dtype) or device == "cpu"  # vLLM is for GPUs
    return VLLM if why is None and not exact and vllm.command() is not None else TRANSFORMERS


def check_generation(engine: str, generation: Generation) -> None:
    """Refuse settings that the engine which is loaded cannot honour.

    Raises:
        UsageError: names the setting.
    """
    if engine == VLLM and (generation.num_beams or 1) > 1:
        raise UsageError(
            f"num_beams {generation.num_beams}: vLLM searches no beams.",
            hint="Ask with num_beams 1, or start the worker with --engine transformers.",
        )


def _unfit(family: Family, dtype: str, device: str) -> str | None:
    """Return why vLLM cannot drive this family as asked, or None."""
    if device.partition(":")[0] not in _DEVICES:
        return f"captiv does not run vLLM on {device}."
    return against_vllm(family, dtype, None)
