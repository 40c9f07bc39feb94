"""The line between captiv and the data center: how long it is, and how much it carries."""

from dataclasses import dataclass, field

import anyio

_BITS = 8
_MEGA = 1_000_000


@dataclass(slots=True)
class Way:
    """One direction, shared by everybody who sends over it."""

    mbit: float | None = None
    """Megabits a second; None carries everything at once."""
    bytes: int = 0
    """How much it has carried."""
    _free_at: float = 0.0

    async def carry(self, count: int) -> None:
        """Return when so many bytes have passed."""
        self.bytes += count
        if self.mbit is None:
            return
        begins = max(self._free_at, anyio.current_time())
        self._free_at = begins + count * _BITS / (self.mbit * _MEGA)
        await anyio.sleep_until(self._free_at)


@dataclass(slots=True)
class Link:
    """Both directions. All of it may be changed while it carries."""

    rtt_s: float = 0.0
    """How long a request and its answer travel together, besides what their size takes."""
    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)

    async def travel(self) -> None:
        """Return after one way."""
        if self.rtt_s:
            await anyio.sleep(self.rtt_s / 2)
