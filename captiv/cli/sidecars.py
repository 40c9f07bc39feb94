"""Changes to sidecars by hand: what is there is in the store before it is replaced or removed."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator

from captiv.cli.show import visible
from captiv.core.keeping import Source
from captiv.core.naming import checked_extension, checked_naming, sidecar_path
from captiv.core.texts import content_hash
from captiv.errors import SidecarError
from captiv.output import sidecar
from captiv.settings import Settings
from captiv.store import Connection, Store, captions

# Paths are strings in the store: `pathlib` would only be in the way.
# ruff: noqa: PTH108

_AT_ONCE = 200
"""Texts recorded in one transaction: each costs one wait for the disk."""

Place = tuple[str, str]
"""An image and its sidecar."""


class Sidecars:
    """Where captions are looked for: by the options, else by the settings."""

    def __init__(self, settings: Settings, extension: str | None, naming: str | None) -> None:
        self._extension = checked_extension(extension or settings.output.extension)
        self._naming = checked_naming(naming or settings.output.sidecar_name)

    def of(self, image: str) -> str:
        """Return the path of this image's sidecar."""
        return sidecar_path(image, extension=self._extension, naming=self._naming)


def put(store: Store, place: Place, text: str) -> None:
    """Make `text` the caption of an image, as one that a person wrote.

    Raises:
        SidecarError: the file cannot be read or written; the text is recorded in the second case.
    """
    image, path = place
    old = sidecar.read(path)
    store.write(_record_new, image, old, text, _now_ms())
    sidecar.write(path, text, replace=True)
    sidecar.sync_folder(os.path.dirname(path))


def remove(store: Store, places: Iterable[Place]) -> Iterator[bool | SidecarError]:
    """Remove sidecars; yield for each whether it was there, or why it stays."""
    for chunk in _chunks(places):
        texts = [_read(path) for _, path in chunk]
        known = [
            (image, text)
            for (image, _), text in zip(chunk, texts, strict=True)
            if isinstance(text, str)
        ]
        store.write(_record_old, known, _now_ms())
        results = [
            _removed(path) if isinstance(text, str) else text or False
            for (_, path), text in zip(chunk, texts, strict=True)
        ]
        for folder in {os.path.dirname(path) for _, path in chunk}:
            sidecar.sync_folder(folder)
        yield from results


def _read(path: str) -> str | SidecarError | None:
    try:
        return sidecar.read(path)
    except SidecarError as error:
        return error


def _removed(path: str) -> bool | SidecarError:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        return SidecarError(f"cannot remove {visible(path)}: {error.strerror or error}")
    return True


def _record_new(conn: Connection, image: str, old: str | None, new: str, now_ms: int) -> None:
    if old is not None:
        _record_old(conn, [(image, old)], now_ms)
    last = captions.latest(conn, image)
    if last is None or (last.text, last.source) != (new, "hand"):
        captions.record(conn, image, new, content_hash(new), "hand", now_ms)


def _record_old(conn: Connection, texts: list[Place], now_ms: int) -> None:
    """Keep texts that are about to go: as an edit if captiv knew the image, else as found there."""
    for image, text in texts:
        digest = content_hash(text)
        if not text.strip() or captions.knows(conn, image, digest):
            continue
        source: Source = "hand" if captions.has_any(conn, image) else "import"
        captions.record(conn, image, text, digest, source, now_ms)


def _chunks(places: Iterable[Place]) -> Iterator[list[Place]]:
    todo = iter(places)
    while chunk := list(itertools.islice(todo, _AT_ONCE)):
        yield chunk


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
