"""The seam between the dispatcher and whatever provides a worker."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from captiv.core import quiet
from captiv.core.findings import Finding
from captiv.core.phase import OnPhase
from captiv.core.quiet import Patience
from captiv.core.retry import Death
from captiv.wire import CaptionReply, CaptionRequest, Health, ModelsReply
from captiv.workers.client import Supplies, WorkerClient


class Client(Protocol):
    """A connection to one worker, whatever it speaks. All of it may raise `WorkerError`."""

    @property
    def heard_s(self) -> float:
        """When it last answered, or was connected to, in monotonic seconds."""
        ...

    async def health(self) -> Health:
        """Return what the worker says of itself, whatever its status."""
        ...

    async def models(self) -> ModelsReply:
        """Return what it serves: the first call that proves the token."""
        ...

    async def caption(
        self, image: bytes, media_type: str, request: CaptionRequest, key: str, *, wait_s: float
    ) -> CaptionReply | None:
        """Send one image and return its caption, or None if it has to be asked for again."""
        ...

    async def result(self, key: str, *, wait_s: float) -> CaptionReply | None:
        """Ask again for the work under `key`; raises `UnknownKey` if it has to be sent again."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A worker that is there: its URL, and the token it was started with."""

    url: str
    token: str
    supplies: Supplies | None = field(default=None, kw_only=True)
    """Of a pod that may have to be brought its code."""

    def connect(self) -> Client:
        """Return a connection in captiv's own protocol."""
        return WorkerClient(self.url, self.token, supplies=self.supplies)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a worker that went away."""

    death: Death
    suspects: frozenset[str]
    """Keys of the batch that was running."""
    reason: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What the queue has to know of a worker, wherever it runs."""

    rented: bool = False
    """Whether it costs money while it is there."""
    lost_after_s: float = 60.0
    """How long it may be silent."""
    patience: Patience = quiet.DEFAULT
    """How long it may answer and give no caption."""
    outage_s: float = 0.0
    """How long it may be silent while nothing else is heard over the network that leads to it."""
    look_s: float = 0.1
    """How often it is asked while it is waited for."""


MOMENT_S: Final = 2.0
"""How long a look may take before a run begins."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is looked at before a run begins; `checking.findings` looks."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    """May raise what a run that needs it ends with."""
    limit_s: float = MOMENT_S
    """A look that takes longer has nothing to say."""


class WorkerSource(Protocol):
    """Provides one worker, and a new one after a loss. All of it may raise `NoWorker`."""

    @property
    def traits(self) -> Traits:
        """What kind of worker it is; the same as long as the source lives."""
        ...

    async def start(self, on_phase: OnPhase) -> Address:
        """Provide the worker; it may still be loading."""
        ...

    async def ended(self) -> Ended | None:
        """Return how the worker ended, or None if it may still be there."""
        ...

    @property
    def ends_in_s(self) -> float:
        """In how many seconds it ends as planned, whatever happens; infinite if nothing is."""
        ...

    async def tend(self) -> None:
        """Do what keeps the worker there for as long as it is needed. Runs until cancelled."""
        ...

    async def hand_over(self) -> None:
        """End the worker shortly before its planned end: the next one stands for no loss."""
        ...

    @property
    def cut_off(self) -> bool:
        """Whether, as `ended` last found, it is this machine's network that is down."""
        ...

    def affordable(self) -> bool:
        """Whether another image may be claimed under the run's cap on its cost."""
        ...

    async def lost(self) -> Ended | None:
        """End a worker that is silent for too long; None if it is not captiv's to end."""
        ...

    def describe(self) -> str:
        """Name the worker for a person."""
        ...

    async def stop(self) -> None:
        """Give the worker back; safe to call at any time and more than once.

        Raises:
            NoWorker: it does not end, whatever is done.
        """
        ...
