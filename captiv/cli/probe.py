"""What a model would find on this machine, learnt without importing torch here.

torch is imported in a child process with a time limit: a broken driver can hang or kill whoever
asks it.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_TIMEOUT_S = 60.0

_CHILD = """
import json, sqlite3
print(json.dumps({"sqlite": sqlite3.sqlite_version}), flush=True)
import torch
devices = []
if torch.cuda.is_available():
    for n in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(n)
        name = torch.cuda.get_device_name(n)
        devices.append(f"cuda:{n} {name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
if getattr(torch, "xpu", None) is not None and torch.xpu.is_available():
    devices += [f"xpu:{n} {torch.xpu.get_device_name(n)}" for n in range(torch.xpu.device_count())]
if torch.backends.mps.is_available():
    devices.append("mps, shares this machine's memory")
print(json.dumps({"devices": devices}), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for captioning on this machine."""

    sqlite_version: str = ""
    torch: str | None = None
    transformers: str | None = None
    devices: tuple[str, ...] = ()
    """GPUs; none is a machine with a CPU only."""
    trouble: str = ""
    """Why the devices are not known."""


def probe() -> Found:
    """Ask a child process what torch sees."""
    installed = _version("torch")
    said, trouble = _ask_child()
    facts: dict[str, Any] = {}
    for line in said.splitlines():
        facts |= json.loads(line)
    return Found(
        sqlite_version=facts.get("sqlite", ""),
        torch=installed,
        transformers=_version("transformers"),
        devices=tuple(facts.get("devices", ())),
        trouble=trouble if installed else "",
    )


def cached_models() -> tuple[list[str], Path]:
    """Return the catalog's variants that are in the model cache, and where that is."""
    from captiv.catalog import FAMILIES

    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return [
        variant.name
        for family in FAMILIES
        for variant in family.variants
        if any(
            (hub / f"models--{variant.source.replace('/', '--')}").glob(
                f"snapshots/*/{(family.architecture.files or ('config.json',))[0]}"
            )
        )
    ], hub


def _ask_child() -> tuple[str, str]:
    """Return what the child said, and what went wrong if something did."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        return said, f"torch did not answer within {_TIMEOUT_S:.0f} s"
    last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    return done.stdout, f"torch cannot be imported: {last}" if done.returncode else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
