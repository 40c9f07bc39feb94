"""What there is on this machine for captioning, learnt without importing torch."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from captiv.core.machine import Machine
from captiv.workers import hub

_NVIDIA = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_NVIDIA_S = 10.0
"""A driver that hangs tells nothing."""
_TORCH = """
import torch
for name in ("cuda", "xpu"):
    part = getattr(torch, name, None)
    if part is not None and part.is_available():
        print(*(f"{name}:{n}" for n in range(part.device_count())))
        break
"""
_TORCH_S = 60.0
"""A broken driver can hang whoever asks it."""
_MIB = 1024 * 1024
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""What Linux has where a driver of NVIDIA's or AMD's is, or that of WSL."""
_CGROUPS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where Linux says how much a container may use: version 2, and 1."""


def machine(source: str) -> Machine:
    """Look at this machine, as far as a model from `source` is concerned. Blocks for a moment."""
    sizes = _gpu_sizes()
    return Machine(
        torch=has_torch(),
        vllm=has_vllm(),
        onnxruntime=has_onnxruntime(),
        ram_gb=_ram_gb(Path("/sys/fs/cgroup")),
        vram_gb=max(sizes) / 1e9 if sizes else None,
        free_gb=_free_gb(hub.cache_folder()),
        cached=hub.has_weights(source) or Path(source).expanduser().is_dir(),
        held_gb=hub.held_bytes(source) / 1e9,
        gpus=_gpus(len(sizes)),
        has_mps=sys.platform == "darwin",
    )


def has_torch() -> bool:
    """Whether torch and transformers are installed, without paying for their import."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed, for taggers."""
    return find_spec("onnxruntime") is not None


def has_vllm() -> bool:
    """Whether vLLM is installed where a worker of this machine finds it."""
    beside = Path(sys.executable).with_name("vllm")
    return beside.is_file() or shutil.which("vllm") is not None or find_spec("vllm") is not None


def all_devices() -> tuple[str, ...]:
    """Return every GPU that torch sees here, as a child process finds; none without one.

    Blocks for seconds: torch is imported for it.
    """
    if not has_torch():
        return ()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _TORCH],
            capture_output=True,
            text=True,
            timeout=_TORCH_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(done.stdout.split())


def _ram_gb(cgroup: Path) -> float | None:
    """Return the memory that this process may have; a container's share where there is one."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return None
    for name in _CGROUPS:
        try:
            sizes.append(int((cgroup / name).read_text()))
        except (OSError, ValueError):  # no such version, or no limit: `max`
            continue
    return min(sizes) / 1e9


def _gpus(found: int) -> int | None:
    """Return how many GPUs CUDA or ROCm shows; None where only torch could tell.

    What a person hides from programs is not there. A machine without a node of a driver has none.
    """
    for name in _VISIBLE:
        shown = os.environ.get(name)
        if shown is not None:
            names = [one for one in shown.split(",") if one.strip()]
            return 0 if names[:1] in ([], ["-1"]) else len(names)
    if found:
        return found
    if sys.platform == "darwin":
        return 0
    if sys.platform != "linux" or any(Path(node).exists() for node in _NODES):
        return None
    return 0


def _gpu_sizes() -> list[int]:
    """Return the memory in bytes of every GPU that is found, NVIDIA's and AMD's."""
    sizes = [size * _MIB for size in _nvidia()]
    for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total"):
        try:
            sizes.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    return sizes


def _nvidia() -> list[int]:
    """Return the MiB of every GPU of NVIDIA's."""
    try:
        done = subprocess.run(
            _NVIDIA,
            capture_output=True,
            text=True,
            timeout=_NVIDIA_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [int(line) for line in done.stdout.split() if line.isdecimal()]


def _free_gb(folder: Path) -> float | None:
    """Return what is free on the disk of a folder that may not be there yet."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free / 1e9
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
