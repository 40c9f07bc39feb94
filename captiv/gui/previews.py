"""What bulk edits would change, kept while somebody looks at it."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import Final

from captiv.core.edits import BulkEdit
from captiv.editing import Change, Kept

_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class Preview:
    """Every change that an edit would make, as the captions were when it was looked at."""

    id: str
    edit: BulkEdit
    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]
    """Captions that it cannot change, and why."""


class Previews:
    """The previews that were made last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Preview] = OrderedDict()
        self._numbers = count(1)

    def keep(self, edit: BulkEdit, found: list[Change | Kept]) -> Preview:
        """Keep what was found, and return it as a preview."""
        changes = tuple(each for each in found if isinstance(each, Change))
        kept = tuple(each for each in found if isinstance(each, Kept))
        preview = Preview(f"{next(self._numbers)}", edit, changes, kept)
        self._kept[preview.id] = preview
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return preview

    def get(self, id: str) -> Preview | None:
        """Return a preview that is still kept."""
        return self._kept.get(id)

    def drop(self, id: str) -> None:
        """Forget a preview whose changes were made."""
        self._kept.pop(id, None)
