"""How images and captions travel to the page."""

import os
from collections.abc import Iterable
from typing import Any

from captiv.editing import version
from captiv.gui.entry import Entry, shown
from captiv.store.captions import Caption

_SHORT = 280
"""Characters of a caption in the gallery: more than its two lines hold."""


def card(entry: Entry) -> dict[str, Any]:
    """Return what the gallery shows of an image."""
    text = entry.text
    short = text if text is None or len(text) <= _SHORT else text[:_SHORT] + "…"
    found: dict[str, Any] = {
        "id": shown(entry.id),
        "name": readable(entry.name),
        "caption": short,
        "version": version(text),
        "stamp": f"{hash(entry.stamp) & 0xFFFFFFFF:08x}",
    }
    if entry.by is not None:
        found["by"] = entry.by
    if entry.failure is not None:
        found["failure"] = entry.failure
    if entry.trouble is not None:
        found["trouble"] = entry.trouble
    return found


def text_of(caption: Caption) -> dict[str, Any]:
    """Return an earlier text with where it came from."""
    return {
        "id": caption.id,
        "text": caption.text,
        "version": version(caption.text),
        "by": caption.source,
        "model": caption.model,
        "variant": caption.variant,
        "prompt": caption.prompt,
        "tokens": caption.tokens,
        "run": caption.run_id,
        "created_ms": caption.created_ms,
    }


def beside(path: str, others: Iterable[str]) -> list[str]:
    """Return the names of other images, for a sentence."""
    return [readable(os.path.basename(other)) for other in others if other != path]


def readable(name: str) -> str:
    """Return a name as JSON can hold it: bytes that are no text as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
