"""How quickly a run goes: what the chart of images a second is drawn from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_SAMPLES: Final = 240
_STRETCH_MS: Final = 300_000
"""Captions that are so far apart are not of one stretch of work."""


@dataclass(slots=True)
class Pace:
    """How many images of a run had ended when, thinned so that the whole run fits."""

    every_ms: int = 1_000
    samples: list[tuple[int, int]] = field(default_factory=list)

    def note(self, at_ms: int, ended: int) -> None:
        """Take a number in, unless the last one is too young; it is brought up to date then."""
        if len(self.samples) > 1 and at_ms - self.samples[-2][0] < self.every_ms:
            self.samples[-1] = (at_ms, ended)
            return
        self.samples.append((at_ms, ended))
        if len(self.samples) > _SAMPLES:
            self.samples = self.samples[::2]
            self.every_ms *= 2

    @classmethod
    def of(cls, seconds: Iterable[tuple[int, int]]) -> "Pace":
        """Return the pace of a run from the seconds in which its captions came, and how many.

        Of a run that was interrupted for long it is the last stretch, as when it is watched.
        """
        pace, ended, last = cls(), 0, None
        for at_ms, n in seconds:
            if last is None or at_ms - last > _STRETCH_MS:
                pace = cls(samples=[(at_ms - 1_000, ended)])
            ended, last = ended + n, at_ms
            pace.note(at_ms, ended)
        return pace

    def rest(self, at_ms: int) -> None:
        """Begin anew after a time in which nobody was at work."""
        if self.samples and at_ms - self.samples[-1][0] > 4 * self.every_ms:
            self.samples.clear()
