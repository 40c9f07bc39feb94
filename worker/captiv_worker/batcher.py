"""Decides which images form the next batch, and how many the worker holds. Pure.

Images wait in groups: one group an asking (generation settings, and what the engine says that a
batch must share: the prompt text, the number of image tokens), because only such a batch is
invariant. Whoever runs the device asks for a batch when the device is free, so an
idle device waits for nothing and a busy one finds its next batch filled. The group whose head is
oldest goes first, so the oldest image of all is always in the next batch and none starves.

How large a batch may be is found by trying (`sizes`), for each kind of batch apart: more beams or
more image tokens need more memory, and one hungry kind must not slow the others down.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from captiv_worker.sizes import Sizes

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch(Generic[K, T]):
    """Items of one asking, the oldest first."""

    asking: K
    items: tuple[T, ...]


class Batcher(Generic[K, T]):
    """Groups items by asking and hands out batches as large as `sizes` has them."""

    def __init__(self, sizes: Sizes, kind: Callable[[K], Hashable] = lambda asking: asking) -> None:
        """Args: `kind` is what of an asking decides how much memory a batch takes."""
        self.sizes = sizes
        self._kind = kind
        self._groups: dict[K, deque[tuple[int, T]]] = {}
        self._arrived = 0

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def add(self, asking: K, item: T) -> None:
        """Put an item at the end of its group."""
        self._groups.setdefault(asking, deque()).append((self._arrived, item))
        self._arrived += 1

    def close(self) -> Batch[K, T] | None:
        """Take the next batch: the group with the oldest head, up to its size."""
        if not self._groups:
            return None
        asking = min(self._groups, key=lambda key: self._groups[key][0][0])
        group = self._groups[asking]
        count = min(len(group), self.sizes.of(self._kind(asking)))
        items = tuple(group.popleft()[1] for _ in range(count))
        if not group:
            del self._groups[asking]
        return Batch(asking, items)

    def went_well(self, asking: K, count: int) -> None:
        """Remember that `count` images of this asking were captioned together."""
        self.sizes.went_well(self._kind(asking), count)

    def ran_out(self, asking: K, count: int) -> None:
        """Remember that the device had no memory for `count` images of this asking."""
        self.sizes.ran_out(self._kind(asking), count)

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


def stream_permits(capacity: int) -> int:
    """Return the permits for an engine that takes so many images at once, and half as many ahead.

    Room is filled at once only with images that are decoded. While an answer travels to captiv and
    the next image back, which takes a second to a far pod, an engine answers a sixth of what is
    inside (128 in 6 s on an H100, by arithmetic).
    """
    return capacity + max(4, capacity // 2)
