"""How many images are at a server that tells no permits.

It opens small and grows with each quick answer, as long as more at once does not mean waiting: an
answer that takes longer than `patience_s` says that images queue up there, where a lost connection
would cost all of them. From then on it moves by one for each full round of quick or slow answers; a
refusal halves it.
"""

from dataclasses import dataclass, replace

OPENING = 4
CEILING = 64
"""Beyond so many at once even a large card gains little (limits computed for an 8B model)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An immutable pace; each event returns the next one."""

    limit: int
    ceiling: int
    patience_s: float
    probing: bool = True
    """Until the first slow answer or refusal it grows with each answer."""
    tally: int = 0
    """Quick answers less slow ones since it last moved."""

    @classmethod
    def opening(cls, ceiling: int | None, patience_s: float) -> "Pace":
        """Return the pace for a server about which nothing is known but what a person allows."""
        most = ceiling or CEILING
        return cls(min(OPENING, most), most, patience_s)

    def answered(self, took_s: float) -> "Pace":
        """One image was answered."""
        if took_s > self.patience_s:
            return replace(self, probing=False)._counted(-1)
        return self._moved(1) if self.probing else self._counted(1)

    def refused(self) -> "Pace":
        """The server takes no more at the moment."""
        return replace(self, limit=max(1, self.limit // 2), probing=False, tally=0)

    def _counted(self, by: int) -> "Pace":
        tally = self.tally + by
        return replace(self, tally=tally) if abs(tally) < self.limit else self._moved(by)

    def _moved(self, by: int) -> "Pace":
        return replace(self, limit=min(self.ceiling, max(1, self.limit + by)), tally=0)
