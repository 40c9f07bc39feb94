"""A `vllm` on PATH that is the tests' own (captiv.testing.vllm)."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOTS, until

Standin = Callable[..., Path]
"""Puts it on PATH, to behave as the keywords say; returns the folder with its files."""


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standin:
    def put(**script: Any) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        command = shlex.join([sys.executable, "-m", "captiv.testing.vllm"])
        told = shlex.quote(json.dumps(script))
        program = folder / "vllm"
        program.write_text(
            f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(ROOTS)}\n"
            f'exec {command} --script {told} "$@"\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return folder

    return put


def group_of(log: str) -> int:
    """Return the process group of the server that this log of a worker tells of."""
    line = next(line for line in log.splitlines() if "server_started name=vllm" in line)
    return int(line.rpartition("pid=")[2])


def is_gone(group: int) -> bool:
    """Whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def until_gone(group: int) -> None:
    until(lambda: is_gone(group))
