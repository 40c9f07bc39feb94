"""Where the sidecars of read-only folders go: into one folder, in a tree that mirrors theirs.

The tree of a single folder stands in it as it is; of several, each has a folder of its own name in
it, and two of one name are refused. So no two images of different folders share a sidecar. Pure
text: nothing here asks the disk.
"""

# Paths are strings here and in the job table: a Path for each of a million files costs seconds.

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath, PureWindowsPath
from typing import Final

from captiv.errors import UsageError

_SEPARATOR: Final = "\\" if isinstance(PurePath(), PureWindowsPath) else "/"


def outermost(folders: Iterable[str]) -> tuple[str, ...]:
    """Return these folders, each once and in their order, without those inside another one."""
    each = list(dict.fromkeys(folders))
    return tuple(f for f in each if not any(o != f and _inside(f, o) for o in each))


def checked_folders(folders: Iterable[str], directory: str) -> tuple[str, ...]:
    """Return the folders that are mirrored in `directory`, given those that are asked for.

    Raises: UsageError if two of them would have the same place there, on whatever disk.
    """
    mirrored = outermost(folders)
    named: dict[str, str] = {}
    for folder in mirrored if len(mirrored) > 1 else ():
        name = _name(folder)
        other = named.setdefault(unicodedata.normalize("NFC", name).casefold(), folder)
        if other != folder:
            place = _with_separator(directory) + name
            raise UsageError(
                f"The captions of {other} and {folder} would both go into {place}.",
                hint="Caption one after the other, each with an --output-dir of its own, or rename "
                "one of the folders.",
            )
    return mirrored


def mirrored_path(path: str, directory: str, folders: Sequence[str]) -> str:
    """Return where a file of one of these folders has its place in `directory`."""
    for folder in folders:
        if _inside(path, folder):
            within = path[len(_with_separator(folder)) :]
            top = _with_separator(_name(folder)) if len(folders) > 1 else ""
            return f"{_with_separator(directory)}{top}{within}"
    return _with_separator(directory) + _name(path)  # of a folder itself, which has no text


def candidates(path: str, directory: str) -> list[str]:
    """Return where in `directory` a file may have its place, whichever folder was mirrored."""
    found: list[str] = []
    folder = _above(path)
    while True:
        found.append(mirrored_path(path, directory, [folder]))
        above = _above(folder)
        if above == folder:
            return found
        folder = above


def _inside(path: str, folder: str) -> bool:
    return path.startswith(_with_separator(folder))


def _with_separator(folder: str) -> str:
    return folder if folder.endswith(_SEPARATOR) else folder + _SEPARATOR


def _name(path: str) -> str:
    return path.rpartition(_SEPARATOR)[2]


def _above(path: str) -> str:
    """Return the folder of a file or folder; that of a disk's own folder is that itself."""
    above, _, name = path.rpartition(_SEPARATOR)
    if not name:
        return path
    return above if _SEPARATOR in above else _with_separator(above)
