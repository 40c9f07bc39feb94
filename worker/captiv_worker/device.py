"""The one thread that touches the engine, and the queue that it takes its batches from.

The event loop offers decoded images, the thread takes a batch whenever it is free: no trip through
the loop lies between two batches, and images are decoded and grouped while a batch runs.

The thread turns in one circle: it waits until a load is wanted, loads, serves that engine until
another load is wanted, drops it, and waits again. A load is wanted only while nothing is queued.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from captiv.wire import Generation
from captiv_worker.batch_file import BatchFile
from captiv_worker.batcher import Batch, Batcher
from captiv_worker.engines.spec import Engine, EngineItem
from captiv_worker.isolation import Ran, Watch, caption_batch
from captiv_worker.work import Work

Asking = tuple[str | None, Generation]
"""What a batch shares: the prompt text and the generation settings."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A decoded image that waits for its batch."""

    work: Work
    item: EngineItem


Deliver = Callable[[Sequence[tuple[Work, Ran]]], None]
"""Takes the results of a batch to the event loop, without waiting for it."""


class Device:
    """Batches wait here, and `serve` runs them one after the other."""

    def __init__(self, batch_file: BatchFile, deliver: Deliver) -> None:
        self._batch_file = batch_file
        self._deliver = deliver
        self._batcher: Batcher[Asking, Ready] = Batcher(max_batch=1)
        self._changed = threading.Condition()
        self._load_wanted = False
        self._stopping = False

    def offer(self, ready: Ready) -> None:
        """Put a decoded image in the queue. Bounded by the worker's permits."""
        with self._changed:
            self._batcher.add((ready.item.prompt, ready.item.generation), ready)
            self._changed.notify()

    def waiting(self) -> int:
        """Return how many decoded images wait for a batch."""
        with self._changed:
            return len(self._batcher)

    def want_load(self) -> None:
        """Let `serve` return, and `await_load` go on. Only while no image is queued."""
        with self._changed:
            self._load_wanted = True
            self._changed.notify()

    def stop(self) -> None:
        """Let `serve` return after the batch that runs now, and `await_load` at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def await_load(self) -> bool:
        """Return True as soon as an engine is to be loaded, False when stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._load_wanted or self._stopping)
            self._load_wanted = False
            return not self._stopping

    def serve(self, engine: Engine, max_batch: int) -> None:
        """Run batches until stopped or until another engine is wanted.

        Raises:
            DeviceLost: the process has to end; the batch file keeps naming the batch.
        """
        with self._changed:
            self._batcher.reset(max_batch)
        while (batch := self._take()) is not None:
            self._caption(engine, batch)

    def _take(self) -> Batch[Asking, Ready] | None:
        with self._changed:
            while not (self._stopping or self._load_wanted):
                batch = self._batcher.close()
                if batch is not None:
                    return batch
                self._changed.wait()
        return None

    def _caption(self, engine: Engine, batch: Batch[Asking, Ready]) -> None:
        keys = [ready.work.key for ready in batch.items]
        watch = Watch(
            started=lambda span: self._batch_file.write([keys[i] for i in span]),
            too_large=lambda size: self._batcher.lower(batch.asking, size),
        )
        ran = caption_batch(engine, [ready.item for ready in batch.items], watch)
        self._batch_file.clear()
        self._deliver([(r.work, result) for r, result in zip(batch.items, ran, strict=True)])
