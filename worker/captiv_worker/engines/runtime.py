"""torch and transformers as this machine has them: imported late, one device, one precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from captiv.catalog.model import QUANTISED
from captiv.errors import HostUnfit, ModelError
from captiv_worker.engines.spec import DeviceLost, EngineSpec, OutOfMemory

_GPU_BATCH = 8
_GPU_LARGEST = 128
"""What batches grow to on a CUDA device while its memory holds them. An estimate: from some 64 on,
by JoyCaption's arithmetic, reading the images is the work, and a larger batch wins little."""

_CPU_BATCH = 16
"""Of a small model: a batch saves the per-token overhead of Python, which is most of its time."""

_CPU_BATCH_LARGE = 4
_LARGE_BYTES = 200_000_000
"""From here a CPU is busy with the weights themselves, and a batch only adds waiting."""

_NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "can't allocate memory")
_LOST = ("CUDA error", "device-side assert", "an illegal memory access")


@dataclass(frozen=True, slots=True)
class Runtime:
    """The libraries, and where and how a model runs on them."""

    torch: Any
    transformers: Any
    device: str
    dtype: str
    """Name of a torch dtype: that of whatever is not quantised."""
    quantised: str | None = None
    """`8bit` or `4bit`, where the language model's weights are."""

    @property
    def kind(self) -> str:
        """The kind of device, without its number."""
        return self.device.partition(":")[0]

    @property
    def precision(self) -> str:
        """What a person calls it."""
        return self.quantised or self.dtype

    @property
    def torch_dtype(self) -> Any:
        """The dtype itself."""
        return getattr(self.torch, self.dtype)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Translate what torch raises where the device has no memory, or is gone.

        Raises: OutOfMemory, DeviceLost.
        """
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            text = str(error)
            if has_no_memory(error):
                if self.torch.cuda.is_available():
                    self.torch.cuda.empty_cache()
                raise OutOfMemory(text.partition("\n")[0][:200]) from error
            if any(mark in text for mark in _LOST):
                raise DeviceLost(text.partition("\n")[0][:200]) from error
            raise

    def batches(self, weight_bytes: int) -> tuple[int, int | None]:
        """Return how many images are captioned at once at first, and what that may grow to.

        Only a CUDA device says that its memory is full; others slow down or are ended.
        """
        if self.kind == "cpu":
            return (_CPU_BATCH if weight_bytes < _LARGE_BYTES else _CPU_BATCH_LARGE), None
        return _GPU_BATCH, _GPU_LARGEST if self.kind == "cuda" else None


def has_no_memory(error: Exception) -> bool:
    """Whether this says that the device, or the machine, has no memory left."""
    return isinstance(error, MemoryError) or any(mark in str(error) for mark in _NO_MEMORY)


def open_runtime(spec: EngineSpec) -> Runtime:
    """Import the libraries and choose device and precision.

    Raises:
        ModelError: packages are missing, or the device that was asked for.
    """
    torch, transformers = _import()
    device = _device(torch, spec.device)
    if device == "cpu":
        torch.set_num_threads(threads(cores(), spec.shares))
    quantised = spec.dtype if spec.dtype in QUANTISED else None
    overflows = spec.architecture is not None and spec.architecture.overflows
    dtype = dtype_on(torch, "auto" if quantised else spec.dtype, device, overflows=overflows)
    return Runtime(torch, transformers, device, dtype, quantised)


def _import() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        from captiv_worker.hub import missing_packages

        raise missing_packages() from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return torch, transformers


def _device(torch: Any, asked: str) -> str:
    there = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if asked == "auto":
        return next(name for name, count in there.items() if count)
    kind, _, number = asked.partition(":")
    if int(number or 0) >= there[kind]:
        raise HostUnfit(
            f"This machine has no {asked} device that torch can use.",
            hint="Use --device auto, or install the build of torch for this GPU.",
        )
    return asked


def dtype_on(torch: Any, asked: str, device: str, *, overflows: bool = False) -> str:
    """Half precision on a GPU: bfloat16 from compute capability 8, float16 below.

    A model that overflows in float16 has float32 there.

    Raises:
        ModelError: it is to run in float16.
    """
    if asked == "float16" and overflows:
        raise ModelError(
            "This model does not run in float16: its activations overflow.",
            hint="Use --dtype bfloat16, float32 or auto.",
        )
    if asked != "auto":
        return asked
    if device.startswith("xpu"):
        return "bfloat16"
    if not device.startswith("cuda"):
        return "float32"
    if torch.cuda.get_device_capability(device)[0] >= 8:
        return "bfloat16"
    return "float32" if overflows else "float16"


def threads(cores: int, shares: int) -> int:
    """Return how many threads an engine on the CPU has; one core is for captiv itself."""
    return max(1, (cores - 1) // max(1, shares))


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
