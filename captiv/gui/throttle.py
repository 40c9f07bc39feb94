"""Slows those who guess: after each wrong try the next is heard later, for one remote and for all.

One remote waits 1, 2, 4 ... up to 300 seconds. Somebody with many addresses meets the second
clock: after ten wrong tries of anybody all wait 1 to 15 seconds, which leaves a guesser some
2,000 tries in eight hours, of 10^12 passphrases. Ten quiet minutes, and the second forgets.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

LONGEST_S: Final = 300.0
LONGEST_FOR_ALL_S: Final = 15.0
_FREE_FOR_ALL: Final = 10
_FORGETS_S: Final = 600.0
_REMOTES: Final = 1000
"""Remotes that are remembered; the one that was wrong longest ago is forgotten first."""


@dataclass(slots=True)
class _Wrong:
    tries: int = 0
    last: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class Throttle:
    """Who was wrong how often. Times are those of one clock, in seconds."""

    _remotes: OrderedDict[str, _Wrong] = field(default_factory=OrderedDict)
    _all: _Wrong = field(default_factory=_Wrong)

    def wait_s(self, remote: str, now: float) -> float:
        """Return how long a remote has to wait until it is heard; 0 if not at all."""
        own = self._remotes.get(remote)
        return max(0.0, self._all.until - now, 0.0 if own is None else own.until - now)

    def wrong(self, remote: str, now: float) -> float:
        """Note a wrong try; return how long that remote has to wait now."""
        own = self._remotes.setdefault(remote, _Wrong())
        self._remotes.move_to_end(remote)
        while len(self._remotes) > _REMOTES:
            self._remotes.popitem(last=False)
        if now - self._all.last > _FORGETS_S:
            self._all.tries = 0
        own.tries, self._all.tries = own.tries + 1, self._all.tries + 1
        own.last = self._all.last = now
        own.until = now + min(2.0 ** min(own.tries - 1, 20), LONGEST_S)
        over = self._all.tries - _FREE_FOR_ALL
        if over > 0:
            self._all.until = now + min(1.5 ** min(over - 1, 20), LONGEST_FOR_ALL_S)
        return self.wait_s(remote, now)

    def right(self, remote: str) -> None:
        """Forget what a remote got wrong."""
        self._remotes.pop(remote, None)
