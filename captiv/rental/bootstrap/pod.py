"""How far the pod is on its way to a guard: what its door, its pip and its end share."""

from __future__ import annotations

import os
import secrets
import threading
from typing import Any

PROTOCOL = 1
"""Of captiv and its workers."""
CARRIED = os.environ.get("CAPTIV_CARRY_SHA256", "")
"""The archive that captiv brings; empty where pip installs captiv."""


class Broken(Exception):
    """captiv cannot run in this pod; why, in words."""


class Pod:
    """How far this pod is, as the door tells it; written by whoever goes on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.boot_id = "bootstrap-" + secrets.token_hex(8)
        self.phase = "waiting" if CARRIED else "installing"
        self.done_bytes = 0
        self.total_bytes = 0
        self.failed = ""
        self.archive = b""
        self.secrets: dict[str, str] = {}
        self.arrived = threading.Event()

    def health(self) -> dict[str, Any]:
        """Return what a worker would say of itself."""
        said: dict[str, Any] = {"worker": self.name, "boot_id": self.boot_id}
        said["protocol"] = PROTOCOL
        if self.failed:
            return dict(said, status="failed", reason=self.failed)
        loading: dict[str, Any] = {"phase": self.phase}
        if self.total_bytes:
            loading.update(done_bytes=self.done_bytes, total_bytes=self.total_bytes)
        if self.phase == "waiting":
            said["carry"] = CARRIED
        return dict(said, status="loading", loading=loading)


def option(arguments: list[str], name: str) -> str:
    """Return what an option of the worker's says; empty if it is not there."""
    return arguments[arguments.index(name) + 1] if name in arguments[:-1] else ""


def seconds(name: str, default: float) -> float:
    """Return what a variable says."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        return default


def say(text: str) -> None:
    """Write a line into the container's log."""
    print("bootstrap " + text, flush=True)  # noqa: T201
