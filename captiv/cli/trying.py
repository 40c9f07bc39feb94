"""Captions a few pictures, here or at a worker, to see how fast that is; nothing of it is kept."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio

from captiv.clock import monotonic_s, now_ms
from captiv.core.phase import Phase
from captiv.core.spec import RunSpec
from captiv.dispatch.events import Silence
from captiv.errors import CaptivError
from captiv.quote import with_hint
from captiv.service import Service
from captiv.settings import Paths, Settings
from captiv.sources import Sources

_HERE: Final = 8
_ELSEWHERE: Final = 64
"""Pictures for a worker that is ready: fewer do not fill one that captions many at once."""
_LIMIT_S: Final = 180.0
"""A machine that needs longer, its start included, is no road for a folder of images."""
_LIMIT_ELSEWHERE_S: Final = 60.0


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
    """Return how many images are captioned in a second where a run is placed, or why none is known.

    The pictures are those of the run, their captions are written nowhere, and the job table is one
    of its own. A worker elsewhere that does not answer at once, or has another model, is not tried.
    """
    away = spec.placement.kind == "url"
    pictures, limit_s = (_ELSEWHERE, _LIMIT_ELSEWHERE_S) if away else (_HERE, _LIMIT_S)
    few = spec.model_copy(
        update={
            "selection": spec.selection.model_copy(update={"limit": pictures}),
            "output": spec.output.model_copy(update={"save": False}),
        }
    )
    stopwatch, why = _Stopwatch(), "no picture that was tried got a caption"
    with TemporaryDirectory(prefix="captiv-", ignore_cleanup_errors=True) as folder:
        own = replace(paths, data_dir=Path(folder))
        with anyio.move_on_after(limit_s) as limit:
            try:
                if away:
                    await _require(few, own, settings)
                outcome = await Service(own, settings, stopwatch, signals=False).caption(few)
                why = outcome.error.message if outcome.error is not None else why
            except CaptivError as error:
                why = with_hint(error)
    if limit.cancelled_caught:
        why = f"no picture got a caption within {limit_s:.0f} s"
    per_s = stopwatch.images_per_s
    return why if per_s is None else per_s


async def _require(spec: RunSpec, paths: Paths, settings: Settings) -> None:
    """See that the worker answers now and has the model: a run would wait for it for minutes.

    Raises:
        CaptivError: it does not.
    """
    sources = Sources(paths, settings, Silence(), specs={}, now_ms=now_ms)
    obstacle = await sources.obstacle(spec, None)
    if obstacle is not None:
        raise obstacle
