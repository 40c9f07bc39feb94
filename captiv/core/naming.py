"""Where the caption of an image goes: the name of its sidecar, and which images would share one.

`stem` is what trainers look for (`a.jpg` → `a.txt`); `full` keeps images apart that differ only in
their extension (`a.jpg` → `a.jpg.txt`). Pure text: paths are the strings of `os.fspath`, with
whatever bytes a file system allows in them, and nothing here asks the disk.
"""

import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import PurePath, PureWindowsPath
from typing import Final, Literal, NamedTuple

from captiv.errors import UsageError

Naming = Literal["stem", "full"]
"""`stem`: a.jpg → a.txt; `full`: a.jpg → a.jpg.txt."""


class Place(NamedTuple):
    """What a caption belongs to: an image, and the file beside it or elsewhere that holds it.

    One image may have several sidecars, each with captions, a history and edits of its own.
    """

    image: str
    sidecar: str


IMAGE_EXTENSIONS: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo"),
        *(".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".hif", ".jxl"),
    }
)
"""What the name of an image ends with, in lower case."""

DEFAULT_EXTENSION: Final = ".txt"

_SEPARATORS: Final = "/\\" if isinstance(PurePath(), PureWindowsPath) else "/"


def sidecar_path(image: str, *, extension: str = DEFAULT_EXTENSION, naming: Naming = "stem") -> str:
    """Return the path of the sidecar of `image`, in the same folder; never that of `image` itself.

    `extension` must have passed `checked_extension`. Only `captiv.core.spec.Output.sidecar_of` asks
    this; everything else asks that.
    """
    if naming == "full":
        return image + extension
    stem, old = _split_extension(image)
    if old.casefold() == extension.casefold():
        return image + extension
    return stem + extension


def spellings(path: str) -> tuple[str, ...]:
    """Return every path that is the same sidecar, `path` itself first.

    Another program may write the extension in capitals (`a.TXT`), and a disk or an archive may hold
    the accents of a name in another form of Unicode (NFC, NFD). Only the name varies, never the
    folder.
    """
    start = max(path.rfind(separator) for separator in _SEPARATORS) + 1
    folder, (stem, extension) = path[:start], _split_extension(path[start:])
    stems = {stem: None}
    if not stem.isascii():
        stems.update({unicodedata.normalize("NFC", stem): None})
        stems.update({unicodedata.normalize("NFD", stem): None})
    return tuple([f"{folder}{stem}{end}" for stem in stems for end in _spelt(extension)])


def extension_of(path: str) -> str:
    """Return what the name of a file ends with, from its last dot; "" if it has none."""
    return _split_extension(path)[1]


def is_image_name(name: str) -> bool:
    """Tell whether a file of this name, or of this path, is taken for an image in a scan."""
    return _split_extension(name)[1].lower() in IMAGE_EXTENSIONS


def collisions(
    names: Iterable[str], sidecar_of: Callable[[str], str], *, ignore_case: bool = False
) -> dict[str, list[str]]:
    """Return, for each sidecar that several of these images would share, those images in order.

    The names are those of one folder, and `sidecar_of` is that of an `Output`. `ignore_case` is for
    disks (macOS, Windows) on which `A.txt` is `a.txt`. Names that differ only in the form of their
    accents share one, as in `spellings`.
    """
    shared: dict[str, tuple[str, list[str]]] = {}
    for name in names:
        sidecar = sidecar_of(name)
        key = sidecar if sidecar.isascii() else unicodedata.normalize("NFC", sidecar)
        shared.setdefault(key.casefold() if ignore_case else key, (sidecar, []))[1].append(name)
    return {sidecar: images for sidecar, images in shared.values() if len(images) > 1}


def checked_extension(text: str) -> str:
    """Return the sidecar extension that a person asked for, with its dot: `caption` → `.caption`.

    Raises: UsageError for one that is no file name's end, or an image's.
    """
    extension = "." + text.strip().removeprefix(".")
    if extension.casefold() in IMAGE_EXTENSIONS:
        raise UsageError(
            f"the sidecar extension {extension} is an image's: captions would replace images",
            hint="Use .txt, or .caption.",
        )
    body = extension[1:]
    if not body or not body.isprintable() or set(body) & set('/\\:*?"<>|') or body.endswith("."):
        raise UsageError(
            f"the sidecar extension {text!r} cannot end a file name", hint="Use .txt, or .caption."
        )
    return extension


def checked_naming(text: str) -> Naming:
    """Return the way of naming sidecars that a person asked for.

    Raises: UsageError.
    """
    if text not in ("stem", "full"):
        raise UsageError(f"--sidecar-name is stem or full, not {text!r}.")
    return "stem" if text == "stem" else "full"


@lru_cache(maxsize=256)  # there are few, but a person names them
def _spelt(extension: str) -> tuple[str, ...]:
    lower = extension.lower()
    capital = lower[:1] + lower[1:].capitalize()
    return tuple(dict.fromkeys((extension, lower, extension.upper(), capital)))


def _split_extension(path: str) -> tuple[str, str]:
    """Split off the last extension of the name: `.jpg` alone, a hidden file's name, is none."""
    start = max(path.rfind(separator) for separator in _SEPARATORS) + 1
    dot = path.rfind(".", start)
    if dot < 0 or not path[start:dot].strip("."):
        return path, ""
    return path[:dot], path[dot:]
