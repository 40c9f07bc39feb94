"""How fast something of a known size arrives, and when it will be there."""

from dataclasses import dataclass, replace
from typing import Final

_WINDOW_S: Final = 120.0
"""The rate is that of so long a time: what was before tells nothing of a line that changes."""
_STEP_S: Final = 10.0
_PROVEN_S: Final = 30.0
"""What less time shows is no rate yet."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A pull or download; each look at it returns the next value. Times in s, of one clock."""

    total_bytes: int = 0
    seen: tuple[tuple[float, int], ...] = ()
    """When how many bytes had arrived, the oldest first."""

    def look(self, now_s: float, done_bytes: int, total_bytes: int) -> "Transfer":
        """Take note of how much has arrived; another size is another transfer."""
        if total_bytes != self.total_bytes or (self.seen and done_bytes < self.seen[-1][1]):
            return Transfer(total_bytes, ((now_s, done_bytes),))
        if self.seen and now_s - self.seen[-1][0] < _STEP_S:
            return self
        kept = tuple(each for each in self.seen if now_s - each[0] <= _WINDOW_S)
        return replace(self, seen=(*kept, (now_s, done_bytes)))

    @property
    def bytes_s(self) -> float | None:
        """The rate in bytes a second; None while too little was seen."""
        if not self.seen:
            return None
        (first_s, first), (last_s, last) = self.seen[0], self.seen[-1]
        return (last - first) / (last_s - first_s) if last_s - first_s >= _PROVEN_S else None

    @property
    def left_s(self) -> float | None:
        """In how many seconds it will be there at this rate; None if that is not known."""
        rate = self.bytes_s
        if rate is None:
            return None
        left = self.total_bytes - self.seen[-1][1]
        return left / rate if rate else float("inf")
