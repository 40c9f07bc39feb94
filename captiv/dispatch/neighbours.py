"""The lanes that are fed from the same runs, as one of them sees them."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from captiv.core.phase import Phase


class Progress(NamedTuple):
    """How far all lanes are that are fed from the same runs."""

    captioned: int
    at_workers: int
    """Images that are prepared, and that a worker is asked for."""

    def goes_on(self, since: "Progress") -> bool:
        """Whether images were captioned since, or are about to be."""
        return self.at_workers > 0 or self.captioned > since.captioned


class Neighbours(Protocol):
    """All of them, and what this one tells."""

    @property
    def shared(self) -> bool:
        """Whether there are others."""
        ...

    def phase(self, phase: Phase | None) -> None:
        """Take note of what this lane waits for."""
        ...

    def warned(self, message: str) -> None:
        """Tell a person something of this lane's worker."""
        ...

    def progress(self) -> Progress:
        """Return how far all of them are, this one among them."""
        ...

    async def worthwhile(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Whether there is an image to caption; one lane looks for all of them."""
        ...
