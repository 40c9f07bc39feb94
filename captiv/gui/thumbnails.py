"""Pictures as the page shows them: small ones for the gallery, a large one for the editor.

Made on threads, each under the hash of the file's bytes: a copy or a renamed file is not drawn
twice, and a changed one never shows the old picture. They lie in captiv's cache folder, within a
bound; those that were not looked at for the longest go first. A picture is always encoded anew, so
the browser never sees a stranger's file, nor a person the place where it was taken.
"""

import os
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from anyio import CapacityLimiter

from captiv.catalog.model import ImagePolicy
from captiv.gui.entry import Stamp
from captiv.images.prepare import decode, read
from captiv.offload import offload
from captiv.settings.paths import private_folder

# Measured on a 12-megapixel JPEG: 60 ms for a thumbnail, 160 ms for a large picture, one core.
_THREADS: Final = max(2, min(4, os.cpu_count() or 2))
MAX_BYTES: Final = 512 * 1024 * 1024
_ROOM_AFTER_PRUNING: Final = 0.8
_REMEMBERED: Final = 50_000

Size = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class _Shape:
    policy: ImagePolicy
    quality: int
    subsampling: int


_SHAPES: Final[dict[Size, _Shape]] = {
    # The short edge fills a square cell of some 190 px on a screen of up to 1.5 px a point.
    "small": _Shape(ImagePolicy(size_px=288, rule="short"), 78, 2),
    "large": _Shape(ImagePolicy(size_px=1600, rule="long"), 90, 0),
}


class Thumbnails:
    """Makes pictures, and remembers them on the disk."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._limiter = CapacityLimiter(_THREADS)
        self._keys: OrderedDict[tuple[str, Stamp], str] = OrderedDict()
        self._lock = Lock()
        self._bytes: int | None = None
        """How much lies in the folder; None until somebody has looked."""

    async def get(self, path: str, stamp: Stamp, size: Size) -> bytes:
        """Return the picture at `path` as a JPEG.

        Raises: ImageMissing, ImageTooLarge, ImageUnreadable.
        """
        return await offload(self.make, path, stamp, size, limiter=self._limiter)

    def make(self, path: str, stamp: Stamp, size: Size) -> bytes:
        """Do what `get` does; blocks."""
        data: bytes | None = None
        key = self._key_of(path, stamp)
        if key is None:
            data = read(path)
            key = blake2b(data, digest_size=20).hexdigest()
            self._remember(path, stamp, key)
        place = self._folder / size / key[:2] / f"{key}.jpg"
        kept = _kept(place)
        if kept is None:
            kept = _encoded(read(path) if data is None else data, _SHAPES[size])
            self._keep(place, kept)
        return kept

    def _key_of(self, path: str, stamp: Stamp) -> str | None:
        with self._lock:
            return self._keys.get((path, stamp))

    def _remember(self, path: str, stamp: Stamp, key: str) -> None:
        with self._lock:
            self._keys[path, stamp] = key
            while len(self._keys) > _REMEMBERED:
                self._keys.popitem(last=False)

    def _keep(self, place: Path, data: bytes) -> None:
        """Put a picture into the cache; a cache that cannot be written is done without."""
        try:
            private_folder(place.parent)
            temporary = place.with_name(f".{secrets.token_hex(6)}.tmp")
            temporary.write_bytes(data)
            temporary.replace(place)
            self._bound(len(data))
        except Exception:  # a full or read-only disk: pictures are drawn anew each time
            return

    def _bound(self, added: int) -> None:
        with self._lock:
            if self._bytes is not None:
                self._bytes += added
                if self._bytes <= self._max_bytes:
                    return
            self._bytes = _pruned(self._folder, self._max_bytes)


def _kept(place: Path) -> bytes | None:
    try:
        data = place.read_bytes()
        os.utime(place)  # looked at now: pruning goes by it
    except OSError:
        return None
    return data


def _encoded(data: bytes, shape: _Shape) -> bytes:
    out = BytesIO()
    decode(data, policy=shape.policy).save(
        out, "JPEG", quality=shape.quality, subsampling=shape.subsampling
    )
    return out.getvalue()


def _pruned(folder: Path, max_bytes: int) -> int:
    """Remove the pictures longest not looked at, if there are too many; return what is left."""
    found = []
    for place in folder.glob("*/*/*.jpg"):
        try:
            status = place.stat()
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_size, place))
    total = sum(size for _, size, _ in found)
    if total <= max_bytes:
        return total
    for _, size, place in sorted(found):
        if total <= max_bytes * _ROOM_AFTER_PRUNING:
            break
        place.unlink(missing_ok=True)
        total -= size
    return total
