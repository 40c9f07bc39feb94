"""The life of one worker: started, waited for, spoken to, lost, found again or replaced.

`Life.number` counts the lives, so that many tasks that notice one loss recover from it once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from captiv.core import retry
from captiv.errors import NoWorker, WorkerUnreachable
from captiv.wire import Health
from captiv.workers import Ended, WorkerClient, WorkerSource

_log = logging.getLogger(__name__)

_POLL_S = 0.1
"""How often a worker that is not ready, or not there, is asked again."""
_FIRST_CONTACT_S = 10.0
"""How long a worker that was never heard may be silent."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Which life ended, and how."""

    life: int
    ended: Ended


class Life:
    """Keeps one worker at hand."""

    def __init__(
        self,
        source: WorkerSource,
        *,
        on_phase: Callable[[str], None],
        on_warning: Callable[[str], None],
        lost_after_s: float,
    ) -> None:
        self.number = 0
        self.loss: Loss | None = None
        """The last death of a worker that was known to its source."""
        self.crashes = 0
        """Deaths since the last caption."""
        self._source = source
        self._on_phase = on_phase
        self._on_warning = on_warning
        self._lost_after_s = lost_after_s
        self._client: WorkerClient | None = None
        self._recovering = anyio.Lock()

    @property
    def client(self) -> WorkerClient:
        """The connection to the worker of this life."""
        assert self._client is not None
        return self._client

    async def begin(self) -> Health:
        """Start the worker and wait until it is ready.

        Raises:
            NoWorker: it cannot be had, or failed to load, or died three times while loading.
        """
        while True:
            address = await self._source.start(self._on_phase)
            await self._disconnect()
            self._client = WorkerClient(address.url, address.token)
            health = await self._ready()
            if health is not None:
                await self._client.models()
                self.number += 1
                self._on_phase("")
                _log.info(
                    "worker ready worker=%s device=%s max_batch=%d",
                    self._source.describe(),
                    health.device,
                    health.max_batch,
                )
                return health

    async def recover(self, life: int, *, alone: bool) -> Health | None:
        """Find out what became of the worker of `life`, and have one again.

        Args:
            life: the life in which the caller lost it.
            alone: whether a suspect was tried alone; then a death counts against the image, not
                against the worker.

        Returns its health if it is a new worker, None if the old one answers again or somebody
        else has recovered already.

        Raises:
            NoWorker: it is given up.
        """
        async with self._recovering:
            if life != self.number:
                return None
            ended = await self._source.ended()
            if ended is None:
                return await self._await_return()
            self.loss = Loss(life, ended)
            if not alone:
                self._crashed(ended)
            self._on_warning(f"The worker died ({ended.reason}); starting another.")
            return await self.begin()

    async def end(self) -> None:
        """Disconnect and give the worker back."""
        await self._disconnect()
        await self._source.stop()

    async def _disconnect(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _crashed(self, ended: Ended) -> None:
        _log.warning("worker died reason=%s suspects=%d", ended.reason, len(ended.suspects))
        self.crashes += 1
        if self.crashes >= retry.WORKER_CRASHES:
            raise NoWorker(
                f"The worker died {self.crashes} times without a caption ({ended.reason}).",
                hint="Nothing is lost: the same command goes on. A smaller --batch-size may help.",
            )

    async def _ready(self) -> Health | None:
        """Wait until the model is loaded, for as long as the worker is heard; None if it died."""
        silent_since = anyio.current_time()
        patience_s = _FIRST_CONTACT_S
        while True:
            try:
                health = await self.client.health()
            except WorkerUnreachable as error:
                ended = await self._source.ended()
                if ended is not None:
                    self._crashed(ended)
                    return None
                if anyio.current_time() - silent_since > patience_s:
                    raise NoWorker(error.message, hint="Is the worker running there?") from error
            else:
                silent_since, patience_s = anyio.current_time(), self._lost_after_s
                if health.status == "failed":
                    raise NoWorker(health.reason or "The worker could not load its model.")
                if health.status == "ready":
                    return health
                self._on_phase(_phase(health))
            await anyio.sleep(_POLL_S)

    async def _await_return(self) -> Health | None:
        """Nothing is known of a death: wait until it answers, or has been away too long."""
        deadline = anyio.current_time() + self._lost_after_s
        while anyio.current_time() < deadline:
            try:
                await self.client.health()
            except WorkerUnreachable:
                if await self._source.ended() is not None:
                    return None
                await anyio.sleep(_POLL_S)
                continue
            health = await self._ready()
            self.number += 1
            return health
        raise NoWorker(
            f"The worker at {self._source.describe()} is gone.", hint="Is it running there?"
        )


def _phase(health: Health) -> str:
    loading = health.loading
    if loading is None:
        return "loading the model"
    if loading.total_bytes and loading.done_bytes is not None:
        share = 100 * loading.done_bytes // loading.total_bytes
        return f"{loading.phase} ({share} % of {loading.total_bytes / 1e9:.1f} GB)"
    return loading.phase
