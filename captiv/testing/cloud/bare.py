"""The Python of an image that has no captiv: an environment of its own, made anew for every pod.

What is the same for all pods is made once a cloud, as the layers of the image: links to the
packages of the running environment, except captiv, and an empty environment to copy. In a pod the
layers come behind its own `site-packages`. So pip installs into the pod, finds what the layers
hold, and changes nothing in them.

An image whose tag is one of `SPOILED` is one in which captiv cannot be installed.
"""

import shutil
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Final

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

_PIP: Final = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'
_INSTALLERS: Final = ("pip", "setuptools")
_ELSEWHERE: Final = (".pth", ".egg-link")


class Layers:
    """What the images of one cloud share; a folder."""

    def __init__(self, folder: Path) -> None:
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
        """Make the environment of one pod."""
        shutil.copytree(self._empty, folder, symlinks=True)
        packages = _site_packages(folder)
        tag = image.rpartition(":")[2]
        layers = [self._packages] if tag == "no-pip" else [self._packages, self._installers]
        (packages / "layers.pth").write_text("".join(f"{layer}\n" for layer in layers))
        if tag in SPOILED:
            (packages / "sitecustomize.py").write_text(SPOILED[tag])

    def _make(self) -> None:
        _Empty(symlinks=True).create(self._empty)
        pip = self._empty / "bin" / "pip"
        pip.write_text(_PIP)
        pip.chmod(0o755)
        for folder in (self._packages, self._installers):
            folder.mkdir()
        for package in sorted({*_installed("purelib"), *_installed("platlib")}):
            installer = package.name.startswith(_INSTALLERS)
            into = self._installers if installer else self._packages
            (into / package.name).symlink_to(package)


class _Empty(venv.EnvBuilder):
    """Makes an environment that can be copied: nothing in it names its own folder."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        """Leave out what activates it."""


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
