"""One image as the page knows it. Kept for every image of the folder, so it is small."""

import os
from dataclasses import dataclass
from hashlib import blake2b
from typing import NewType

from captiv.core.keeping import Source

ImageId = NewType("ImageId", int)
FolderId = NewType("FolderId", int)

Stamp = NewType("Stamp", int)
"""Time of the last change and size of a file in one number: another one, another content."""

_SIZE_BITS = 48


@dataclass(frozen=True, slots=True)
class Entry:
    """An image, its caption and who wrote that."""

    id: ImageId
    folder: FolderId
    path: str
    """As the store knows it."""
    stamp: Stamp
    sidecar: Stamp | None
    """None where there is no sidecar."""
    text: str | None
    by: Source | None
    """Who wrote the text; None where there is none."""
    trouble: str | None = None
    """Why the sidecar cannot be read."""
    failure: str | None = None
    """Why the last attempt to caption it failed, if nothing came since."""

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)

    @property
    def captioned(self) -> bool:
        """Whether it has a caption with something in it."""
        return self.text is not None and not self.text.isspace() and self.text != ""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return a file's stamp; one number is a fifth of the memory of a pair."""
    return Stamp(status.st_mtime_ns << _SIZE_BITS | status.st_size)


def size_of(stamp: Stamp) -> int:
    """Return the file's size in bytes."""
    return stamp & ((1 << _SIZE_BITS) - 1)


def image_id(path: str) -> ImageId:
    """Return the id of the image at `path`: the same after a restart, and no path.

    64 bits of a hash: among a million images two would share one once in 37 million folders.
    """
    return ImageId(_hashed(path))


def folder_id(path: str) -> FolderId:
    """Return the id of a folder, as `image_id`."""
    return FolderId(_hashed(path))


def shown(id: int) -> str:
    """Return an id as it travels: JavaScript's numbers have no 64 bits."""
    return f"{id:016x}"


def parsed(text: str) -> int | None:
    """Return the id that travelled as `text`, or None if it is none."""
    try:
        return int(text, 16) if len(text) == 16 and text.isalnum() else None
    except ValueError:
        return None


def _hashed(path: str) -> int:
    data = path.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest())
