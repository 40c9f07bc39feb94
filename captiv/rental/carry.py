"""What captiv carries into a pod: the worker's code, as an archive that is the same every time.

It holds `captiv_worker`, what that imports of captiv, and what the pod has to install besides
(`locks/`); nothing of it depends on when, where or from what kind of installation it is made, so
that its SHA-256 tells whether a pod waits for the code of this captiv. The pod's start command
(`rental.bootstrap`) knows that hash and takes nothing else.
"""

import ast
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from captiv import __version__
from captiv.catalog import family_named
from captiv.catalog.model import BUILTIN
from captiv.wire import ModelChange
from captiv.workers import Supply

SECRETS: Final = ("HF_TOKEN",)
"""Variables of this process that a worker needs and a provider must not show."""
_ROOTS: Final = ("captiv_worker", "captiv")
_WEIGHTS: Final = "captiv_worker/weights/"
"""Of the models that captiv brings along: no other model needs them."""
_SOURCE: Final = ".py"
_LEFT_OUT: Final = (".pyc", "py.typed")
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """The worker's code as it travels."""

    content: bytes = field(repr=False)
    """A zip file."""
    sha256: str

    @property
    def version(self) -> str:
        """What the ledger calls a worker of this code: two of one release may differ."""
        return f"{__version__}+{self.sha256[:12]}"


@cache
def cargo(*, weights: bool = False) -> Cargo:
    """Return this captiv's worker, with the weights of the models that it brings, if need be."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(_contents(weights=weights)):
            member = zipfile.ZipInfo(name, _BEGINNING)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # as written on Unix, wherever it is made
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    content = packed.getvalue()
    return Cargo(content, hashlib.sha256(content).hexdigest())


def cargo_for(model: ModelChange) -> Cargo:
    """Return what a pod needs to load this model."""
    family = family_named(model.model)
    variant = family and family.variant(model.variant or family.default_variant)
    source = model.source or (variant.source if variant else "")
    return cargo(weights=source.startswith(BUILTIN))


def supplied(sha256: str) -> Supply | None:
    """Return what a pod is brought that waits for this archive; None if another captiv has it.

    A token of Hugging Face in this process's environment goes along, for models that need one.
    """
    secrets = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    found = (cargo(weights=weights) for weights in (False, True))
    return next((Supply(each.content, secrets) for each in found if each.sha256 == sha256), None)


def _contents(*, weights: bool) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file."""
    roots = {name: _folder(name) for name in _ROOTS}
    names = _needed(roots)
    folders = {str(Path(name).parent) for name in names}
    for name in names:
        yield name, _read(roots, name)
    for folder in folders:
        yield from _data(roots, folder)
    if weights:
        for path in (roots["captiv_worker"] / "weights").rglob("*"):
            if path.is_file():
                yield path.relative_to(roots["captiv_worker"].parent).as_posix(), path.read_bytes()
    for lock in files("captiv.rental").joinpath("locks").iterdir():
        yield f"locks/{lock.name}", lock.read_bytes()


def _needed(roots: dict[str, Path]) -> set[str]:
    """Return the modules that the worker consists of, and all that these import of captiv."""
    worker = roots["captiv_worker"]
    waiting = {path.relative_to(worker.parent).as_posix() for path in worker.rglob("*.py")}
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        needed.add(name)
        found = {each for module in _imported(roots, name) for each in _files_of(roots, module)}
        waiting |= found - needed
    return needed


def _imported(roots: dict[str, Path], name: str) -> Iterator[str]:
    """Yield the modules that a file imports, and the names that may be modules."""
    package = Path(name).parent.as_posix().replace("/", ".")
    for node in ast.walk(ast.parse(_read(roots, name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module
            yield base or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _files_of(roots: dict[str, Path], module: str) -> Iterator[str]:
    """Yield the file of a module of ours, and those of the packages that it is in."""
    first, *rest = module.split(".")
    if first not in roots:
        return
    for count in range(len(rest) + 1):
        path = roots[first].joinpath(*rest[:count])
        for file in (path / "__init__.py", path.with_suffix(_SOURCE)):
            if file.is_file():
                yield file.relative_to(roots[first].parent).as_posix()


def _data(roots: dict[str, Path], folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield what lies beside modules and is none."""
    root = roots[folder.partition("/")[0]].parent
    for path in (root / folder).iterdir():
        if path.is_file() and not path.name.endswith((_SOURCE, *_LEFT_OUT)):
            yield path.relative_to(root).as_posix(), path.read_bytes()


def _read(roots: dict[str, Path], name: str) -> bytes:
    return (roots[name.partition("/")[0]].parent / name).read_bytes()


def _folder(name: str) -> Path:
    """Return where a package lies, without importing it."""
    spec = find_spec(name)
    assert spec is not None and spec.submodule_search_locations, f"{name} is not installed"
    return Path(spec.submodule_search_locations[0])
