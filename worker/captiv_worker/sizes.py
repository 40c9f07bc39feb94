"""How many images are captioned together, found by trying. Pure.

What a batch needs of the device's memory depends on its kind: how many tokens an image and its
prompt take, how many may be written, how many beams are searched. For each kind there is a `Size`:
it begins small, doubles when a full batch went well, and turns back when one ran out of memory;
then it halves the distance between what fitted and what did not, until little is to be won. What
ran out is not tried again.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

_MAX_KINDS: Final = 256
"""Kinds whose size is remembered; the one used longest ago is forgotten first."""

_WORTH_TRYING: Final = 8
"""Between what fits and what does not, an eighth more is worth a failed batch; less is not."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of one kind of batch. Each event returns the next one."""

    now: int
    """How many images the next batch may have."""
    largest: int
    """What it never exceeds."""
    fits: int = 0
    """The most that went well; a batch whose captions are longer may yet run out."""
    too_many: int | None = None
    """The fewest that ran out of memory."""

    def went_well(self, count: int) -> "Size":
        """A batch of `count` images was captioned."""
        if self.too_many is not None and count >= self.too_many:
            return self  # in parts, or there was room once: what ran out is not tried again
        known = replace(self, fits=max(self.fits, count))
        return replace(known, now=known._next()) if count >= self.now else known

    def ran_out(self, count: int) -> "Size":
        """A batch of `count` images ran out of memory; at one, no smaller one can be had."""
        too_many = max(2, min(count, self.too_many or count))
        fits = self.fits if self.fits < too_many else too_many // 2
        now = max(1, min(self.now, fits or too_many // 2))
        return replace(self, now=now, fits=fits, too_many=too_many)

    def _next(self) -> int:
        if self.too_many is None:
            return max(self.now, min(self.largest, 2 * self.now))
        middle = (self.fits + self.too_many) // 2
        worth = max(1, self.fits // _WORTH_TRYING)
        return min(self.largest, middle) if middle - self.fits >= worth else self.fits


class Sizes:
    """The sizes of one loaded model, by kind of batch."""

    def __init__(self, first: int, largest: int | None = None) -> None:
        """Args: `first` is how a kind begins; `largest` what none exceeds, `first` if not given."""
        self.first = first
        self.largest = max(first, largest or first)
        self._sizes: OrderedDict[Hashable, Size] = OrderedDict()

    @property
    def now(self) -> int:
        """How many images a batch may have at most, of the kinds that there were."""
        return max((size.now for size in self._sizes.values()), default=self.first)

    def of(self, kind: Hashable) -> int:
        """Return how many images the next batch of this kind may have."""
        return self._of(kind).now

    def went_well(self, kind: Hashable, count: int) -> None:
        """Remember that a batch of `count` images was captioned."""
        self._remember(kind, self._of(kind).went_well(count))

    def ran_out(self, kind: Hashable, count: int) -> None:
        """Remember that `count` images were too many."""
        self._remember(kind, self._of(kind).ran_out(count))

    def _of(self, kind: Hashable) -> Size:
        return self._sizes.get(kind) or Size(self.first, self.largest)

    def _remember(self, kind: Hashable, size: Size) -> None:
        self._sizes[kind] = size
        self._sizes.move_to_end(kind)
        while len(self._sizes) > _MAX_KINDS:
            self._sizes.popitem(last=False)
