"""The one thread that touches the engine, and the queue that it takes its batches from.

The event loop offers decoded images, the thread takes a batch whenever it is free: no trip through
the loop lies between two batches, and images are decoded and grouped while a batch runs.

The thread turns in one circle: it waits until a load is wanted, loads, serves that engine until
another load is wanted, drops it, and waits again. A load is wanted only while nothing is queued.
"""

import logging
import math
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from captiv.wire import Generation
from captiv_worker.batch_file import BatchFile
from captiv_worker.batcher import Batch, Batcher, bucket_of
from captiv_worker.engines.spec import Engine, EngineItem, Kin
from captiv_worker.isolation import Ran, Watch, caption_batch
from captiv_worker.sizes import Need, Sizes
from captiv_worker.work import Work

_log = logging.getLogger(__name__)

Asking = tuple[Hashable, Generation]
"""What a batch shares: what the engine says of its items, and the generation settings."""

_BYTES: Final = 4
"""Of a token, about; in UTF-8, where a Chinese character has three and is about a token."""

_OF_TEXT: Final = 0.75
"""What a token of text takes of the memory, where one of an image takes 1: by arithmetic, for an 8B
model, between a half and all of it."""

_USUAL_TOKENS: Final = 256
"""Tokens assumed for an answer whose limit is this or higher; answers rarely reach the limit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A decoded image that waits for its batch."""

    work: Work
    item: EngineItem


Deliver = Callable[[Sequence[tuple[Work, Ran]]], None]
"""Takes the results of a batch to the event loop, without waiting for it."""

Resized = Callable[[int, int], None]
"""Told, on the device's thread, how large batches are from now on, and how many images they need at
hand."""


class Device:
    """Batches wait here, and `serve` runs them one after the other."""

    def __init__(self, batch_file: BatchFile, deliver: Deliver, resized: Resized) -> None:
        self._batch_file = batch_file
        self._deliver = deliver
        self._resized = resized
        self._batcher: Batcher[Asking, Ready] = Batcher(Sizes(1))
        self._arrived: list[Ready] = []
        self._waiting = 0
        """Images that arrived and are in no batch; the batcher is the device's thread's alone."""
        self.max_batch = 1
        """How many images a batch may have now."""
        self._crowd = 1
        self._changed = threading.Condition()
        self._load_wanted = False
        self._stopping = False

    def offer(self, ready: Ready) -> None:
        """Put a decoded image in the queue. Bounded by the worker's permits."""
        with self._changed:
            self._arrived.append(ready)
            self._waiting += 1
            self._changed.notify()

    def waiting(self) -> int:
        """Return how many decoded images wait for a batch."""
        with self._changed:
            return self._waiting

    def take_all(self) -> list[Ready]:
        """Take what arrived and no batch has."""
        with self._changed:
            self._waiting -= len(self._arrived)
            return self._fetch()

    @property
    def interrupted(self) -> bool:
        """Whether whatever serves now has to return."""
        with self._changed:
            return self._stopping or self._load_wanted

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

    def serve(self, engine: Engine, sizes: Sizes) -> None:
        """Run batches until stopped or until another engine is wanted.

        Args: `sizes` is what is known of this engine's batches, and what is found out is put there.

        Raises:
            DeviceLost: the process has to end; the batch file keeps naming the batch.
        """
        with self._changed:
            self._batcher.begin(sizes)
            self.max_batch, self._crowd = self._batcher.max_batch, self._batcher.crowd
        while (batch := self._take(engine)) is not None:
            self._caption(engine, batch)

    def _take(self, engine: Engine) -> Batch[Asking, Ready] | None:
        """Group what has arrived and return the next batch, None if interrupted.

        Here, because only this thread may ask the engine, which may take its time: the event loop,
        which offers images, must not wait for it.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._arrived or len(self._batcher) or self._stopping or self._load_wanted
            )
            if self._stopping or self._load_wanted:
                return None
            arrived = self._fetch()
        self._sort(engine, arrived)
        batch = self._batcher.close()
        assert batch is not None
        with self._changed:
            self._waiting -= len(batch.items)
        return batch

    def _fetch(self) -> list[Ready]:
        arrived, self._arrived = self._arrived, []
        return arrived

    def _sort(self, engine: Engine, arrived: Sequence[Ready]) -> None:
        for ready in arrived:
            kin, generation = _kin(engine, ready), ready.item.generation
            self._batcher.add(_asking(kin, generation), ready, need_of(kin, generation))

    def _caption(self, engine: Engine, batch: Batch[Asking, Ready]) -> None:
        keys = [ready.work.key for ready in batch.items]
        watch = Watch(
            started=lambda span: self._batch_file.write([keys[i] for i in span]),
            went_well=lambda span: self._batcher.sizes.went_well(batch.need(span), len(span)),
            ran_out=lambda span: self._batcher.sizes.ran_out(batch.need(span), len(span)),
        )
        ran = caption_batch(engine, [ready.item for ready in batch.items], watch)
        self._batch_file.clear()
        self._tell_size()
        self._deliver([(r.work, result) for r, result in zip(batch.items, ran, strict=True)])

    def _tell_size(self) -> None:
        now, crowd = self._batcher.max_batch, self._batcher.crowd
        if (now, crowd) != (self.max_batch, self._crowd):
            self.max_batch, self._crowd = now, crowd
            self._resized(now, crowd)


def need_of(kin: Hashable, generation: Generation) -> Need:
    """Return what an image takes of a batch's memory, alone: image, text and answer together.

    A token of text takes less than one of an image, which passes the vision tower as well. The
    bucket goes by the answer that is usual, so that a generous limit does not put images of all
    sizes into one.
    """
    prompt, image_tokens = kin[:2] if isinstance(kin, Kin) else (kin, 0)
    text = len(prompt.encode()) // _BYTES if isinstance(prompt, str) else 0
    answer = generation.max_new_tokens or _USUAL_TOKENS
    beams = generation.num_beams or 1
    bucket = bucket_of(image_tokens + text + min(answer, _USUAL_TOKENS))
    return Need(beams, beams * (image_tokens + math.ceil(_OF_TEXT * (text + answer))), bucket)


def _asking(kin: Hashable, generation: Generation) -> Asking:
    """Return what a batch shares; where shorter rows are filled up, not the number of tokens."""
    if isinstance(kin, Kin) and kin.fills_up:
        return kin.prompt, generation
    return kin, generation


def _kin(engine: Engine, ready: Ready) -> Hashable:
    """Return what the engine says; an item on which it breaks is captioned, and fails, alone."""
    try:
        return engine.kin(ready.item)
    except Exception:
        _log.exception("kin_failed key=%s", ready.work.key)
        return ready.work.key
