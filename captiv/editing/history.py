"""What the caption in a sidecar was before, and going back to it."""

import os
from dataclasses import dataclass

from captiv.clock import now_ms
from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.editing.sidecars import expected, write
from captiv.errors import UsageError
from captiv.output import sidecar
from captiv.store import Store, captions
from captiv.store.captions import Caption


@dataclass(frozen=True, slots=True)
class Past:
    """The texts of one sidecar, the oldest first, and which of them it holds."""

    texts: tuple[Caption, ...]
    current: int | None
    """Index of the text in the sidecar; None if there is none, or captiv does not know it."""
    sidecar: str | None
    """What the sidecar holds; None if there is none."""


def past(store: Store, place: Place) -> Past:
    """Return the history of one sidecar of an image.

    Raises:
        SidecarError: its sidecar cannot be read.
    """
    held = sidecar.read(place.sidecar)
    texts = tuple(store.read(captions.history, place))
    hashes = [text.hash for text in texts]
    digest = None if held is None else content_hash(held)
    current = len(hashes) - 1 - hashes[::-1].index(digest) if digest in hashes else None
    return Past(texts, current, held)


def undo(store: Store, place: Place, to: int | None = None, *, seen: str | None = None) -> str:
    """Write an earlier text of the image into its sidecar again, and return it.

    `to` is the id of a text in its history; None is the one before what the sidecar holds, or the
    last one if there is no sidecar. What the sidecar holds now is in the history first. Whose text
    it is does not change: one of a model's may be replaced by a run with `--overwrite`. `seen` is
    as in `put`.

    Raises:
        CaptionChanged: another caption is there than the one that was seen; nothing was done.
        UsageError: there is no such text.
        SidecarError: the sidecar cannot be read or written.
    """
    expected(place.sidecar, seen)
    before = past(store, place)
    text = earlier(before) if to is None else _named(before, to)
    if text is None:
        raise UsageError("There is no earlier caption of this image.")
    if before.sidecar is not None:
        store.write(captions.record_found, place, before.sidecar, now_ms())
    write(place.sidecar, text)
    sidecar.sync_folder(os.path.dirname(place.sidecar))
    return text


def earlier(before: Past) -> str | None:
    """Return the text before the one that the sidecar holds, or None if captiv knows none."""
    end = len(before.texts) if before.current is None else before.current
    held = None if before.sidecar is None else content_hash(before.sidecar)
    for text in reversed(before.texts[:end]):
        if text.hash != held:
            return text.text
    return None


def _named(before: Past, to: int) -> str:
    for text in before.texts:
        if text.id == to:
            return text.text
    known = ", ".join(str(text.id) for text in before.texts) or "none"
    raise UsageError(f"This image has no text {to} in its history.", hint=f"It has: {known}.")
