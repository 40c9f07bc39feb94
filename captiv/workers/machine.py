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
_CGROUPS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where Linux says how much a container may use: version 2, and 1."""


def machine(source: str) -> Machine:
    """Look at this machine, as far as a model from `source` is concerned. Blocks for a moment."""
    return Machine(
        torch=has_torch(),
        ram_gb=_ram_gb(Path("/sys/fs/cgroup")),
        vram_gb=_vram_gb(),
        free_gb=_free_gb(hub.cache_folder()),
        cached=hub.cached(source) is not None or Path(source).expanduser().is_dir(),
    )


def has_torch() -> bool:
    """Whether torch and transformers are installed, without paying for their import."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def all_devices() -> tuple[str, ...]:
    """Return every GPU that torch sees here, as a child process finds; none without one.

    Blocks for seconds: torch is imported for it.
    """
    if not has_torch():
        return ()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH],
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


def _vram_gb() -> float | None:
    """Return the memory of the largest GPU, NVIDIA's or AMD's; None if none is found."""
    sizes = [size * _MIB for size in _nvidia()]
    for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total"):
        try:
            sizes.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    return max(sizes) / 1e9 if sizes else None


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
