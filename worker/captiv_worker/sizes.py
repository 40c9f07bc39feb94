"""How many images are captioned together, found by trying. Pure.

What a batch needs of the device's memory goes with its tokens: as many rows as images, each as long
as the longest, with all that may be written. So what is found out is kept in tokens, and holds for
batches of other rows: the size of a batch is what the memory is known to hold, by the tokens of a
row. It begins at a fixed number of images; while the memory refuses nothing, the next batch may
have four times the tokens of the largest that went well, full or not. Once a batch ran out, the
next one halves the distance between what fitted and what did not, until little would be gained.

Tokens are a good guess only, because those of an image cost more than those of a text. Rows about
as long as each other (a bucket) therefore also remember what they found themselves: what ran out
is not tried again by them, and what ran out elsewhere does not bind a bucket where as much fitted.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

_MAX_KINDS: Final = 256
"""Kinds of row whose room is remembered; the one used longest ago is forgotten first."""

_GROWTH: Final = 4
"""So many times what fitted is tried while nothing has run out."""

_WORTH_TRYING: Final = 16
"""Between what fits and what does not, a sixteenth more is worth a failed batch; less is not."""


class Need(NamedTuple):
    """What one row of a batch needs of the memory."""

    shape: Hashable
    """Rows of one shape need memory by their tokens: those with as many beams."""
    tokens: int = 1
    """Of the whole row: image, text, and what may be written."""
    bucket: int = 0
    """Rows of one bucket are about as long as each other."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is known of the memory, in tokens of a batch. Each event returns the next one."""

    fits: int = 0
    """The most that went well; a batch whose captions are longer may yet run out."""
    too_many: int | None = None
    """The fewest that ran out of memory."""

    def went_well(self, tokens: int) -> "Room":
        """A batch of so many tokens was captioned."""
        if self.too_many is not None and tokens >= self.too_many:
            return self  # there was room once: what ran out is not tried again
        return Room(max(self.fits, tokens), self.too_many)

    def ran_out(self, tokens: int) -> "Room":
        """A batch of so many tokens ran out of memory."""
        too_many = min(tokens, self.too_many or tokens)
        return Room(self.fits if self.fits < too_many else too_many // 2, too_many)

    def over(self, shared: "Room") -> "Room":
        """Return what a bucket goes by: what it found itself, and else what all found together."""
        too_many = self.too_many
        if shared.too_many is not None and self.fits < shared.too_many:
            too_many = min(shared.too_many, too_many or shared.too_many)
        if too_many is not None and shared.fits >= too_many:
            return Room(self.fits, too_many)
        return Room(max(self.fits, shared.fits), too_many)

    @property
    def next(self) -> int:
        """How many tokens the next batch may have."""
        if self.too_many is None:
            return _GROWTH * self.fits
        middle = (self.fits + self.too_many) // 2
        worth = max(1, self.fits // _WORTH_TRYING)
        return middle if middle - self.fits >= worth else self.fits


class Sizes:
    """The sizes of one loaded model's batches, by what a row needs."""

    def __init__(self, first: int, largest: int | None = None) -> None:
        """Args: `first` is how batches begin; `largest` what none exceeds, `first` if not given."""
        self.first = first
        self.largest = max(first, largest or first)
        self._shared: OrderedDict[Hashable, Room] = OrderedDict()
        self._own: OrderedDict[tuple[Hashable, int], Room] = OrderedDict()
        self._needs: OrderedDict[tuple[Hashable, int], Need] = OrderedDict()

    @property
    def now(self) -> int:
        """How many images a batch may have at most, of the kinds that there were."""
        return max((self.of(need) for need in self._needs.values()), default=self.first)

    @property
    def soon(self) -> int:
        """How many that may be once the next batch has gone well.

        This many images are worth holding.
        """
        needs = self._needs.values()
        return max(map(self.soon_of, needs), default=min(self.largest, _GROWTH * self.first))

    def of(self, need: Need) -> int:
        """Return how many rows of this need the next batch may have."""
        room = self._room(need)
        rows = room.next // need.tokens
        if room.too_many is None or self.first * need.tokens < room.too_many:
            rows = max(rows, self.first)
        return max(1, min(rows, self.largest))

    def soon_of(self, need: Need) -> int:
        """Return how many that may be once the next batch of them has gone well."""
        growth = _GROWTH if self._room(need).too_many is None else 1
        return min(self.largest, growth * self.of(need))

    def _room(self, need: Need) -> Room:
        own = self._own.get((need.shape, need.bucket), Room())
        return own.over(self._shared.get(need.shape, Room()))

    def went_well(self, need: Need, rows: int) -> None:
        """Remember that a batch of `rows` rows was captioned."""
        self._remember(need, lambda room: room.went_well(rows * need.tokens))

    def ran_out(self, need: Need, rows: int) -> None:
        """Remember that `rows` rows were too many; at one, no smaller batch can be had."""
        self._remember(need, lambda room: room.ran_out(max(2, rows) * need.tokens))

    def _remember(self, need: Need, happened: Callable[[Room], Room]) -> None:
        kind = need.shape, need.bucket
        _keep(self._shared, need.shape, happened(self._shared.get(need.shape, Room())))
        _keep(self._own, kind, happened(self._own.get(kind, Room())))
        _keep(self._needs, kind, need)


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _keep(known: "OrderedDict[K, V]", key: K, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > _MAX_KINDS:
        known.popitem(last=False)
