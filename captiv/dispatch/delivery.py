"""One image on the wire: sent, asked for again, until there is an answer.

When the connection is lost, the image's task finds out what became of the worker
(`Supervisor.recover`, once for all of them) and asks again under the same key: a worker that is
still there gives the caption that it has; a new life does not know the key, and the image, still in
memory, is sent again.

An answer is compared with what was asked: key, model, and the boot id of the life that was asked.
What is about other work is not believed, and the image is asked for again under its key, uncharged.

`watch` looks after a worker that answers and gives no caption: `core.quiet` says how long it may.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from captiv.clock import monotonic_s
from captiv.core.jobs import Job
from captiv.core.quiet import Due, Patience, Quiet
from captiv.core.retry import Death
from captiv.core.window import Window
from captiv.dispatch.limiter import Limiter
from captiv.dispatch.supervisor import Supervisor
from captiv.errors import (
    AnswerMixedUp,
    EngineFailed,
    NoWorker,
    UnknownKey,
    WorkerNotReady,
    WorkerOverloaded,
    WorkerUnreachable,
)
from captiv.images.prepare import Prepared
from captiv.wire import MAX_WAIT_S, CaptionReply, CaptionRequest, Health

_log = logging.getLogger(__name__)

_WAIT_S = min(50.0, MAX_WAIT_S)
_LOOK_S = 1.0
_SOONEST_S = 0.02
"""How soon a quiet worker is looked at again, at most and at least."""
_STOPPED_S = 5.0
"""So late a look can only be where this process did not run."""
_MAX_FORGOTTEN = 10
"""How often a worker may not know what it was sent, before it is no worker to work with."""
_MAX_MIXED_UP = 10
"""How often one image may get an answer for other work, one after the other."""
_MIXED_UP_S = 0.05
_LONGEST_S = 2.0
"""How long an image waits after such an answer: each time twice as long."""


class Suspected(Exception):
    """The worker died with this image in its running batch."""

    def __init__(self, death: Death) -> None:
        super().__init__()
        self.death = death


class Drained(Exception):
    """The lane is ending, or without a worker, and nobody works on this image."""


class Deliveries:
    """Takes images to the worker of a life, as many at a time as its window allows."""

    def __init__(self, supervisor: Supervisor, patience: Patience) -> None:
        """Args: `patience` is how long a worker may give no caption at all."""
        self._supervisor = supervisor
        self._quiet = Quiet(patience)
        self._there: set[str] = set()
        """Keys of what is at the worker."""
        self._alone: tuple[Job, str] | None = None
        """The suspect that is tried alone, and its key."""
        self._limiter = Limiter(Window(1, 1))
        self._drained = anyio.Event()
        self.asking = 0
        """Images that the worker is asked for, also while it has no permit free for them."""
        self.mixed_up = 0
        """Answers for other work."""

    @property
    def limit(self) -> int:
        """How many may be at the worker."""
        return self._limiter.limit

    def takes_s(self, images: int) -> float:
        """Return how long so many images take at most, as far as is known.

        The longest time between two captions is about that of a batch.
        """
        return self._limiter.rounds(images) * (self._quiet.longest_s or 0.0)

    @property
    def culprit(self) -> Job | None:
        """The suspect, tried alone, over which the worker was lost; None if there is none."""
        if self._alone is None:
            return None
        job, key = self._alone
        return job if key in self._supervisor.suspects(self._supervisor.number) else None

    def opened(self, health: Health) -> None:
        """A worker is ready."""
        self._limiter = Limiter(Window.opening(health.max_batch, health.permits))
        self._quiet = Quiet(self._quiet.patience)
        self._count_anew()

    def drain(self) -> None:
        """Send nothing more; what was sent is still waited for."""
        self._drained.set()

    async def run(
        self, job: Job, prepared: Prepared, request: CaptionRequest, key: str
    ) -> CaptionReply:
        """Return the worker's answer, whatever becomes of the connection.

        Raises:
            Suspected: the worker died over this image.
            Drained: it was not sent, or the worker died, and the lane is ending or others go on.
            CaptivError: what the worker says of the image, or of itself.
        """
        with self._counted(job, key):
            return await self._delivered(job, prepared, request, key)

    async def watch(self) -> None:
        """Say that the worker gives nothing; if that goes on, have another. Runs until cancelled.

        Raises:
            NoWorker: it hangs, and there is no other.
        """
        while True:
            asked_s = monotonic_s()
            pause_s = min(_LOOK_S, max(_SOONEST_S, self._quiet.next_s(asked_s)))
            await anyio.sleep(pause_s)
            now_s = monotonic_s()
            stopped = now_s - asked_s > pause_s + _STOPPED_S  # by Ctrl-Z, or the machine slept
            if stopped or self._supervisor.recovering:
                self._count_anew()
                continue
            match self._quiet.due(now_s):
                case Due.SAY:
                    self._say(now_s)
                case Due.END:
                    await self._give_up(now_s)
                case Due.NOTHING:
                    pass

    async def _delivered(
        self, job: Job, prepared: Prepared, request: CaptionRequest, key: str
    ) -> CaptionReply:
        sent, forgotten, mixed_up = False, 0, 0
        while True:
            life = self._supervisor.number
            try:
                async with self._limiter:
                    life = self._supervisor.number
                    boot_id = self._supervisor.boot_id
                    reply = await self._asked(prepared, request, key, again=sent)
                sent = True
                if reply is not None:
                    self._compare(reply, request, boot_id)
                    self._answered(key, reply)
                    return reply
            except WorkerOverloaded as error:
                self._limiter.refused()
                self._there.discard(key)
                with anyio.move_on_after(error.retry_after_s):
                    await self._drained.wait()
            except UnknownKey as error:
                if error.suspect:
                    raise Suspected(Death.KILLED if error.killed else Death.CRASHED) from error
                sent, forgotten = False, forgotten + 1
                if forgotten > _MAX_FORGOTTEN:
                    raise NoWorker("The worker does not know what it was sent.") from error
            except EngineFailed as error:
                if error.suspect or await self._supervisor.well():
                    self._heard(key)
                    raise
                sent = True
                await self._recover(job, key, life)
            except AnswerMixedUp as error:
                sent = True
                await self._recover(job, key, life)
                if self._supervisor.number == life:  # else it is the worker that is another
                    mixed_up += 1
                    await self._again_after(error, mixed_up)
            except (WorkerUnreachable, WorkerNotReady):
                sent = True
                await self._recover(job, key, life)

    async def _asked(
        self, prepared: Prepared, request: CaptionRequest, key: str, *, again: bool
    ) -> CaptionReply | None:
        if not again and self._drained.is_set():
            raise Drained
        self._there.add(key)
        if again:
            return await self._supervisor.client.result(key, wait_s=_WAIT_S)
        return await self._supervisor.client.caption(
            prepared.data, prepared.media_type, request, key, wait_s=_WAIT_S
        )

    def _compare(self, reply: CaptionReply, request: CaptionRequest, boot_id: str) -> None:
        """Refuse what is not of the model that was asked for, or of the life that was asked.

        An answer of a life that ended meanwhile is as good as one of the next.
        """
        if request.model not in (None, reply.model, reply.variant, self._supervisor.serves):
            raise AnswerMixedUp(f"of {reply.model}, not of {request.model}")
        if reply.boot_id not in (boot_id, self._supervisor.boot_id):
            raise AnswerMixedUp("of another worker")

    async def _again_after(self, error: AnswerMixedUp, count: int) -> None:
        """Wait a moment after the `count`-th answer for other work in place of one image's.

        Raises:
            NoWorker: there were too many.
        """
        self.mixed_up += 1
        _log.warning("answer mixed up reason=%s total=%d", error.message, self.mixed_up)
        if self.mixed_up == 1:
            self._supervisor.warn(f"{error.message} captiv doesn't believe it, and asks again.")
        if count >= _MAX_MIXED_UP:
            raise NoWorker(
                f"{error.message} This happened {count} times in a row for one image.",
                hint="Give the worker's own address, with no proxy between. Nothing is lost: the "
                "same command resumes.",
            ) from error
        with anyio.move_on_after(min(_LONGEST_S, _MIXED_UP_S * 2**count)):
            await self._drained.wait()

    @contextmanager
    def _counted(self, job: Job, key: str) -> Iterator[None]:
        """Know what the worker is asked for, and whether that is one image alone.

        A worker that takes nothing, because what it has hangs, is as silent as any other.
        """
        self.asking += 1
        self._quiet = self._quiet.sent(monotonic_s())
        self._alone = (job, key) if job.suspect else None
        try:
            yield
        finally:
            self._alone = None
            self._there.discard(key)
            self.asking -= 1
            if not self.asking:
                self._quiet = self._quiet.empty()

    def _heard(self, key: str) -> None:
        """The engine did something about an image."""
        self._there.discard(key)
        self._quiet = self._quiet.heard(monotonic_s(), more=self.asking > 1)

    def _answered(self, key: str, reply: CaptionReply) -> None:
        self._heard(key)
        if reply.max_batch is not None and reply.permits is not None:
            self._limiter.told(reply.max_batch, reply.permits)
        self._limiter.answered()

    # -- a worker that gives nothing -------------------------------------------------------------

    def _count_anew(self) -> None:
        """It was not there to caption, or begins only now, or nobody was here to see it."""
        self._quiet = self._quiet.anew(monotonic_s()) if self.asking else self._quiet.empty()

    def _say(self, now_s: float) -> None:
        self._quiet = self._quiet.told()
        limit_s = self._quiet.ended_after_s
        rest = (
            "" if math.isinf(limit_s) else f" captiv waits for it no longer than {limit_s:.0f} s."
        )
        self._supervisor.warn(
            f"No caption has come from {self._supervisor.describe()} for "
            f"{self._quiet.lasts_s(now_s):.0f} s: it is slow, or hangs.{rest}"
        )

    async def _give_up(self, now_s: float) -> None:
        health = await self._supervisor.recover(
            self._supervisor.number,
            alone=self._alone[1] if self._alone else None,
            hung_s=self._quiet.lasts_s(now_s),
            there=frozenset(self._there),
        )
        if health is not None:
            self.opened(health)
        self._count_anew()

    async def _recover(self, job: Job, key: str, life: int) -> None:
        """Have a worker again, or learn that this image may be why there is none."""
        alone = key if job.suspect else None
        asked_s = monotonic_s()
        health = await self._supervisor.recover(life, alone=alone)
        if self._supervisor.number != life or monotonic_s() - asked_s > _LOOK_S:
            self._count_anew()  # else it was there all the time, and gave nothing
        if health is not None:
            self.opened(health)
        loss = self._supervisor.loss
        if loss is not None and key in self._supervisor.suspects(life):
            raise Suspected(loss.ended.death)
        if self._supervisor.over or self._supervisor.vacant:
            raise Drained
