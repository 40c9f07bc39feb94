"""The line between captiv and the data center: how long it is, and how much it carries."""

import random
from dataclasses import dataclass, field

import anyio

_BITS = 8
_MEGA = 1_000_000
_LATE_S = (1.0, 3.0)
"""Between these a request that is late is held up."""


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
    late_share: float = 0.0
    """The share of ways, from 0 to 1, that take one to three seconds more."""
    seed: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Draw what is late from the seed."""
        self._random = random.Random(self.seed)

    async def travel(self) -> None:
        """Return after one way."""
        late = self.late_share > 0 and self._random.random() < self.late_share
        takes_s = self.rtt_s / 2 + (self._random.uniform(*_LATE_S) if late else 0.0)
        if takes_s:
            await anyio.sleep(takes_s)
