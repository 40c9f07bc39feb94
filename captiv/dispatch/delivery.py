"""One image on the wire: sent, asked for again, until there is an answer.

When the connection is lost, the image's task finds out what became of the worker
(`Supervisor.recover`, once for all of them) and asks again under the same key: a worker that is
still there gives the caption that it has; a new life does not know the key, and the image, still in
memory, is sent again.

An answer is compared with what was asked: key, model, and the boot id of the life that was asked.
What is about other work is not believed, and the image is asked for again under its key, uncharged.
"""

import logging
import math

import anyio

from captiv.clock import monotonic_s
from captiv.core.jobs import Job
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

    def __init__(self, supervisor: Supervisor, request_timeout_s: float) -> None:
        """Args: `request_timeout_s` is how long a worker may give no caption at all."""
        self._supervisor = supervisor
        self._request_timeout_s = request_timeout_s
        self._answered_s = -math.inf
        self._limiter = Limiter(Window(1, 1))
        self._drained = anyio.Event()
        self.mixed_up = 0
        """Answers for other work."""

    @property
    def limit(self) -> int:
        """How many may be at the worker."""
        return self._limiter.limit

    def opened(self, health: Health) -> None:
        """A worker is ready."""
        self._limiter = Limiter(Window.opening(health.max_batch, health.permits))

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
        sent, forgotten, mixed_up, began_s = False, 0, 0, monotonic_s()
        while True:
            life = self._supervisor.number
            try:
                async with self._limiter:
                    life = self._supervisor.number
                    began_s = began_s if sent else monotonic_s()
                    boot_id = self._supervisor.boot_id
                    reply = await self._asked(prepared, request, key, again=sent)
                sent = True
                if reply is not None:
                    self._compare(reply, request, boot_id)
                    self._answered(reply)
                    return reply
                await self._not_hung(job, key, life, began_s)
            except WorkerOverloaded as error:
                self._limiter.refused()
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
        wait_s = min(_WAIT_S, self._request_timeout_s)
        if again:
            return await self._supervisor.client.result(key, wait_s=wait_s)
        if self._drained.is_set():
            raise Drained
        return await self._supervisor.client.caption(
            prepared.data, prepared.media_type, request, key, wait_s=wait_s
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
            self._supervisor.warn(f"{error.message} It is not believed, and asked for again.")
        if count >= _MAX_MIXED_UP:
            raise NoWorker(
                f"{error.message} It did so {count} times in place of one image's answer.",
                hint="Give the worker's own address, with no proxy between. Nothing is lost: the "
                "same command goes on.",
            ) from error
        with anyio.move_on_after(min(_LONGEST_S, _MIXED_UP_S * 2**count)):
            await self._drained.wait()

    async def _not_hung(self, job: Job, key: str, life: int, began_s: float) -> None:
        """Have another worker if this one says that it works, and gives no caption to anybody."""
        quiet_s = monotonic_s() - max(began_s, self._answered_s)
        if quiet_s > self._request_timeout_s:
            await self._recover(job, key, life, hung_s=quiet_s)

    def _answered(self, reply: CaptionReply) -> None:
        self._answered_s = monotonic_s()
        if reply.max_batch is not None and reply.permits is not None:
            self._limiter.told(reply.max_batch, reply.permits)
        self._limiter.answered()

    async def _recover(self, job: Job, key: str, life: int, *, hung_s: float | None = None) -> None:
        """Have a worker again, or learn that this image may be why there is none."""
        alone = key if job.suspect else None
        health = await self._supervisor.recover(life, alone=alone, hung_s=hung_s)
        self._answered_s = monotonic_s()  # it was not there to caption, or begins only now
        if health is not None:
            self.opened(health)
        loss = self._supervisor.loss
        if loss is not None and loss.life == life and key in loss.ended.suspects:
            raise Suspected(loss.ended.death)
        if self._supervisor.over or self._supervisor.vacant:
            raise Drained
