"""Makes a worker of the archive that captiv brings: its code, and an environment of its own.

The environment holds what the archive's locks name, and sees the image's packages behind that:
torch is the image's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from .installer import patiently, pip
from .pod import CARRIED, Broken, Pod, say

WITHOUT_IMAGE = ("vllm",)
"""Extras whose environment does not see the image's packages."""


def carried(pod: Pod, until_s: float) -> tuple[str, dict[str, str]]:
    """Return the Python of the worker, and what its environment has besides.

    Raises:
        Broken: nobody came, or what it needs cannot be installed.
    """
    for module in ("pip", "venv"):
        if importlib.util.find_spec(module) is None:
            raise Broken(f"No module named {module} in the image's Python")
    folder, code = _unpacked(pod, until_s)
    extras = os.environ.get("CAPTIV_CARRY_EXTRAS", "local").split(",")
    python = "{}.{}".format(*sys.version_info)
    locks = [code / "locks" / f"{extra}-{python}.txt" for extra in extras]
    if not all(lock.exists() for lock in locks):
        raise Broken(f"the image has Python {python}, for which captiv has no lock")
    image = [] if set(extras) & set(WITHOUT_IMAGE) else _packages_of_the_image()
    environment = folder / f"python-{_digest(locks, image)[:16]}"

    def made(left_s: float) -> str | None:
        return _made(pod, environment, locks, image, left_s)

    if not environment.exists():
        patiently(made, until_s)
    return str(environment / "bin" / "python"), dict(pod.secrets, PYTHONPATH=str(code))


def _unpacked(pod: Pod, until_s: float) -> tuple[Path, Path]:
    """Wait for captiv's code; return where the worker has its place, and where its code is."""
    waited_s = until_s - time.monotonic()
    say(f"waiting sha256={CARRIED}")
    if not pod.arrived.wait(max(0.0, waited_s)):
        raise Broken(f"captiv did not bring its code within {waited_s:.0f} s")
    folder = _folder()
    code = folder / f"code-{CARRIED[:16]}"
    unpacking = _beside(code)
    try:
        with zipfile.ZipFile(io.BytesIO(pod.archive)) as archive:
            archive.extractall(str(unpacking))
        _put(unpacking, code)
    except OSError as error:
        raise Broken(f"its code cannot be unpacked: {error.strerror}") from error
    finally:
        shutil.rmtree(str(unpacking), ignore_errors=True)
    return folder, code


def _beside(path: Path) -> Path:
    """Return where something is made that is to be there whole or not at all."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}")


def _put(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.exists():  # else another pod on the same disk was faster
            raise


def _folder() -> Path:
    """Return a folder that can be written to."""
    home = Path(os.environ.get("HOME") or "/root")
    folder = Path(os.environ.get("CAPTIV_CARRY_FOLDER") or home / ".captiv-pod")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="captiv-"))
    return folder


def _packages_of_the_image() -> list[str]:
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def _digest(locks: list[Path], image: list[str]) -> str:
    """Return what tells one environment from another."""
    digest = hashlib.sha256(json.dumps([sys.version, image]).encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def _made(
    pod: Pod, environment: Path, locks: list[Path], image: list[str], left_s: float
) -> str | None:
    """Make the worker's environment, whole or not at all; return what went wrong, or None."""
    making = _beside(environment)
    try:
        failed = _installed(pod, making, locks, left_s)
        if failed is not None:
            return failed
        (packages,) = making.glob("lib/*/site-packages")
        lines = (f"import site; site.addsitedir({path!r})\n" for path in image)
        (packages / "image.pth").write_text("".join(lines))
        _put(making, environment)
    except OSError as error:
        return f"an environment cannot be made: {error.strerror}"
    finally:
        shutil.rmtree(str(making), ignore_errors=True)
    return None


def _installed(pod: Pod, making: Path, locks: list[Path], left_s: float) -> str | None:
    import venv  # not every image has it

    venv.EnvBuilder(symlinks=True).create(str(making))
    sizes = _sizes(locks)
    pod.done_bytes, pod.total_bytes = 0, sum(sizes.values())
    command = ["--python", str(making / "bin" / "python"), "install", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:"]
    for lock in locks:
        command += ["--requirement", str(lock)]
    say(f"installing packages={len(sizes)} bytes={pod.total_bytes}")

    def fetches(what: str) -> None:
        before = list(sizes).index(_name(what)) if _name(what) in sizes else 0
        pod.done_bytes = max(pod.done_bytes, sum(list(sizes.values())[:before]))

    failed = pip(command, left_s, fetches)
    pod.done_bytes = pod.done_bytes if failed else pod.total_bytes
    return failed


def _sizes(locks: list[Path]) -> dict[str, int]:
    """Return how many bytes each package of the locks has, in their order."""
    sizes, size = {}, 0
    for lock in locks:
        for line in lock.read_text().splitlines():
            if line.startswith("# "):
                size = int(line[2:])
            elif "==" in line:
                sizes[_name(line)] = size
    return sizes


def _name(text: str) -> str:
    """Return the package that a requirement, or the file of a wheel, is of."""
    name = re.split(r"==|-[0-9]", os.path.basename(text))[0]
    return re.sub(r"[-_.]+", "-", name).lower()
