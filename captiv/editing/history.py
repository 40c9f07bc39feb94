"""What the caption in a sidecar was before, and going back to it."""

from dataclasses import dataclass

from captiv.clock import now_ms
from captiv.core.naming import Place
from captiv.core.texts import Content, content_hash, is_blank
from captiv.editing.sidecars import expected, swap
from captiv.errors import UsageError
from captiv.output import sidecar
from captiv.store import Connection, Store, captions, standings
from captiv.store.captions import Caption


@dataclass(frozen=True, slots=True)
class Past:
    """The texts of one sidecar, the oldest first, and which of them it holds."""

    texts: tuple[Caption, ...]
    current: int | None
    """Index of the text in the sidecar; None if there is none, or captiv does not know it."""
    earlier: str | None
    """What undo brings back; None if captiv knows nothing."""


def past(store: Store, place: Place) -> Past:
    """Return the history of one sidecar of an image.

    Raises:
        SidecarError: its sidecar cannot be read.
    """
    return store.read(_past, place, sidecar.look(place.sidecar))


def undo(store: Store, place: Place, to: int | None = None, *, seen: str | None = None) -> str:
    """Write an earlier text of the image into its sidecar again, and return it.

    `to` is the id of a text in its history; None is the caption that stood there before the one
    that the sidecar holds, or last if it holds none. It comes back in the bytes that it had. What
    the sidecar holds now is in the history first. Whose text it is does not change: one of a
    model's may be replaced by a run with `--overwrite`. `seen` is as in `put`.

    Raises:
        CaptionChanged: another caption is there than the one that was seen; nothing was done.
        UsageError: there is no such text.
        SidecarError: the sidecar cannot be read or written.
    """
    held = expected(place.sidecar, seen)
    step = store.write(_back, place, held) if to is None else store.write(_to, place, held, to)
    if step is None:
        raise UsageError("There is no earlier caption of this image.")
    row, content = step
    swap(store, place, held, content, row)
    return content.text


def _past(conn: Connection, place: Place, held: Content | None) -> Past:
    texts = tuple(captions.history(conn, place))
    hashes = [text.hash for text in texts]
    digest = None if held is None else content_hash(held.text)
    current = len(hashes) - 1 - hashes[::-1].index(digest) if digest in hashes else None
    found = standings.levels(conn, place)
    at = standings.below(found, held)
    return Past(texts, current, None if at is None else found[at].text)


def _back(conn: Connection, place: Place, held: Content | None) -> tuple[int, Content] | None:
    return standings.step_back(conn, place, held, now_ms())


def _to(conn: Connection, place: Place, held: Content | None, to: int) -> tuple[int, Content]:
    texts = {text.id: text.text for text in captions.history(conn, place)}
    if to not in texts or is_blank(texts[to]):
        known = ", ".join(map(str, texts)) or "none"
        raise UsageError(f"This image has no text {to} in its history.", hint=f"It has: {known}.")
    content = standings.content_of_caption(conn, place, to, texts[to])
    return standings.replace(conn, place, held, content, now_ms()), content
