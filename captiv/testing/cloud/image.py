"""What runs in a pod: the command and environment of its container, and its disk.

Images are known by name: those of `runpod/` hold a Python with torch and no captiv, and wait for a
start command; those of `vllm/` start a server unless they are told another entrypoint, and call
their Python `python3`; any other is captiv's worker image. A start command is executed as given,
with one change, since pods share this machine's ports: `--port N` of a port that the pod has
becomes the free port that stands for it, and `--host 0.0.0.0` becomes 127.0.0.1.

No folder of this machine can be seen at a path of the container's: in the values of its environment
the path of its network volume becomes the volume's folder, which outlives the pod.

The disk is a folder: home, temporary folder, and where a pod installs captiv into its image a
Python environment of its own (`cloud.bare`), in which nothing of captiv is found before that.
"""

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from captiv.rental.podspec import starting
from captiv.testing.cloud import bare
from captiv.testing.cloud.conditions import Conditions
from captiv.testing.engine import WEIGHTS

VLLM_IMAGES = bare.VLLM_IMAGES
_PORT = re.compile(r"(--port[ =])(\d+)\b")
_HOST = re.compile(r"(--host[ =])0\.0\.0\.0\b")
_STARTING, _ = starting(())
_PASSED_ON = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""A pod has a network; on this machine these say how it is reached."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What create said of the container."""

    image: str
    args: str = ""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    volume: tuple[str, str] | None = None
    """The id of its network volume, and where the container sees it."""

    @property
    def bare(self) -> bool:
        """Whether the image holds no captiv."""
        return self.image.startswith(("runpod/", VLLM_IMAGES))

    @property
    def carried(self) -> bool:
        """Whether captiv brings its worker, and nothing is put into the image's environment."""
        return self.bare and "CAPTIV_CARRY_SHA256" in self.env


def command(recipe: Recipe, conditions: Conditions) -> tuple[str, ...]:
    """Return the argv of process 1, as Docker puts it together from image and create body.

    Where that installs captiv first, it ends in the arguments of the worker, and more may follow.
    """
    entrypoint: Sequence[str] = () if recipe.bare else conditions.entrypoint
    cmd: Sequence[str] = ("sleep", "infinity") if recipe.bare else ()
    if recipe.image.startswith(VLLM_IMAGES):
        entrypoint, cmd = ("vllm", "serve"), ()
    if not recipe.bare:
        entrypoint = (*entrypoint, *conditions.worker_args)
    own_entrypoint, own_cmd = _own(recipe)
    if own_entrypoint:
        entrypoint, cmd = own_entrypoint, ()
    if own_cmd:
        cmd = own_cmd
    if tuple(entrypoint) == _STARTING:
        cmd = (*cmd, *conditions.worker_args)
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
    if recipe.carried:
        python = _layers(disk, conditions).python_of(recipe.image)
        path = f"{python / 'bin'}{os.pathsep}{bare.PATH}"
    elif recipe.bare:
        path = f"{disk / 'python' / 'bin'}{os.pathsep}{bare.PATH}"
    else:
        path = f"{Path(conditions.python).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    passed = {
        name: value for name, value in os.environ.items() if name.upper().startswith(_PASSED_ON)
    }
    return (
        passed
        | {
            "PATH": path,
            "HOME": str(disk / "root"),
            "TMPDIR": str(disk / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        | dict(conditions.env)
        | {name: _seen(value, recipe, disk) for name, value in recipe.env.items()}
    )


def make_disk(disk: Path, recipe: Recipe, conditions: Conditions, *, full: bool = False) -> None:
    """Make the container's disk, wiping an earlier one; the layers of images lie beside it.

    On a `full` one no model has room.
    """
    shutil.rmtree(disk, ignore_errors=True)
    for name in ("root", "tmp"):
        (disk / name).mkdir(parents=True)
    if recipe.volume is not None:
        volume_folder(disk, recipe.volume[0]).mkdir(parents=True, exist_ok=True)
    if full:
        (disk / "root" / WEIGHTS).symlink_to("/dev/full")
    if recipe.bare:
        layers = _layers(disk, conditions)
        if not recipe.carried:
            layers.give_python(disk / "python", recipe.image)


def volume_folder(disk: Path, volume_id: str) -> Path:
    """Return what a network volume is, beside the disks of pods."""
    return disk.parent / "volumes" / volume_id


def _seen(value: str, recipe: Recipe, disk: Path) -> str:
    """Return a value of the environment with the folder that stands for the volume's path."""
    if recipe.volume is None:
        return value
    volume_id, path = recipe.volume
    here = str(volume_folder(disk, volume_id))
    return re.sub(rf"(?<![\w/.-]){re.escape(path)}(?=/|:|$)", lambda _: here, value)


def _layers(disk: Path, conditions: Conditions) -> bare.Layers:
    shared = conditions.layers
    return bare.Layers.made(Path(shared) if shared else disk.parent / "layers")


def _own(recipe: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the entrypoint and command that create gave, either of which may be none."""
    entrypoint, cmd = recipe.entrypoint or (), recipe.cmd or ()
    if recipe.args.lstrip().startswith("{"):
        both = json.loads(recipe.args)
        return tuple(both.get("entrypoint", entrypoint)), tuple(both.get("cmd", cmd))
    return entrypoint, cmd or tuple(shlex.split(recipe.args))
