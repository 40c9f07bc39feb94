"""Decides which images form the next batch, and how many the worker holds. Pure.

Images wait in groups: one group an asking (generation settings, and what the engine says that a
batch must share, such as the prompt). Whoever runs the device asks for a batch when the device is
free, so an idle device waits for nothing and a busy one finds its next batch filled.

Where the engine fills up shorter rows, a group is sorted into buckets by the tokens of a row, with
bounds a quarter apart (`bucket_of`). The fullest bucket goes first, measured by what the memory
allows of it (`sizes`). A batch that its bucket does not fill takes in shorter rows, of the two
buckets below at most: a row is filled up to at most 1.25³, twice its own tokens, most far less.

No image waits for ever. Groups take turns. Next comes the group that has waited longest, counted
from its last batch or from its oldest image, whichever is later. Within a group an image that was
passed over by `PATIENCE` batches is due: if the oldest one is, the next batch includes it, and is
formed in its bucket or the fullest one above. A rare small picture so joins a batch of large ones
as a guest, rather than have one of its own. Guests are at most a quarter of a batch, and a batch of
fewer than four has none.

How large a batch may be is found by trying (`sizes`).
"""

import math
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final, Generic, TypeVar

from captiv_worker.sizes import Need, Sizes

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

PATIENCE: Final = 12
"""So many batches of its group may pass an image over."""

_STEP: Final = 1.25
"""Between the bounds of two buckets."""

_REACH: Final = 2
"""A row may be filled up to the length of a bucket so many above its own."""

_OF_GUESTS: Final = 4
"""At most one row in this many is a guest: due, and far shorter than the batch's own."""

_LATELY: Final = 512
"""So many arrivals tell how mixed the images are, and how large."""

_MOST_MIXED: Final = 4
"""More buckets than these need no more images at hand: most of what comes is in a few."""


def bucket_of(tokens: int) -> int:
    """Return the number of the bucket for rows of so many tokens; its rows are a quarter apart."""
    return math.ceil(math.log(max(1, tokens)) / math.log(_STEP))


@dataclass(frozen=True, slots=True)
class Batch(Generic[K, T]):
    """Items of one asking, each bucket's oldest first."""

    asking: K
    items: tuple[T, ...]
    needs: tuple[Need, ...]
    """What each row needs by itself, in the batch's bucket."""

    def need(self, span: range) -> Need:
        """Return what each row needs in a batch of these items: as much as the longest of them."""
        return max((self.needs[i] for i in span), key=lambda need: need.tokens)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T]):
    arrived: int
    since: int
    """How many batches its group had had when it came."""
    need: Need
    item: T


@dataclass(slots=True)
class _Group(Generic[T]):
    """What waits of one asking, by bucket."""

    buckets: dict[int, deque[_Waiting[T]]] = field(default_factory=dict)
    batches: int = 0
    served: int = 0
    """What had arrived when it had its last batch."""

    def add(self, waiting: _Waiting[T]) -> None:
        self.buckets.setdefault(waiting.need.bucket, deque()).append(waiting)

    @property
    def oldest(self) -> _Waiting[T]:
        """What waits longest."""
        return min((rows[0] for rows in self.buckets.values()), key=lambda w: w.arrived)

    @property
    def turn(self) -> int:
        """The arrival count from which its waiting is measured."""
        return max(self.served, self.oldest.arrived)

    def is_due(self, waiting: _Waiting[T]) -> bool:
        return self.batches - waiting.since >= PATIENCE

    def within(self, top: int) -> list[deque[_Waiting[T]]]:
        """Return the buckets whose rows may join a batch of this one."""
        return [self.buckets[n] for n in range(top - _REACH, top + 1) if n in self.buckets]

    def guests(self, top: int) -> list[_Waiting[T]]:
        """Return the rows that are due and too short for such a batch, the oldest first."""
        short = [rows for number, rows in self.buckets.items() if number < top - _REACH]
        found = [waiting for rows in short for waiting in rows if self.is_due(waiting)]
        return sorted(found, key=lambda waiting: waiting.arrived)

    def take(self, taken: list[_Waiting[T]]) -> None:
        """Let these no longer wait."""
        gone = {waiting.arrived for waiting in taken}
        for number in {waiting.need.bucket for waiting in taken}:
            left = deque(w for w in self.buckets[number] if w.arrived not in gone)
            if left:
                self.buckets[number] = left
            else:
                del self.buckets[number]


class Batcher(Generic[K, T]):
    """Groups items by asking and hands out batches as large as `sizes` has them."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._groups: dict[K, _Group[T]] = {}
        self._arrived = 0
        self._lately: deque[Need] = deque(maxlen=_LATELY)

    def begin(self, sizes: Sizes) -> None:
        """Serve another model: what came for the last one tells nothing of its images."""
        self.sizes = sizes
        self._lately.clear()

    def __len__(self) -> int:
        return sum(len(row) for group in self._groups.values() for row in group.buckets.values())

    @property
    def mixed(self) -> int:
        """In how many buckets the images fell that came lately; at most as many as matter."""
        return min(_MOST_MIXED, max(1, len({need.bucket for need in self._lately})))

    def add(self, asking: K, item: T, need: Need | None = None) -> None:
        """Put an item into its group. Args: `need` is that of its row, alone; any if not given."""
        need = need or Need(asking)
        group = self._groups.setdefault(asking, _Group())
        group.add(_Waiting(self._arrived, group.batches, need, item))
        self._lately.append(need)
        self._arrived += 1

    @property
    def max_batch(self) -> int:
        """How many images a batch may have now, on average over those that came lately."""
        sizes = self._lately_by(self.sizes.of) or [self.sizes.now]
        return round(len(sizes) / sum(1 / size for size in sizes))

    @property
    def crowd(self) -> int:
        """How many images the worker should hold, so that the next batches are full."""
        soon = round(fmean(self._lately_by(self.sizes.soon_of) or [self.sizes.soon]))
        return default_permits(soon, self.mixed)

    def close(self) -> Batch[K, T] | None:
        """Take the next batch."""
        if not self._groups:
            return None
        asking, group = min(self._groups.items(), key=lambda entry: entry[1].turn)
        top = self._top(group)
        taken = self._fill(group, top)
        group.take(taken)
        group.batches += 1
        group.served = self._arrived
        if not group.buckets:
            del self._groups[asking]
        needs = tuple(waiting.need._replace(bucket=top) for waiting in taken)
        return Batch(asking, tuple(waiting.item for waiting in taken), needs)

    def _lately_by(self, size: Callable[[Need], int]) -> list[int]:
        """Return a size for each image that came lately."""
        of = {need: size(need) for need in set(self._lately)}
        return [of[need] for need in self._lately]

    def _top(self, group: _Group[T]) -> int:
        """Return the bucket of the longest rows in the next batch."""
        oldest, numbers = group.oldest, list(group.buckets)
        if group.is_due(oldest):
            numbers = [n for n in numbers if self._takes(group, n, oldest.need.bucket)]

        def fullness(number: int) -> tuple[bool, float, int]:
            rows, size = group.buckets[number], self._size(group, number)
            joining = sum(map(len, group.within(number)))
            return len(rows) >= size, min(1.0, joining / size), -rows[0].arrived

        return max(numbers, key=fullness)

    def _takes(self, group: _Group[T], top: int, bucket: int) -> bool:
        """Whether a batch of the bucket `top` has a place for a row of this one, beside its own."""
        fewest = _OF_GUESTS if bucket < top - _REACH else 2
        return bucket == top or (bucket < top and self._size(group, top) >= fewest)

    def _size(self, group: _Group[T], number: int) -> int:
        """Return how many rows as long as the longest of a bucket a batch may have."""
        needs = (waiting.need for waiting in group.buckets[number])
        return self.sizes.of(max(needs, key=lambda need: need.tokens))

    def _fill(self, group: _Group[T], top: int) -> list[_Waiting[T]]:
        """Return the rows of a batch: the oldest if it is due, guests, then those of its length.

        Of these the due ones go first, then its bucket's, then shorter ones.
        """
        oldest = group.oldest
        first = [oldest] if group.is_due(oldest) else []
        guests = group.guests(top)[: self._size(group, top) // _OF_GUESTS]
        joining = [waiting for rows in group.within(top) for waiting in rows]
        joining.sort(key=lambda w: (not group.is_due(w), top - w.need.bucket, w.arrived))
        taken: list[_Waiting[T]] = []
        tokens = 0
        for waiting in dict.fromkeys([*first, *guests, *joining]):
            tokens = max(tokens, waiting.need.tokens)
            need = waiting.need._replace(tokens=tokens, bucket=top)
            if taken and len(taken) >= self.sizes.of(need):
                break
            taken.append(waiting)
        return taken


class Permits:
    """How many images the worker may hold, from before the body is read to the answer."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0

    def take(self) -> bool:
        """Take a permit, or return False if none is free."""
        if self.taken >= self.total:
            return False
        self.taken += 1
        return True

    def give(self) -> None:
        """Give a permit back."""
        assert self.taken > 0, "a permit was given back twice"
        self.taken -= 1


def default_permits(max_batch: int, mixed: int = 1) -> int:
    """Return the permits for a batch size: one batch running, one on the way, and what waits.

    Of images of one kind another batch waits; of mixed ones a batch for each of the buckets that
    they mostly fall into, so that one of them is full.
    """
    return max(4, (2 + mixed) * max_batch)


def stream_permits(capacity: int) -> int:
    """Return the permits for an engine that takes so many images at once, and half as many ahead.

    Room is filled at once only with images that are decoded. While an answer travels to captiv and
    the next image back, which takes a second to a far pod, an engine answers a sixth of what is
    inside (128 in 6 s on an H100, by arithmetic).
    """
    return capacity + max(4, capacity // 2)
