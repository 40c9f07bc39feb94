"""Changes to sidecars by hand: what is there is in the store before it is replaced or removed."""

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from captiv.clock import now_ms
from captiv.core.naming import Place, checked_extension, checked_naming
from captiv.core.spec import Output
from captiv.core.texts import content_hash
from captiv.errors import CaptionChanged, SidecarError
from captiv.output import sidecar
from captiv.settings import Settings
from captiv.store import Connection, Store, captions, gone

T = TypeVar("T")

_AT_ONCE = 200
"""Texts recorded in one transaction: each costs one wait for the disk."""


class Sidecars:
    """Where captions are looked for: by the options, else by the settings."""

    def __init__(self, settings: Settings, extension: str | None, naming: str | None) -> None:
        self._asked = extension, naming
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Look where these settings say from now on; an option still goes before them."""
        extension, naming = self._asked
        output = settings.output
        self._output = Output(
            extension=checked_extension(output.extension if extension is None else extension),
            naming=checked_naming(output.sidecar_name if naming is None else naming),
        )

    def of(self, image: str) -> str:
        """Return the path of this image's sidecar."""
        return self._output.sidecar_of(image)

    def place(self, image: str) -> Place:
        """Return this image and its sidecar."""
        return self._output.place_of(image)


def version(text: str | None) -> str:
    """Return what tells one caption of an image from another: the same for the same caption."""
    return "none" if text is None else content_hash(text)[:16]


def put(store: Store, place: Place, text: str, *, seen: str | None = None) -> None:
    """Make `text` the caption of an image, as one that a person wrote.

    `seen` is the version that the person saw; None replaces whatever is there.

    Raises:
        CaptionChanged: another caption is there than the one that was seen; nothing was done.
        SidecarError: the file cannot be read or written; the text is recorded in the second case.
    """
    old = expected(place.sidecar, seen)
    store.write(_record_new, place, old, text, now_ms())
    write(place.sidecar, text)
    sidecar.sync_folder(os.path.dirname(place.sidecar))


def drop(store: Store, place: Place, *, seen: str | None = None) -> bool:
    """Remove the caption of an image; return whether there was one.

    Raises:
        CaptionChanged, SidecarError: as `put`.
    """
    expected(place.sidecar, seen)
    (result,) = remove(store, [place])
    if isinstance(result, SidecarError):
        raise result
    return result


def remove(store: Store, places: Iterable[Place]) -> Iterator[bool | SidecarError]:
    """Remove sidecars; yield for each whether it was there, or why it stays."""
    for chunk in chunks(places, _AT_ONCE):
        texts = [read(path) for _, path in chunk]
        known = [
            (place, text) for place, text in zip(chunk, texts, strict=True) if isinstance(text, str)
        ]
        store.write(_record_old, known, now_ms())
        results = [
            _removed(path) if isinstance(text, str) else text or False
            for (_, path), text in zip(chunk, texts, strict=True)
        ]
        for folder in {os.path.dirname(path) for _, path in chunk}:
            sidecar.sync_folder(folder)
        yield from results


def expected(path: str, seen: str | None) -> str | None:
    """Return the caption that is there, if it is the one that was seen (None: whatever it is).

    Raises:
        CaptionChanged: it is another one.
        SidecarError: the sidecar cannot be read.
    """
    text = sidecar.read(path)
    if seen is not None and version(text) != seen:
        raise CaptionChanged("The caption was changed meanwhile.", text=text)
    return text


def write(path: str, text: str) -> None:
    """Write a sidecar for a person.

    Raises:
        SidecarError: it cannot be; no run writes it later, so the person has to.
    """
    try:
        sidecar.write(path, text, replace=True)
    except SidecarError as error:
        raise SidecarError(
            error.message,
            hint="Nothing was changed. Right that, and do it again: the history of the image has "
            "the text.",
        ) from error


def read(path: str) -> str | SidecarError | None:
    """Return the text of a sidecar, None if there is none, or why it cannot be read."""
    try:
        return sidecar.read(path)
    except SidecarError as error:
        return error


def _removed(path: str) -> bool | SidecarError:
    try:
        return sidecar.remove(path)
    except SidecarError as error:
        return error


def _record_new(conn: Connection, place: Place, old: str | None, new: str, now_ms: int) -> None:
    if old is not None:
        captions.record_found(conn, place, old, now_ms)
    last = captions.latest(conn, place)
    if last is None or (last.text, last.source) != (new, "hand"):
        captions.record(conn, place, new, content_hash(new), "hand", now_ms)


def _record_old(conn: Connection, texts: list[tuple[Place, str]], now_ms: int) -> None:
    for place, text in texts:
        captions.record_found(conn, place, text, now_ms)
    gone.note_removed(conn, [place for place, _ in texts], now_ms)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    todo = iter(items)
    while chunk := list(itertools.islice(todo, size)):
        yield chunk
