"""Bulk edits that are being made or undone now: how far each is, and how a person ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass(slots=True, eq=False)
class EditUnderWay:
    """One edit that is being made or undone."""

    id: str
    words: str
    total: int
    done: int = 0
    stopped: bool = False
    """Whether a person wants it to end."""
    over: bool = False


@dataclass(slots=True)
class UnderWay:
    """Every one of them."""

    _works: dict[str, EditUnderWay] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def begin(self, words: str, total: int) -> Iterator[EditUnderWay]:
        """Have an edit among them as long as the context lasts."""
        work = EditUnderWay(f"{next(self._numbers)}", words, total)
        self._works[work.id] = work
        try:
            yield work
        finally:
            del self._works[work.id]

    def get(self, id: str) -> EditUnderWay | None:
        """Return one that is not over."""
        return self._works.get(id)

    def told(self) -> list[dict[str, Any]]:
        """Return how far each is."""
        return [
            {"id": work.id, "words": work.words, "done": work.done, "total": work.total}
            for work in self._works.values()
            if not work.over
        ]
