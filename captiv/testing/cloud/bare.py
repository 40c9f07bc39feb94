"""The Python of an image that has no captiv: an environment in which nothing of it is found.

What is the same for all pods is made once a cloud, or once for several clouds, as the layers of
images: links to the packages of the running environment, except captiv, and an empty environment.
Where a pod installs into its image's environment, it has a copy of that, with the layers behind its
own `site-packages`: pip installs into the pod, finds what the layers hold, and changes nothing in
them. Where captiv brings its worker, the image has torch and what torch needs, at the same path in
every pod; in `ENGINE` it has the torch-free engine, which captiv does not bring.

An image whose tag is one of `SPOILED` is one in which captiv cannot be installed.
"""

import os
import re
import shlex
import shutil
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Final

from captiv.testing import engine

_SCRIPTED: Final = Path(engine.__file__)
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
"""The rest of its PATH. No folder in which this machine's Pythons put commands is on it."""

_TOO_OLD: Final = "import sys; sys.version_info = (3, 9, 18, 'final', 0)\n"
_NO_SPACE: Final = """\
import os, sys
disk = os.path.dirname(sys.prefix)
def full(event, args):
    if event == "open" and str(args[0]).startswith(disk):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(28, "No space left on device", args[0])
sys.addaudithook(full)
"""
SPOILED: Final[Mapping[str, str]] = {"no-pip": "", "too-old": _TOO_OLD, "no-space": _NO_SPACE}
"""By its tag, what every Python of such an image does at its start."""

VLLM_IMAGES: Final = "vllm/"
"""Images whose Python is named `python3` only, and that have vLLM (`captiv.testing.vllm`)."""
_VLLM: Final = """\
#!/bin/sh
export PYTHONPATH={roots}
exec {python} -m captiv.testing.vllm --script "${{CAPTIV_TEST_VLLM:-{{}}}}" "$@"
"""

ENGINE: Final = "scripted_engine:ScriptedEngine"
"""`captiv.testing.engine:ScriptedEngine`, as such an image has it."""

_PIP: Final = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'
_INSTALLERS: Final = ("pip", "setuptools")
_ELSEWHERE: Final = (".pth", ".egg-link")


class Layers:
    """What the images of one cloud share; a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._torch = folder / "torch"
        self._packages = folder / "packages"
        self._installers = folder / "installers"
        self._empty = folder / "python"

    @classmethod
    def made(cls, folder: Path) -> "Layers":
        """Return the layers in this folder; the first call makes them, in whatever thread."""
        if not folder.exists():
            making = Path(mkdtemp(prefix="layers-", dir=folder.parent))
            cls(making)._make()
            try:
                making.rename(folder)
            except OSError:  # another thread was faster
                shutil.rmtree(making)
        return cls(folder)

    def give_python(self, folder: Path, image: str) -> None:
        """Make the environment of one pod, with every package but captiv in its image."""
        self._give(folder, image, [self._torch, self._packages])

    def python_of(self, image: str) -> Path:
        """Return the environment that an image has, with torch, and that no pod changes."""
        folder = self._folder / f"image-{image.rpartition(':')[2]}"
        if not folder.exists():
            making = Path(mkdtemp(prefix="image-", dir=self._folder)) / "python"
            with_vllm = image.startswith(VLLM_IMAGES)
            self._give(making, image, [] if with_vllm else [self._torch])
            if with_vllm:
                _give_vllm(making / "bin")
            with suppress(OSError):  # another thread was faster
                making.rename(folder)
        return folder

    def _give(self, folder: Path, image: str, layers: Sequence[Path]) -> None:
        shutil.copytree(self._empty, folder, symlinks=True)
        packages = _site_packages(folder)
        tag = image.rpartition(":")[2]
        found = layers if tag == "no-pip" else [*layers, self._installers]
        (packages / "layers.pth").write_text("".join(f"{layer}\n" for layer in found))
        if tag in SPOILED:
            (packages / "sitecustomize.py").write_text(SPOILED[tag])

    def _make(self) -> None:
        _Empty(symlinks=True).create(self._empty)
        pip = self._empty / "bin" / "pip"
        pip.write_text(_PIP)
        pip.chmod(0o755)
        for folder in (self._torch, self._packages, self._installers):
            folder.mkdir()
        (self._torch / f"{ENGINE.partition(':')[0]}.py").write_text(_SCRIPTED.read_text())
        of_torch = _of_torch()
        for package in sorted({*_installed("purelib"), *_installed("platlib")}):
            into = self._torch if package.name in of_torch else self._packages
            if package.name.startswith(_INSTALLERS):
                into = self._installers
            (into / package.name).symlink_to(package)


def _give_vllm(bin_: Path) -> None:
    """Put vLLM's command there, which runs in this process's Python; and name Python as it does."""
    roots = os.pathsep.join(path for path in sys.path if path)
    program = bin_ / "vllm"
    program.write_text(_VLLM.format(roots=shlex.quote(roots), python=shlex.quote(sys.executable)))
    program.chmod(0o755)
    real = (bin_ / "python").readlink()
    (bin_ / "python").unlink()
    (bin_ / "python3").unlink()
    (bin_ / "python3").symlink_to(real)


class _Empty(venv.EnvBuilder):
    """Makes an environment that can be copied: nothing in it names its own folder."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        """Leave out what activates it."""


def _of_torch() -> set[str]:
    """Return what `site-packages` holds of torch and of all that it needs."""
    waiting, known, found = ["torch"], set[str](), set[str]()
    while waiting:
        name = waiting.pop().lower()
        if name in known:
            continue
        known.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # it is for another system
            continue
        found |= {file.parts[0] for file in distribution.files or ()}
        waiting += [
            re.split(r"[^\w.-]", required)[0]
            for required in distribution.requires or ()
            if "extra ==" not in required
        ]
    return found - {"..", "__pycache__"}


def _installed(kind: str) -> list[Path]:
    """Return the packages of the running environment that a layer has.

    An editable install's `.pth` leads to source code anywhere: no layer has one.
    """
    found = Path(sysconfig.get_path(kind)).iterdir()
    return [
        path
        for path in found
        if "captiv" not in path.name.lower() and path.suffix not in _ELSEWHERE
    ]


def _site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
