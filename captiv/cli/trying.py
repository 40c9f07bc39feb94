"""Captions a few pictures on this machine, to see how fast it is; nothing of it is kept."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio

from captiv.clock import monotonic_s
from captiv.core.phase import Phase
from captiv.core.spec import RunSpec
from captiv.dispatch.events import Silence
from captiv.errors import CaptivError
from captiv.service import Service
from captiv.settings import Paths, Settings

_PICTURES: Final = 8
_LIMIT_S: Final = 180.0
"""A machine that needs longer, its start included, is no road for a folder of images."""


class _Stopwatch(Silence):
    """Times the captions, from the last thing that was waited for to the last of them."""

    def __init__(self) -> None:
        self._began_s = self._last_s = monotonic_s()
        self._captions = 0

    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None:
        """Take note that captions are still to come."""
        if not self._captions:
            self._began_s = monotonic_s()

    def captioned(self, path: str, text: str) -> None:
        """Take note of a caption."""
        self._captions += 1
        self._last_s = monotonic_s()

    @property
    def images_per_s(self) -> float | None:
        """How fast captions came; None where none did."""
        took_s = self._last_s - self._began_s
        return self._captions / took_s if self._captions and took_s > 0 else None


async def tried(spec: RunSpec, paths: Paths, settings: Settings) -> float | str:
    """Return how many images this machine captions in a second, or why that is not known.

    The pictures are those of the run, their captions are written nowhere, and the job table is one
    of its own.
    """
    few = spec.model_copy(
        update={
            "selection": spec.selection.model_copy(update={"limit": _PICTURES}),
            "output": spec.output.model_copy(update={"save": False}),
        }
    )
    stopwatch, why = _Stopwatch(), "not known: no picture that was tried got a caption"
    with TemporaryDirectory(prefix="captiv-", ignore_cleanup_errors=True) as folder:
        own = replace(paths, data_dir=Path(folder))
        with anyio.move_on_after(_LIMIT_S) as limit:
            try:
                outcome = await Service(own, settings, stopwatch, signals=False).caption(few)
                why = outcome.error.message if outcome.error is not None else why
            except CaptivError as error:
                why = error.message
    if limit.cancelled_caught:
        why = f"not known: {_PICTURES} pictures took more than {_LIMIT_S:.0f} s"
    per_s = stopwatch.images_per_s
    return why if per_s is None else per_s
