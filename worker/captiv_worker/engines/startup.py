"""What vLLM prints while it starts, in the worker's words."""

import re
from collections.abc import Sequence

from captiv.errors import CaptivError, HostUnfit, ModelError
from captiv_worker.engines.spec import OutOfMemory

_PHASES = (
    ("Starting to load model", "reading"),
    ("Loading safetensors", "reading"),
    ("Model loading took", "moving"),
    ("torch.compile", "compiling"),
    ("Capturing CUDA graph", "compiling"),
    ("Application startup complete", "starting"),
)
_DTYPE = re.compile(r"\bdtype=(?:torch\.)?(\w+)")
_DEVICE = re.compile(r"\bdevice_config=(\w+)")
_ERROR = re.compile(r"\b((?:\w+\.)*\w*(?:Error|Exception)): (\S.*)")
_NOT_THE_CAUSE = "Engine core initialization failed"
_TOO_LARGE = (
    "out of memory",
    "Free memory on device",
    "No available memory for the cache blocks",
    "KV cache is needed",
)
_UNFIT = (
    "Failed to infer device type",
    "CUDA driver",
    "no kernel image",
    "NVIDIA driver",
    "compute capability",
)


class Startup:
    """What its lines have told so far. One thread writes, another reads."""

    def __init__(self) -> None:
        self.phase = ""
        self.device: str | None = None
        self.dtype: str | None = None

    def see(self, line: str) -> None:
        """Take in a line."""
        for mark, phase in _PHASES:
            if mark in line:
                self.phase = phase
        if self.dtype is None and (found := _DTYPE.search(line)):
            self.dtype = None if found[1] == "auto" else found[1]
        if self.device is None and (found := _DEVICE.search(line)):
            self.device = found[1]


def ended(lines: Sequence[str], code: int | None) -> CaptivError | OutOfMemory:
    """Return why a server that has ended did so, from what it printed last."""
    cause = _cause(lines)
    if any(mark in cause for mark in _TOO_LARGE):
        return OutOfMemory(cause)
    if any(mark in cause for mark in _UNFIT):
        return HostUnfit(f"vLLM does not run on this machine: {cause}.")
    return ModelError(
        f"vLLM ended while it loaded the model (exit code {code}): {cause}.",
        hint="The worker's log has its lines. --engine transformers does without vLLM.",
    )


def late(after_s: float) -> ModelError:
    """Return what is said of a server that never gets ready."""
    return ModelError(
        f"vLLM was not ready after {after_s / 60:.0f} minutes.",
        hint="The worker's log has its lines. --engine transformers does without vLLM.",
    )


def missing() -> HostUnfit:
    """Return what is said where there is no vLLM."""
    return HostUnfit(
        "vLLM is not installed beside this worker.",
        hint="Install it, so that the command vllm is on PATH, or use --engine transformers.",
    )


def _cause(lines: Sequence[str]) -> str:
    """Return the last error that is not only the consequence of another, else the last line."""
    errors = [f"{m[1]}: {m[2]}" for line in lines if (m := _ERROR.search(line))]
    causes = [error for error in errors if _NOT_THE_CAUSE not in error] or errors
    said = [line.strip() for line in lines if line.strip()]
    words = (causes or said or ["it said nothing"])[-1].rstrip(".")
    return words if len(words) <= 300 else f"{words[:300]}…"
