"""Decides which images form the next batch, and how many the worker holds. Pure.

Images wait in groups: one group an asking (prompt text and generation settings), because only
such a batch is invariant. Whoever runs the device asks for a batch when the device is free, so an
idle device waits for nothing and a busy one finds its next batch filled. The group whose head is
oldest goes first, so the oldest image of all is always in the next batch and none starves.

Out of memory lowers the ceiling of that asking, for good: more beams need more memory, and one
hungry asking must not slow the others down.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_MAX_CEILINGS = 256
"""Askings whose ceiling is remembered; the one used longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[K, T]):
    """Items of one asking, the oldest first."""

    asking: K
    items: tuple[T, ...]


class Batcher(Generic[K, T]):
    """Groups items by asking and hands out batches of at most `max_batch`."""

    def __init__(self, max_batch: int) -> None:
        self.max_batch = max_batch
        self._groups: dict[K, deque[tuple[int, T]]] = {}
        self._ceilings: OrderedDict[K, int] = OrderedDict()
        self._arrived = 0

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def add(self, asking: K, item: T) -> None:
        """Put an item at the end of its group."""
        self._groups.setdefault(asking, deque()).append((self._arrived, item))
        self._arrived += 1

    def close(self) -> Batch[K, T] | None:
        """Take the next batch: the group with the oldest head, up to its ceiling."""
        if not self._groups:
            return None
        asking = min(self._groups, key=lambda key: self._groups[key][0][0])
        group = self._groups[asking]
        count = min(len(group), self.ceiling(asking))
        items = tuple(group.popleft()[1] for _ in range(count))
        if not group:
            del self._groups[asking]
        return Batch(asking, items)

    def ceiling(self, asking: K) -> int:
        """Return the largest batch of this asking that has not run out of memory."""
        if asking in self._ceilings:
            self._ceilings.move_to_end(asking)
        return min(self.max_batch, self._ceilings.get(asking, self.max_batch))

    def lower(self, asking: K, size: int) -> None:
        """Remember that `size` images were too many: the ceiling is half of it, at least 1."""
        self._ceilings[asking] = max(1, min(self.ceiling(asking), size // 2))
        self._ceilings.move_to_end(asking)
        while len(self._ceilings) > _MAX_CEILINGS:
            self._ceilings.popitem(last=False)

    def reset(self, max_batch: int) -> None:
        """Start over with another engine, whose ceilings are not known yet."""
        self.max_batch = max_batch
        self._ceilings.clear()

    def drain(self) -> list[T]:
        """Take everything that waits, in order of arrival."""
        waiting = sorted(
            (entry for group in self._groups.values() for entry in group), key=lambda e: e[0]
        )
        self._groups.clear()
        return [item for _, item in waiting]


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


def default_permits(max_batch: int) -> int:
    """Return the permits for a batch size: one batch running, one waiting, one on the way."""
    return max(4, 3 * max_batch)
