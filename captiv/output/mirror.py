"""The folders of sidecars that do not lie beside their images."""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.
# ruff: noqa: PTH100, PTH118, PTH208

import os
from collections.abc import Iterable, Sequence

from captiv.core.mirror import checked_folders
from captiv.core.spec import Output
from captiv.errors import UsageError
from captiv.images.find import Folder


def mirroring(output: Output, directory: str | os.PathLike[str], roots: Iterable[str]) -> Output:
    """Return an output whose sidecars go into a tree in `directory` that mirrors these roots.

    Roots are folders, or files that stand for theirs.

    Raises: UsageError if `directory` is a file, or two roots would have the same place in it.
    """
    path = os.path.abspath(os.path.expanduser(directory))  # noqa: PTH111
    if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
        raise UsageError(f"{path} is no folder.", hint="Name a folder with --output-dir.")
    folders = [root if os.path.isdir(root) else os.path.dirname(root) for root in roots]  # noqa: PTH112
    mirrored = checked_folders(folders, path)
    return output.model_copy(update={"directory": path, "folders": mirrored})


def sidecar_names(folder: Folder, output: Output) -> frozenset[str]:
    """Return what lies where the sidecars of a folder's images do; nothing if that is not there."""
    if output.directory is None:
        return folder.names
    try:
        return frozenset(os.listdir(sidecar_folder(folder, output)))
    except OSError:
        return frozenset()


def sidecar_folder(folder: Folder, output: Output) -> str:
    """Return the folder in which the sidecars of this folder's images are."""
    return os.path.dirname(output.sidecar_of(os.path.join(folder.path, "image.png")))


def existing(paths: Sequence[str]) -> str | None:
    """Return the first of these that is there."""
    return next(filter(os.path.lexists, paths), None)
