"""How long a worker may give nothing while it has images, or not answer at all.

A server may answer while its engine hangs; only the missing captions show it. How long is too long
depends on the worker, so it is measured: a person hears of a silence that is five times as long as
the longest gap between two captions so far, and after ten times that gap the worker is given up.
Both have a floor, because a gap of a moment proves little. Before the first caption of a life no
gap is known and a model may still warm up: then a long limit of its own holds.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

_SAID_AFTER = 5
_ENDED_AFTER = 10
"""So many times the longest gap so far."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The least that a worker is waited for, in seconds."""

    warning_s: float = 60.0
    """Nothing is said before."""
    limit_s: float = 120.0
    """It is not given up before."""
    first_s: float = 1800.0
    """It is given up if the first caption of its life takes longer."""
    drain_s: float = 300.0
    """How long a drain waits for what is at it."""


DEFAULT = Patience()
"""As it is without any setting."""


class Due(Enum):
    """What to do about a silent worker."""

    NOTHING = auto()
    SAY = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Quiet:
    """One life of a worker; each event returns the next value. `now_s` is monotonic."""

    patience: Patience
    since_s: float | None = None
    """Since when it has images and gives no caption; None while it has none."""
    longest_s: float | None = None
    """The longest gap that ended in a caption; None before the first one."""
    said: bool = False
    """Whether this silence was told of."""

    def sent(self, now_s: float) -> "Quiet":
        """The worker has an image."""
        return self if self.since_s is not None else self.anew(now_s)

    def heard(self, now_s: float, *, more: bool) -> "Quiet":
        """A caption came; `more` tells whether the worker has other images."""
        gap_s = 0.0 if self.since_s is None else now_s - self.since_s
        longest_s = max(self.longest_s or 0.0, gap_s)
        return Quiet(self.patience, now_s if more else None, longest_s)

    def empty(self) -> "Quiet":
        """The worker has no image any more, and none of them was captioned."""
        return replace(self, since_s=None, said=False)

    def anew(self, now_s: float) -> "Quiet":
        """The time that has passed tells nothing: count from now."""
        return replace(self, since_s=now_s, said=False)

    def told(self) -> "Quiet":
        """A person has been told."""
        return replace(self, said=True)

    @property
    def said_after_s(self) -> float:
        """When a person hears of a silence."""
        return max(self.patience.warning_s, _SAID_AFTER * (self.longest_s or 0.0))

    @property
    def ended_after_s(self) -> float:
        """When the worker is given up."""
        if self.longest_s is None:
            return max(self.patience.first_s, self.patience.limit_s)
        return max(self.patience.limit_s, _ENDED_AFTER * self.longest_s)

    def lasts_s(self, now_s: float) -> float:
        """Return for how long it has been silent."""
        return 0.0 if self.since_s is None else now_s - self.since_s

    def due(self, now_s: float) -> Due:
        """Return what to do now."""
        lasts_s = self.lasts_s(now_s)
        if self.since_s is None:
            return Due.NOTHING
        if lasts_s >= self.ended_after_s:
            return Due.END
        return Due.SAY if lasts_s >= self.said_after_s and not self.said else Due.NOTHING

    def next_s(self, now_s: float) -> float:
        """Return in how many seconds `due` may say something else; infinite if not by itself."""
        if self.since_s is None:
            return math.inf
        due_s = self.ended_after_s if self.said else min(self.said_after_s, self.ended_after_s)
        return max(0.0, due_s - self.lasts_s(now_s))


@dataclass(frozen=True, slots=True)
class Unheard:
    """A worker that does not answer; each look at it returns the next value. `now_s` is monotonic.

    Silence proves that the worker is lost, unless nobody else is heard either whom the same network
    leads to: then it is this network that is down, and the worker is where it was. It is waited for
    as long as it can be there, and has its usual time once others are heard again.
    """

    since_s: float
    """Since when it is asked, and silent."""
    limit_s: float
    """How long it may be silent."""
    until_s: float
    """How long it is waited for at most while the network is down: its guard ends it then."""
    down_s: float | None = None
    """When the network was last seen to be down; None if it was not."""

    def look(self, now_s: float, *, down: bool) -> "Unheard":
        """Take note of whether the network is down now."""
        return replace(self, down_s=now_s) if down else self

    def left_s(self, now_s: float) -> float:
        """Return for how much longer it is waited for; none if that is over."""
        if self.down_s is None:
            return self.since_s + self.limit_s - now_s
        until_s = min(self.until_s, self.down_s + self.limit_s)
        return max(until_s, self.since_s + self.limit_s) - now_s
