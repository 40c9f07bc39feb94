"""The life of one worker: started, waited for, spoken to, lost, found again or replaced.

`Supervisor.number` counts the lives, so that many tasks that notice one loss recover from it once.
Once the lane drains, no other worker is started: what the dead one had goes back.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import anyio

from captiv.clock import monotonic_s
from captiv.core import retry
from captiv.core.phase import OnPhase, loading_phase
from captiv.core.quiet import Unheard
from captiv.core.retry import Death
from captiv.errors import NoWorker, WorkerNotReady, WorkerUnreachable, leading
from captiv.offload import offload
from captiv.wire import Health
from captiv.workers import FIRST_CONTACT_S, Address, Client, Ended, WorkerSource

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Loss:
    """Which life ended, and how."""

    life: int
    ended: Ended


class Supervisor:
    """Keeps one worker at hand."""

    def __init__(
        self,
        source: WorkerSource,
        *,
        on_phase: OnPhase,
        on_warning: Callable[[str], None],
        shared: Callable[[], bool],
    ) -> None:
        """Args: `shared` tells whether other workers are fed from the same runs."""
        self.number = 0
        self.loss: Loss | None = None
        """The last death of a worker that was known to its source."""
        self.crashes = 0
        """Deaths since the last caption."""
        self.over = False
        """Whether there is no worker any more, because the lane drains."""
        self.vacant = False
        """Whether the worker is gone, its images are for others, and `begin` has the next one."""
        self._shared = shared
        self._source = source
        self._on_phase = on_phase
        self._on_warning = on_warning
        traits = source.traits
        self._lost_after_s, self._look_s = traits.lost_after_s, traits.look_s
        self._first_contact_s = traits.lost_after_s if traits.rented else FIRST_CONTACT_S
        self._client: Client | None = None
        self.boot_id = ""
        """Of the worker of this life."""
        self.serves: str | None = None
        """Where its model is from: it may be asked for by this name, too."""
        self._recovering = anyio.Lock()
        self._draining = False
        self._beginning = anyio.CancelScope()

    @property
    def client(self) -> Client:
        """The connection to the worker of this life."""
        assert self._client is not None
        return self._client

    def drain(self) -> None:
        """Start no worker any more, nor wait for one that is starting."""
        self._draining = True
        self._beginning.cancel()

    async def begin(self) -> Health | None:
        """Start the worker and wait until it is ready; None if the lane drains first.

        Raises:
            NoWorker: it cannot be had, or failed to load, or died three times while loading.
        """
        if not self._draining:
            with anyio.CancelScope() as self._beginning:
                return await self._begun()
        self.over = True
        return None

    async def recover(
        self,
        life: int,
        *,
        alone: str | None = None,
        hung_s: float | None = None,
        there: frozenset[str] = frozenset(),
    ) -> Health | None:
        """Find out what became of the worker of `life`, and have one again.

        Args:
            life: the life in which the caller lost it.
            alone: key of a suspect that was tried alone; then a death over it counts against the
                image, not against the worker.
            hung_s: the worker answers, and has given no caption for so long: it is ended.
            there: keys of what it has then; suspect where its running batch is not known.

        Returns its health if it is a new worker; None if the old one answers again, somebody else
        has recovered already, or the lane drains (`over`). Where other workers could take its
        images meanwhile, they do not wait for the next one: it is for `begin` to have (`vacant`).

        Raises:
            NoWorker: it is given up.
        """
        async with self._recovering:
            if life != self.number or self.over or self.vacant:
                return None
            if hung_s is not None:
                found: Health | Ended = await self._hung(life, hung_s, there)
            else:
                found = await self._found()
            if isinstance(found, Health):
                return await self._returned(found, alone=alone is not None)
            self.loss = Loss(life, found)
            if alone is None or alone not in found.suspects:
                self._crashed(found.reason)
            if not self._draining:
                what = "hangs" if found.death is Death.HUNG else "died"
                self._on_warning(f"The worker {what} ({found.reason}); starting another.")
                self.vacant = self._shared()
            return None if self.vacant else await self.begin()

    @property
    def recovering(self) -> bool:
        """Whether somebody finds out what became of the worker, or has another one begun."""
        return self._recovering.locked()

    def suspects(self, life: int) -> frozenset[str]:
        """Keys of the batch over which the worker of `life` died, if it is the last that did."""
        loss = self.loss
        return loss.ended.suspects if loss and loss.life == life else frozenset()

    def describe(self) -> str:
        """Name the worker for a person."""
        return self._source.describe()

    def warn(self, message: str) -> None:
        """Tell a person something about the worker."""
        self._on_warning(message)

    async def well(self) -> bool:
        """Whether the worker answers, and says that it is ready."""
        try:
            return (await self.client.health()).status == "ready"
        except WorkerUnreachable:
            return False

    async def end(self) -> None:
        """Disconnect and give the worker back; one that cannot be given back is told of."""
        if self._client is not None:
            await self._client.aclose()
        try:
            await self._source.stop()
        except NoWorker as error:  # what the run has done, it has done
            self._on_warning(f"{error.message} {error.hint or ''}".strip())

    async def _begun(self) -> Health:
        while True:
            await self._connect(await self._source.start(self._on_phase))
            health = await self._ready()
            if health is not None:
                self.number += 1
                self.vacant = False
                self.boot_id = health.boot_id
                self._on_phase(None)
                _log.info(
                    "worker ready worker=%s device=%s max_batch=%d",
                    self._source.describe(),
                    health.device,
                    health.max_batch,
                )
                return health

    async def _connect(self, address: Address) -> None:
        """Speak to this worker from now on; what still waits for the last one learns of its end."""
        # On a thread: the HTTP client reads certificates, and the first one imports half of itself.
        client = await offload(address.connect)
        last, self._client = self._client, client
        if last is not None:
            await last.aclose()

    def _crashed(self, reason: str) -> None:
        _log.warning("worker died reason=%s", reason)
        self.crashes += 1
        if self.crashes >= retry.WORKER_CRASHES:
            raise NoWorker(
                f"The worker died {self.crashes} times without a caption ({reason}).",
                hint="Nothing is lost: the same command resumes. A smaller --batch-size may help.",
            )

    async def _ready(self) -> Health | None:
        """Wait until the model is loaded, for as long as the worker is heard; None if it died.

        Raises:
            WorkerRefused: it does not accept the token.
        """
        ready = await self._unless_ended(self._loaded)
        if isinstance(ready, Health):
            return ready
        self._crashed(ready.reason)
        return None

    async def _loaded(self) -> Health | Ended:
        """Wait until the worker is ready, or silent for too long.

        A source that had it ready before knows where it is: its proxy may still say otherwise.
        """
        unheard = self._unheard(self._first_contact_s)
        while True:
            try:
                health = await self.client.health()
                if health.status == "ready":
                    self.serves = (await self.client.models()).source
            except (WorkerUnreachable, WorkerNotReady) as error:
                unheard = self._look(unheard)
                if unheard.left_s(monotonic_s()) <= 0:
                    if self._source.traits.rented:
                        return await self._lost()
                    hint = error.hint or "Is the worker running there?"
                    raise NoWorker(error.message, hint=hint) from error
            else:
                unheard = self._unheard(self._lost_after_s)
                if health.status == "failed":
                    raise NoWorker(health.reason or "The worker could not load its model.")
                if health.status == "ready":
                    return health
                self._on_phase(loading_phase(health.loading))
            await anyio.sleep(self._look_s)

    async def _found(self) -> Health | Ended:
        """Wait until the worker answers or is known to have died; one that hangs is ended."""
        found = await self._unless_ended(self._heard)
        return await self._lost() if found is None else found

    async def _heard(self) -> Health | None:
        """Wait until the worker answers; None if it is silent for too long.

        One that says that it failed is about to end, and may be started again by its keeper.
        """
        unheard = self._unheard(self._lost_after_s)
        while (left_s := unheard.left_s(monotonic_s())) > 0:
            with anyio.move_on_after(left_s), suppress(WorkerUnreachable):
                health = await self.client.health()
                if health.status != "failed":
                    return health
            unheard = self._look(unheard)
            await anyio.sleep(self._look_s)
        return None

    def _unheard(self, limit_s: float) -> Unheard:
        """The worker is silent from now on; what its guard counts from is its last answer."""
        return Unheard(monotonic_s(), limit_s, self.client.heard_s + self._source.traits.outage_s)

    def _look(self, unheard: Unheard) -> Unheard:
        """Take note of whether the network is down, and say so the first time."""
        after = unheard.look(monotonic_s(), down=self._source.cut_off)
        if unheard.down_s is None and after.down_s is not None:
            left_min = max(0.0, after.until_s - monotonic_s()) / 60
            self._on_warning(
                f"Neither {self._source.describe()} nor its provider answers: this machine's "
                f"network seems to be down. Waiting for it, {left_min:.0f} min at most."
            )
        return after

    async def _unless_ended(self, wait: Callable[[], Awaitable[_Found]]) -> _Found | Ended:
        """Return what is waited for, or that the source says meanwhile that the worker has ended.

        Both are asked side by side: a source may ask somebody who is slow to answer.
        """
        ended: list[Ended] = []

        async def ask() -> None:
            while True:
                found = await self._source.ended()
                if found is not None:
                    ended.append(found)
                    return tg.cancel_scope.cancel()
                await anyio.sleep(self._look_s)

        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(ask)
                waited = await wait()
                tg.cancel_scope.cancel()
                return waited
        except ExceptionGroup as group:
            raise leading(group) from group
        return ended[0]

    async def _hung(self, life: int, for_s: float, there: frozenset[str]) -> Ended:
        """End a worker whose server answers and whose engine does not.

        Raises:
            NoWorker: it is not captiv's to end.
        """
        lost = await self._source.lost()
        suspects = (lost.suspects if lost is not None else None) or there
        ended = Ended(Death.HUNG, suspects, f"no caption came for {for_s:.0f} s")
        if lost is None:
            self.loss = Loss(life, ended)
            raise NoWorker(
                f"The worker at {self._source.describe()} hangs: it answers, and {ended.reason}.",
                hint="Start it again there; nothing is lost, and the same command resumes.",
            )
        return ended

    async def _lost(self) -> Ended:
        lost = await self._source.lost()
        if lost is None:
            raise NoWorker(
                f"The worker at {self._source.describe()} is gone.", hint="Is it running there?"
            )
        return lost

    async def _returned(self, health: Health, *, alone: bool) -> Health | None:
        """The worker answers: the same one, or one that its keeper has started anew."""
        if health.boot_id == self.boot_id and health.status == "ready":
            return None
        ready = await self._ready()
        if ready is None or ready.boot_id == self.boot_id:
            return None
        if not alone:
            self._crashed("it was started anew")
        self.boot_id = ready.boot_id
        self.number += 1
        return ready
