"""Feeds a continuous engine: an image enters as soon as there is room.

There is one feeder for each image that the engine takes at once. It takes the image that has waited
longest, has it named in the batch file, gives it to the engine and hands on what came of it. An
image over which the engine raises fails alone. When the engine is lost, `serve` ends, and the batch
file goes on naming all that was inside: the process ends, and its next life calls them suspect
together.
"""

import logging
import math
from collections.abc import Callable, Sequence

import anyio

from captiv.clock import monotonic_s
from captiv.errors import EngineFailed
from captiv_worker.device import Ready
from captiv_worker.engines.spec import (
    Answer,
    ContinuousEngine,
    DeviceLost,
    EngineItem,
    Failure,
    Outcome,
)
from captiv_worker.inside import Inside
from captiv_worker.isolation import Ran
from captiv_worker.work import Work

_log = logging.getLogger(__name__)

Tell = Callable[[Sequence[tuple[Work, Ran]]], None]
"""Takes what came of images, on the event loop."""


class Stream:
    """One loaded engine at work; lives on the event loop."""

    def __init__(self, engine: ContinuousEngine, capacity: int, inside: Inside, tell: Tell) -> None:
        self._engine = engine
        self._capacity = capacity
        self._inside = inside
        self._tell = tell
        self._answered = 0
        self._arriving, self._waiting = anyio.create_memory_object_stream[Ready](math.inf)

    def offer(self, ready: Ready) -> None:
        """Put a decoded image in the queue. Bounded by the worker's permits."""
        self._arriving.send_nowait(ready)

    def waiting(self) -> int:
        """Return how many decoded images wait for room."""
        return self._waiting.statistics().current_buffer_used

    def stop(self) -> None:
        """Let `serve` return when what waits and what is inside has its outcome."""
        self._arriving.close()

    async def serve(self) -> None:
        """Caption what is offered until stopped.

        Raises:
            DeviceLost: the process has to end; the batch file keeps naming what was inside.
        """
        try:
            with self._arriving, self._waiting:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._engine.watch)
                    tasks.start_soon(self._inside.keep)
                    await self._fill()
                    tasks.cancel_scope.cancel()
        except* DeviceLost as lost:
            raise _first(lost) from lost
        await self._inside.save()

    async def _fill(self) -> None:
        async with anyio.create_task_group() as feeders:
            for _ in range(self._capacity):
                feeders.start_soon(self._feed)

    async def _feed(self) -> None:
        async for ready in self._waiting:
            await self._caption(ready)

    async def _caption(self, ready: Ready) -> None:
        key = ready.work.key
        await self._inside.enter(key)
        start_s, answered = monotonic_s(), self._answered
        outcome = await self._outcome(key, ready.item)
        if isinstance(outcome, Answer):
            self._answered += 1
        elif outcome.code == EngineFailed.code:
            outcome = _blamed(outcome, others=self._answered > answered)
        ran = Ran(outcome, len(self._inside), monotonic_s() - start_s)
        self._inside.leave(key, captioned=isinstance(outcome, Answer))
        self._tell([(ready.work, ran)])

    async def _outcome(self, key: str, item: EngineItem) -> Outcome:
        try:
            return await self._engine.caption(item)
        except DeviceLost:
            raise
        except Exception as error:
            _log.exception("caption_failed key=%s", key)
            kind = type(error).__name__
            return Failure(EngineFailed.code, f"The engine failed on this image alone ({kind}).")


def _blamed(failure: Failure, *, others: bool) -> Failure:
    """Return the failure, suspect if other images were answered while this one was inside."""
    return Failure(failure.code, failure.message, suspect=others)


def _first(group: BaseExceptionGroup[DeviceLost]) -> DeviceLost:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, DeviceLost)
    return error
