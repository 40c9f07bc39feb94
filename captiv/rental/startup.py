"""Waits until the worker in a pod is ready, or it is plain that it never will be.

Three are listened to at once: the worker, whose word through the proxy alone makes it ready; the
pod's log, which tells how a pull goes and that a container ends again and again; and the provider's
API, asked seldom, for it counts calls by the minute, and not believed when it says `running`. What
it all means, `core.startup` and `core.startlog` decide.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import anyio

from captiv.clock import monotonic_s
from captiv.core.phase import OnPhase
from captiv.core.pods import PodState
from captiv.core.startlog import StartLog
from captiv.core.startup import GivenUp, Seen, Start, Waiting
from captiv.errors import (
    CaptivError,
    ConfigurationError,
    ModelError,
    NoWorker,
    ProviderError,
    WorkerMismatch,
    WorkerUnreachable,
    error_class,
    leading,
)
from captiv.rental.provider import Pod, Provider
from captiv.wire import Health
from captiv.workers import WorkerClient

_log = logging.getLogger(__name__)

OnPod = Callable[[Pod], Awaitable[None]]
LOOK_S = 1.0
"""How often the worker is asked: what passes until it is noticed is paid for."""
_PULLING_LOOK_S = 5.0
"""How often while its image is pulled: the pod's log tells when that is over."""
_ASK_S = 5.0
_AGAIN_S = 5.0
"""How long after a failure the log is asked for again."""
_BACKLOG = 500


async def come_up(
    provider: Provider,
    client: WorkerClient,
    pod_id: str,
    *,
    timeout_s: float,
    waited_s: float = 0.0,
    fresh: bool = True,
    on_phase: OnPhase,
    on_pod: OnPod | None = None,
    look_s: float = LOOK_S,
) -> GivenUp | None:
    """Wait until the worker is ready; return why it is given up, or None.

    Args:
        provider: whose pod it is.
        client: the pod's worker.
        pod_id: the pod.
        timeout_s: how long it may take; up to twice that while a pull or download advances.
        waited_s: how much of that has passed.
        fresh: whether all of its log is of this start; of another only what comes is read.
        on_phase: is told each phase as it begins.
        on_pod: is told what the provider says of the pod; what it raises ends the wait.
        look_s: the time between two looks at the worker.
    """
    starting = _Starting(provider, client, pod_id, on_pod)
    waiting = Waiting(monotonic_s() - waited_s, timeout_s)
    try:
        async with anyio.create_task_group() as tg:
            tg.start_soon(starting.listen, _BACKLOG if fresh else 0)
            tg.start_soon(starting.ask)
            ended = await starting.look(waiting, on_phase, look_s)
            tg.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise leading(group) from group
    return ended.given_up


def lasting_error(failed: GivenUp, message: str) -> CaptivError:
    """Return what ends a command: every host would end as this one did."""
    if failed.code == ConfigurationError.code:
        return ConfigurationError(message, hint=failed.hint)
    cls = error_class(failed.code or "")
    return (cls if cls is not None and issubclass(cls, ModelError) else NoWorker)(message)


class _Starting:
    """One pod that starts, and what was last heard of it."""

    def __init__(
        self, provider: Provider, client: WorkerClient, pod_id: str, on_pod: OnPod | None
    ) -> None:
        self._provider = provider
        self._on_pod = on_pod
        self._client = client
        self._pod_id = pod_id
        self._said = StartLog()
        self._state: PodState | None = None
        self._running = False
        self._mismatch: str | None = None
        self._started = anyio.Event()

    async def look(self, waiting: Waiting, on_phase: OnPhase, every_s: float) -> Waiting:
        """Look until it is ready or given up; return the state in which it is then."""
        told = None
        while waiting.start is Start.WAIT:
            waiting = waiting.look(await self._seen(), monotonic_s())
            if waiting.phase != told:
                told = waiting.phase
                on_phase(told)
            if waiting.start is Start.WAIT:
                pulling = self._said.pulling and not self._running
                await self._pause(max(every_s, _PULLING_LOOK_S) if pulling else every_s)
        return waiting

    async def _pause(self, for_s: float) -> None:
        """Let some time pass, less if the container is told to have started meanwhile."""
        self._started = anyio.Event()
        with anyio.move_on_after(for_s):
            await self._started.wait()

    async def ask(self) -> None:
        """Keep what the provider says of the pod; while it is silent, what it said last holds."""
        while True:
            try:
                pod = await self._provider.get(self._pod_id)
            except ProviderError:
                pass
            else:
                await self._heard(pod)
            await anyio.sleep(_ASK_S)

    async def _heard(self, pod: Pod | None) -> None:
        self._state = PodState.ENDED if pod is None else pod.state
        self._running = pod is not None and pod.started
        if self._running:
            self._started.set()
        if pod is not None and self._on_pod is not None:
            await self._on_pod(pod)

    async def listen(self, backlog: int) -> None:
        """Read the log, as far as it is to be had; a pod starts without it, too."""
        while self._provider.traits.logs:
            try:
                lines = self._provider.logs(self._pod_id, None, tail=backlog, follow=True)
                async with aclosing(lines):
                    async for line in lines:
                        before = self._said.started
                        self._said.hear(line.source, line.text, monotonic_s())
                        if self._said.started and not before:
                            self._started.set()
            except ProviderError as error:
                _log.info("pod log unread pod=%s reason=%s", self._pod_id, error.message)
            await anyio.sleep(_AGAIN_S)

    async def _seen(self) -> Seen:
        health: Health | None = None
        try:
            health = await self._client.health()
        except WorkerUnreachable:
            pass
        except WorkerMismatch as error:
            self._mismatch = error.message
        said = self._said
        return Seen(
            state=self._state,
            started=self._running or said.started,
            health=health,
            pulling=said.pulling,
            pulled=said.pulled if said.pulling else None,
            progress_s=said.advanced_s,
            restarts=max(said.restarts, health.restarts if health else 0),
            trouble=self._mismatch or said.trouble,
            last_words=said.last_words,
        )
