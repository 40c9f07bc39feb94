"""Changes that people make to captions: every text is in the store before its file changes."""

from captiv.core.naming import Place
from captiv.editing.bulk import Change, Kept
from captiv.editing.history import past, undo
from captiv.editing.sidecars import Sidecars, drop, put, version

__all__ = [
    "Change",
    "Kept",
    "Place",
    "Sidecars",
    "drop",
    "past",
    "put",
    "undo",
    "version",
]
