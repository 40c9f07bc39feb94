"""A first look at what a request asks for, before there is a run: whether there is work to do."""

import os
from dataclasses import dataclass, field
from typing import Final

from captiv.clock import monotonic_s
from captiv.core.naming import Place
from captiv.core.spec import Output, RunSpec
from captiv.dispatch.folders import try_folder
from captiv.dispatch.retrying import foreseen
from captiv.dispatch.scan import Chunk, chunks, settle, settled
from captiv.errors import SidecarError
from captiv.store import Store

_MOST: Final = 256
"""Folders that cannot be written, after which no other one is tried."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What was seen in the time that there was."""

    wanted: bool
    """Whether there is an image to caption."""
    unwritable: SidecarError | None = None
    """Why none of the captions could be written."""


@dataclass(slots=True)
class _Folders:
    """Which folders can be written, tried one by one."""

    output: Output
    refused: dict[str, SidecarError] = field(default_factory=dict)
    images: int = 0

    def take(self, place: Place) -> bool:
        """Tell whether the caption of this image can be written."""
        self.images += 1
        folder = os.path.dirname(place.sidecar)
        if folder not in self.refused:
            try:
                try_folder(place, self.output)
            except SidecarError as error:
                self.refused[folder] = error
            else:
                return True
        return False

    @property
    def outlook(self) -> Outlook:
        """What these folders tell."""
        return Outlook(self.images > 0, next(iter(self.refused.values()), None))


def look(spec: RunSpec, store: Store | None, *, limit_s: float) -> Outlook:
    """Return whether there is an image to caption whose caption can be written. Blocks.

    Nothing is decided about folders when the time is up; without a job table nobody knows of hand
    edits.
    """
    until_s = monotonic_s() + limit_s
    folders = _Folders(spec.output)
    for chunk in chunks(spec):
        kept_of(chunk, spec, store)
        failed = foreseen(store, spec, chunk.wanted)
        for place in chunk.wanted:
            if place in failed:
                continue
            if not spec.output.save or folders.take(place):
                return Outlook(wanted=True)
            if len(folders.refused) >= _MOST:
                return folders.outlook
        if monotonic_s() >= until_s:
            return Outlook(wanted=folders.images > 0)
    return folders.outlook


def kept_of(chunk: Chunk, spec: RunSpec, store: Store | None) -> list[Place]:
    """Sort the sidecars of a chunk that are there, as a run does; return what is kept. Blocks."""
    if not (chunk.there or chunk.objects):
        return []
    return settled(chunk, spec, {}) if store is None else store.read(settle, chunk, spec)
