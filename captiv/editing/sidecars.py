"""Changes to sidecars by hand: what is there is in the store before it is replaced or removed."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

from captiv.clock import now_ms
from captiv.core.naming import Place, checked_extension, checked_naming
from captiv.core.spec import Output
from captiv.core.texts import Content, content_hash, data_of, plain, text_of
from captiv.errors import CaptionChanged, SidecarError
from captiv.output import sidecar
from captiv.output.mirror import mirroring
from captiv.settings import Settings
from captiv.store import Store, standings

T = TypeVar("T")


class Sidecars:
    """Where captions are looked for: by the options, else by the settings."""

    def __init__(
        self,
        settings: Settings,
        extension: str | None,
        naming: str | None,
        *,
        mirror: tuple[str, str] | None = None,
    ) -> None:
        """Args: `mirror` is a folder with a tree of sidecars, and the folder that it mirrors."""
        self._asked = extension, naming
        self._mirror = mirror
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Look where these settings say from now on; an option still goes before them."""
        extension, naming = self._asked
        output = settings.output
        self.output = Output(
            extension=checked_extension(output.extension if extension is None else extension),
            naming=checked_naming(output.sidecar_name if naming is None else naming),
        )
        if self._mirror is not None:
            directory, folder = self._mirror
            self.output = mirroring(self.output, directory, [folder])

    def of(self, image: str) -> str:
        """Return the path of this image's sidecar."""
        return self.output.sidecar_of(image)

    def place(self, image: str) -> Place:
        """Return this image and its sidecar."""
        return self.output.place_of(image)


def version(text: str | None) -> str:
    """Return what tells one caption of an image from another: the same for the same caption."""
    return "none" if text is None else content_hash(text)[:16]


def put(store: Store, place: Place, text: str, *, seen: str | None = None) -> None:
    """Make `text` the caption of an image, as one that a person wrote.

    `seen` is the version that the person saw; None replaces whatever is there.

    Raises:
        CaptionChanged: another caption is there than the one that was seen; nothing was done.
        SidecarError: the file cannot be read or written; the text is recorded in the second case.
            If it is `taken`, the file was changed, and a power cut may take that away.
    """
    held = expected(place.sidecar, seen)
    content = plain(text)
    row = store.write(standings.change, place, held, content, now_ms())
    swap(store, place, held, content, row)


def drop(store: Store, place: Place, *, seen: str | None = None) -> bool:
    """Remove the caption of an image; return whether there was one.

    Raises:
        CaptionChanged, SidecarError: as `put`.
    """
    held = expected(place.sidecar, seen)
    if held is None:
        return False
    row = store.write(standings.change, place, held, None, now_ms())
    swap(store, place, held, None, row)
    return True


def expected(path: str, seen: str | None) -> Content | None:
    """Return the caption that is there, if it is the one that was seen (None: whatever it is).

    Raises:
        CaptionChanged: it is another one.
        SidecarError: the sidecar cannot be read.
    """
    held = sidecar.look(path)
    if seen is not None and version(text_of(held)) != seen:
        raise _changed(held)
    return held


def swap(store: Store, place: Place, held: Content | None, new: Content | None, row: int) -> None:
    """Put a caption where another one is held, for a person; `row` is what the store says of it.

    Raises:
        CaptionChanged: something else is there by now.
        SidecarError: it cannot be written; no run writes it later, so the person has to. Or it is
            `taken`: then the change stands, and can be undone.
    """
    try:
        sidecar.swap(place.sidecar, data_of(held), data_of(new))
    except SidecarError as error:
        if error.taken:
            raise SidecarError(
                _sentence(error.message),
                hint="A power cut may still bring the old one back. Check the disk.",
            ) from error
        store.write(standings.forget, [row])
        if error is sidecar.CHANGED:
            raise _changed(sidecar.look(place.sidecar)) from None
        raise SidecarError(
            error.message,
            hint="Nothing was changed. Right that, and do it again: the history of the image has "
            "the text.",
        ) from error


def look(path: str) -> Content | SidecarError | None:
    """Return the caption in a sidecar, None if there is none, or why it cannot be read."""
    try:
        return sidecar.look(path)
    except SidecarError as error:
        return error


def _changed(held: Content | None) -> CaptionChanged:
    return CaptionChanged("The caption was changed meanwhile.", text=text_of(held))


def _sentence(message: str) -> str:
    return f"{message[0].upper()}{message[1:]}."


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    todo = iter(items)
    while chunk := list(itertools.islice(todo, size)):
        yield chunk
