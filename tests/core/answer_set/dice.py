"""A source of chance that gives the same on every Python: only `random()` is promised to."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from one seed."""

    def __init__(self, seed: str, turn: int = 0) -> None:
        """Args: `turn` counts the answers of a kind."""
        self._random = random.Random(seed).random
        self._turn = turn

    def next_of(self, items: Sequence[T]) -> T:
        """Return the one whose turn it is; nothing is drawn."""
        return items[self._turn % len(items)]

    def number(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def chance(self, share: float) -> bool:
        return self._random() < share

    def one(self, items: Sequence[T]) -> T:
        return items[self.number(0, len(items) - 1)]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """Draw `count` different ones, in drawn order."""
        left, drawn = list(items), list[T]()
        for _ in range(min(count, len(left))):
            drawn.append(left.pop(self.number(0, len(left) - 1)))
        return drawn
