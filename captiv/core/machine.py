"""Whether this machine plainly cannot run a model, before it is tried."""

from dataclasses import dataclass
from typing import Final

from captiv.catalog.model import BUILTIN, Variant
from captiv.core.fleet import needed_gb

NO_TORCH: Final = "torch is not installed here: pip install 'captiv[local]'."
NO_ONNX: Final = "onnxruntime is not installed here: pip install 'captiv[tagger]'."
NO_VLLM: Final = "vLLM is not installed here; docs/models.md has its environment."

_HALF: Final = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of this machine. None is unknown, and speaks against nothing."""

    torch: bool
    """Whether torch and transformers are installed."""
    vllm: bool = False
    """Whether there is a vLLM."""
    onnxruntime: bool = False
    """Whether it is there, for taggers."""
    ram_gb: float | None = None
    vram_gb: float | None = None
    """Of its largest GPU; None where none is known."""
    free_gb: float | None = None
    """On the disk where models are kept."""
    cached: bool = False
    """Whether the model's weights are there."""
    held_gb: float = 0.0
    """What is there of a download that was begun."""
    gpus: int | None = None
    """How many that CUDA or ROCm shows; None where that is not known."""
    has_mps: bool | None = None
    """Whether it may have Apple's GPU; None where that is not known."""


def incapable(
    machine: Machine,
    variant: Variant | None,
    *,
    model: str,
    dtype: str,
    device: str,
    engine: str = "auto",
    by_vllm: bool = False,
    tags: bool = False,
) -> str | None:
    """Return why this machine cannot run the model, in a sentence with what to do; None if it may.

    Only what is plain counts: all memory there is, not what is free now, which others may give
    back. Of a model that the catalog does not know, only engine and device are asked for.

    Args:
        machine: this machine.
        variant: the checkpoint, as the catalog has it.
        model: what a person calls it.
        dtype: as asked for; `auto` is half precision on a GPU and float32 elsewhere.
        device: as asked for.
        engine: as asked for.
        by_vllm: whether vLLM drives the model's family.
        tags: whether it is a tagger.
    """
    missing = no_engine(machine, engine, by_vllm=by_vllm, tags=tags) or no_device(machine, device)
    if missing is not None or variant is None:
        return missing
    return _too_large(machine, variant, model, dtype, device) or _no_room(machine, variant, model)


def no_engine(machine: Machine, engine: str, *, by_vllm: bool, tags: bool = False) -> str | None:
    """Return why nothing is here that could drive the model; None if something is."""
    if tags:
        return None if machine.onnxruntime else NO_ONNX
    if engine == "vllm":
        return None if machine.vllm else NO_VLLM
    return None if machine.torch or (engine == "auto" and machine.vllm and by_vllm) else NO_TORCH


def no_device(machine: Machine, device: str) -> str | None:
    """Return why there is no such device here; None if there may be."""
    kind, _, number = device.partition(":")
    if kind == "mps" and machine.has_mps is False:
        return "This machine has no Apple GPU. Leave out --device mps."
    if kind != "cuda" or machine.gpus is None or int(number or 0) < machine.gpus:
        return None
    if not machine.gpus:
        return f"This machine has no GPU for --device {device}."
    has = ", ".join(f"cuda:{n}" for n in range(machine.gpus))
    return f"This machine has no GPU {device}. It has {has}."


def _too_large(
    machine: Machine, variant: Variant, model: str, dtype: str, device: str
) -> str | None:
    on_gpu = device.startswith("cuda") or (device == "auto" and machine.vram_gb is not None)
    has, where = (machine.vram_gb, "GPU") if on_gpu else (machine.ram_gb, "memory")
    precision = dtype if dtype != "auto" or on_gpu else "float32"
    needs = needed_gb(variant, precision, None) or _doubled(variant, precision)
    if has is None or needs is None or needs <= has:
        return None
    asked = "" if precision == "auto" else f" in {precision}"
    return f"{model} needs {needs:g} GB{asked}, and the {where} of this machine has {has:.1f} GB."


def _doubled(variant: Variant, precision: str) -> float | None:
    """Return what float32 needs where the catalog knows only half precision: twice as much."""
    halves = [variant.vram_gb[half] for half in _HALF if half in variant.vram_gb]
    return 2 * max(halves) if precision == "float32" and halves else None


def _no_room(machine: Machine, variant: Variant, model: str) -> str | None:
    needs_gb = max(0.0, (variant.download_bytes or 0) / 1e9 - machine.held_gb)
    fetched = machine.cached or variant.source.startswith(BUILTIN)
    if fetched or machine.free_gb is None or needs_gb <= machine.free_gb:
        return None
    return (
        f"{model} is a download of {needs_gb:.1f} GB, and {machine.free_gb:.1f} GB are free where "
        "models are kept: HF_HOME says where."
    )
