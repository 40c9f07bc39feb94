"""What runs in a pod: the command and environment of its container, and its disk.

Images are known by name: those of `runpod/` hold a Python with torch and no captiv, and wait for a
start command; any other is captiv's worker image. A start command is executed as given, with one
change, since pods share this machine's ports: `--port N` of a port that the pod has becomes the
free port that stands for it, and `--host 0.0.0.0` becomes 127.0.0.1.

The disk is a folder: home, temporary folder, and for `runpod/` images a Python environment of its
own, so that `pip install` in a pod installs into the pod. Packages of the running environment lie
in it as links, as layers of the image; captiv itself does not.
"""

import json
import os
import re
import shlex
import shutil
import sysconfig
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captiv.testing.cloud.conditions import Conditions
from captiv.testing.engine import WEIGHTS

_PORT = re.compile(r"(--port[ =])(\d+)\b")
_HOST = re.compile(r"(--host[ =])0\.0\.0\.0\b")
_PASSED_ON = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""A pod has a network; on this machine these say how it is reached."""

_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


@dataclass(frozen=True, slots=True)
class Recipe:
    """What create said of the container."""

    image: str
    args: str = ""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def bare(self) -> bool:
        """Whether the image holds no captiv."""
        return self.image.startswith("runpod/")


def command(recipe: Recipe, conditions: Conditions) -> tuple[str, ...]:
    """Return the argv of process 1, as Docker puts it together from image and create body."""
    entrypoint: Sequence[str] = () if recipe.bare else conditions.entrypoint
    cmd: Sequence[str] = ("sleep", "infinity") if recipe.bare else ()
    if not recipe.bare:
        entrypoint = (*entrypoint, *conditions.worker_args)
    own_entrypoint, own_cmd = _own(recipe)
    if own_entrypoint:
        entrypoint, cmd = own_entrypoint, ()
    if own_cmd:
        cmd = own_cmd
    return (*entrypoint, *cmd)


def on_this_machine(argv: Sequence[str], port_for: Callable[[int], int]) -> list[str]:
    """Return the command with ports and host as they are here, inside of shell scripts too."""
    local: list[str] = []
    for word in argv:
        if local[-1:] == ["--port"] and word.isdecimal():
            word = str(port_for(int(word)))
        elif local[-1:] == ["--host"] and word == "0.0.0.0":
            word = "127.0.0.1"
        else:
            word = _PORT.sub(lambda found: f"{found[1]}{port_for(int(found[2]))}", word)
            word = _HOST.sub(r"\g<1>127.0.0.1", word)
        local.append(word)
    return local


def environment(disk: Path, recipe: Recipe, conditions: Conditions) -> dict[str, str]:
    """Return what the container sees before RunPod's own variables: nothing of this process's."""
    folder = disk / "python" / "bin" if recipe.bare else Path(conditions.python).parent
    passed = {
        name: value for name, value in os.environ.items() if name.upper().startswith(_PASSED_ON)
    }
    return (
        passed
        | {
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(disk / "root"),
            "TMPDIR": str(disk / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        | dict(conditions.env)
        | dict(recipe.env)
    )


def make_disk(disk: Path, recipe: Recipe, conditions: Conditions, *, full: bool = False) -> None:
    """Make the container's disk, wiping an earlier one; on a `full` one no model has room."""
    shutil.rmtree(disk, ignore_errors=True)
    for name in ("root", "tmp"):
        (disk / name).mkdir(parents=True)
    if full:
        (disk / "root" / WEIGHTS).symlink_to("/dev/full")
    if recipe.bare:
        _make_python(disk / "python", Path(conditions.python))


def _make_python(folder: Path, python: Path) -> None:
    """Make an environment that sees the packages of this one except captiv."""
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "captiv" not in package.name.lower() and not (packages / package.name).exists():
            (packages / package.name).symlink_to(package)
    pip = folder / "bin" / "pip"
    pip.write_text(_PIP)
    pip.chmod(0o755)


def _own(recipe: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the entrypoint and command that create gave, either of which may be none."""
    entrypoint, cmd = recipe.entrypoint or (), recipe.cmd or ()
    if recipe.args.lstrip().startswith("{"):
        both = json.loads(recipe.args)
        return tuple(both.get("entrypoint", entrypoint)), tuple(both.get("cmd", cmd))
    return entrypoint, cmd or tuple(shlex.split(recipe.args))
