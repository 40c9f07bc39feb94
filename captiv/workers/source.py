"""The seam between the dispatcher and whatever provides a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from captiv.core.retry import Death

OnPhase = Callable[[str], None]
"""Is told, in a few words, what a starting worker is doing."""


@dataclass(frozen=True, slots=True)
class Address:
    """A worker that is there: its URL, and the token it was started with."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a worker that went away."""

    death: Death
    suspects: frozenset[str]
    """Keys of the batch that was running."""
    reason: str


class WorkerSource(Protocol):
    """Provides one worker, and a new one after a loss. All of it may raise `NoWorker`."""

    async def start(self, on_phase: OnPhase) -> Address:
        """Provide the worker; it may still be loading."""
        ...

    async def ended(self) -> Ended | None:
        """Return how the worker ended, or None if it may still be there."""
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
        """Give the worker back; safe to call at any time and more than once."""
        ...
