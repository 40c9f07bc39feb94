"""From accepted work to its end: decode on threads, queue for the device, answer.

Work that is accepted belongs to the pipeline, not to the connection that brought it: a client that
leaves loses nothing. Its permit is given back when it ends, whichever way. If the device's thread
dies, all that waits is failed at once, and `died` is called: the process has to end. `captioned` is
called, on a thread, after every batch that gave a caption, `resized` when batches become larger or
smaller, or need more or fewer images at hand.

A static engine is served by the device's thread (`device`), a continuous one by tasks of the event
loop (`stream`) while that thread waits for their end.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup

from captiv.catalog import ImagePolicy
from captiv.errors import CaptivError, EngineFailed
from captiv.images.prepare import decode
from captiv.offload import offload
from captiv.wire import CaptionReply, Generation, Problem, Tagging
from captiv_worker.batch_file import BatchFile
from captiv_worker.batcher import Permits
from captiv_worker.device import Device, Ready, Resized
from captiv_worker.engines import release_memory
from captiv_worker.engines.spec import (
    Answer,
    AnyEngine,
    ContinuousEngine,
    DeviceLost,
    EngineItem,
    Failure,
)
from captiv_worker.inside import Inside
from captiv_worker.isolation import Ran
from captiv_worker.pictures import Pictures
from captiv_worker.problems import problem, problem_of
from captiv_worker.sizes import Sizes
from captiv_worker.stream import Stream
from captiv_worker.work import Ending, Work, WorkStore

_log = logging.getLogger(__name__)

_PICTURES_BYTES = 2 * 1024**3
"""Of decoded pictures that wait, or are in a batch; more stay as they came until there is room."""
_BYTES_A_PIXEL = 3

Load = Callable[[], tuple[AnyEngine, Sizes] | None]
"""Returns the warm engine and how large its batches are; None if it failed and has said so."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked about one image, ready for the engine, and what the answer repeats."""

    prompt: str | None
    answer_schema: str | None
    generation: Generation
    image: ImagePolicy
    model: str
    variant: str
    tagging: Tagging | None = None


class Pipeline:
    """Runs accepted work to its end."""

    def __init__(
        self,
        store: WorkStore,
        batch_file: BatchFile,
        *,
        boot_id: str,
        captioned: Callable[[], None],
        resized: Resized,
        died: Callable[[], None],
    ) -> None:
        self.permits = Permits(0)
        self._store = store
        self._batch_file = batch_file
        self._boot_id = boot_id
        self._captioned = captioned
        self._died = died
        self._asks: dict[str, Ask] = {}
        self._device = Device(batch_file, self._deliver, resized)
        self._stream: Stream | None = None
        self._decoders = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._decoding = anyio.CapacityLimiter(os.cpu_count() or 1)
        """Taken while one waits for room, too: no more than these decode once there is some."""
        self._pictures = Pictures(_PICTURES_BYTES)
        self._tasks: TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost = False

    @asynccontextmanager
    async def running(self, load: Load) -> AsyncIterator[None]:
        """Load an engine whenever one is wanted, and run work, while the context is open."""
        self._loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._drive, load)
            try:
                yield
            finally:
                self._device.stop()
                self._fail_all("The worker is stopping.")
                tasks.cancel_scope.cancel()

    def waiting(self) -> int:
        """Return how many decoded images wait for a batch, or for room."""
        return self._device.waiting() + (self._stream.waiting() if self._stream else 0)

    def want_load(self) -> None:
        """Have the engine that is loaded dropped, and another loaded. Only while no work runs."""
        self._device.want_load()
        if self._stream is not None:
            self._stream.stop()

    def start(self, work: Work, image: bytes, ask: Ask) -> None:
        """Take over this work, and the permit that was taken for it."""
        assert self._tasks is not None, "the pipeline is not running"
        self._asks[work.key] = ask
        self._tasks.start_soon(self._prepare, work, image, ask)

    async def _prepare(self, work: Work, image: bytes, ask: Ask) -> None:
        try:
            async with self._decoding:
                await self._pictures.room()
                picture = await offload(
                    partial(decode, image, policy=ask.image), limiter=self._decoders
                )
                self._pictures.hold(work.key, _BYTES_A_PIXEL * picture.width * picture.height)
        except CaptivError as error:
            _log.info("refused key=%s code=%s", work.key, error.code)
            self._end(work, problem_of(error))
        except Exception:
            _log.exception("decode_failed key=%s", work.key)
            self._end(work, problem(500, EngineFailed.code, "The image could not be decoded."))
        else:
            if self._lost:
                return  # failed with all the rest
            queue = self._stream or self._device
            item = EngineItem(picture, ask.prompt, ask.generation, ask.tagging, ask.answer_schema)
            queue.offer(Ready(work, item))

    async def _drive(self, load: Load) -> None:
        """Give the device its thread, and see to it that its death is nobody's endless wait."""
        try:
            await offload(
                self._serve, load, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        except Exception:
            _log.exception("device_lost")
            self._lost = True
            self._fail_all("The worker lost its device and is ending.")
            self._died()

    def _serve(self, load: Load) -> None:
        try:
            while self._device.await_load():
                loaded = load()
                if loaded is not None:
                    self._run(*loaded)
                del loaded  # its memory is wanted for the next one
                release_memory()
        except SystemExit as error:  # would end the event loop, past every cleanup
            raise DeviceLost("the engine left the thread") from error

    def _run(self, engine: AnyEngine, sizes: Sizes) -> None:
        if not isinstance(engine, ContinuousEngine):
            self._device.serve(engine, sizes)
            return
        self._device.max_batch = sizes.now
        try:
            anyio.from_thread.run(self._stream_into, engine, sizes.now)
        finally:
            engine.close()

    async def _stream_into(self, engine: ContinuousEngine, capacity: int) -> None:
        if self._device.interrupted:  # before any image came
            return
        inside = Inside(self._batch_file, self._captioned)
        self._stream = Stream(engine, capacity, inside, self._answer)
        try:
            for ready in self._device.take_all():  # came while it was unknown which form is loaded
                self._stream.offer(ready)
            await self._stream.serve()
        finally:
            self._stream = None

    def _deliver(self, results: Sequence[tuple[Work, Ran]]) -> None:
        """Take results from the device's thread to the loop without making the device wait."""
        assert self._loop is not None, "the pipeline is not running"
        if any(isinstance(ran.outcome, Answer) for _, ran in results):
            self._captioned()
        try:
            self._loop.call_soon_threadsafe(self._answer, results)
        except RuntimeError:  # the loop has closed: nobody waits any more
            _log.info("dropped results=%d", len(results))

    def _answer(self, results: Sequence[tuple[Work, Ran]]) -> None:
        for work, ran in results:
            if work.ending is None:  # else it was failed while its batch ran
                self._end(work, self._ending(work, ran))

    def _ending(self, work: Work, ran: Ran) -> Ending:
        outcome = ran.outcome
        if isinstance(outcome, Failure):
            _log.warning(
                "failed key=%s code=%s suspect=%s", work.key, outcome.code, outcome.suspect
            )
            return _problem(outcome)
        _log.info("caption key=%s batch=%d engine_s=%.3f", work.key, ran.batch, ran.engine_s)
        ask = self._asks[work.key]
        return CaptionReply(
            caption=outcome.text,
            model=ask.model,
            variant=ask.variant,
            prompt=ask.prompt,
            finish=outcome.finish,
            tokens=outcome.tokens,
            batch=ran.batch,
            engine_s=ran.engine_s,
            max_batch=self._device.max_batch,
            permits=self.permits.total,
            key=work.key,
            boot_id=self._boot_id,
        )

    def _end(self, work: Work, ending: Ending) -> None:
        if work.ending is not None:
            return
        self._asks.pop(work.key, None)
        self._store.end(work, ending)
        self._pictures.free(work.key)
        self.permits.give()

    def _fail_all(self, why: str) -> None:
        for work in self._store.running():
            self._end(work, problem(500, EngineFailed.code, why))


def _problem(failure: Failure) -> Problem:
    status = 500 if failure.code == EngineFailed.code else 422
    return problem(status, failure.code, failure.message, suspect=failure.suspect)
