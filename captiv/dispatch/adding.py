"""Adds captions to the texts that are in their sidecars, each once; `core.adding` decides.

The store knows what was there and what it becomes (`begin`) before a file changes (`write`), and a
file changes only if it still holds what was looked at.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from captiv.core import adding
from captiv.core.adding import NOTHING, Step, Where
from captiv.core.jobs import JobId, Unwritten
from captiv.core.texts import Content, content_hash, plain
from captiv.dispatch.writing import Result, patiently
from captiv.errors import SidecarError
from captiv.offload import offload
from captiv.output import sidecar
from captiv.output.sidecar import CHANGED, Sidecar, Swap, Written
from captiv.store import Store
from captiv.store import adding as additions
from captiv.store.adding import Addition
from captiv.store.commit import commit


@dataclass(frozen=True, slots=True)
class _Change:
    """A sidecar that is to hold the text of a caption, and what it holds now."""

    item: Unwritten
    held: Content | None
    new: Content


class Adding:
    """Adds batches of captions."""

    def __init__(
        self, store: Store, *, where_of: Callable[[Unwritten], Where], now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._where_of = where_of
        self._now_ms = now_ms

    async def begin(self, items: Sequence[Unwritten]) -> list[Unwritten]:
        """Note what is there, of those that have not begun; return them with what they become.

        What cannot be added, or is there already, is returned as it was.
        """
        new = [item for item in items if item.found is None]
        found = await offload(_found, new, {item.job_id: self._where_of(item) for item in new})
        if found:
            await commit(self._store, additions.begin, found, self._now_ms())
        begun = {each.item.job_id: _begun(each) for each in found}
        return [begun.get(item.job_id, item) for item in items]

    async def write(self, items: Sequence[Unwritten]) -> list[Result]:
        """Write the texts of captions that have begun: one result each."""
        return await patiently(_written, items)


def _found(items: Sequence[Unwritten], sides: Mapping[JobId, Where]) -> list[Addition]:
    """Look what is there, and return what it becomes."""
    found: list[Addition] = []
    for item in items:
        try:
            held = sidecar.look(item.sidecar)
        except SidecarError:
            continue  # writing it will say so
        if adding.step(None, held, item.text) is not Step.BEGIN:
            continue
        if held is None:
            found.append(Addition(item, None, plain(item.text)))
            continue
        made = held.with_text(adding.joined(held.text, item.text, sides[item.job_id]))
        if made is not None:
            found.append(Addition(item, held, made))
    return found


def _begun(addition: Addition) -> Unwritten:
    held = addition.held
    found = NOTHING if held is None else content_hash(held.text)
    return replace(addition.item, text=addition.made.text, found=found)


def _written(items: Sequence[Unwritten]) -> list[Result]:
    """Write these, and force the names in their folders to the disk."""
    looked = [_looked(item) for item in items]
    changes = [each for each in looked if isinstance(each, _Change)]
    results = {each.item.job_id: result for each, result in _changed(changes)}
    return [results[each.item.job_id] if isinstance(each, _Change) else each for each in looked]


def _looked(item: Unwritten) -> _Change | Result:
    """Return the change that is to be made, or why there is none."""
    try:
        held = sidecar.look(item.sidecar)
        match adding.step(item.found, held, item.text):
            case Step.DONE:
                sidecar.sync_folder(os.path.dirname(item.sidecar))
                return Written.SAME
            case Step.KEEP:
                return Written.KEPT
            case Step.WRITE if held is None:
                return _Change(item, None, plain(item.text))
            case Step.WRITE if held is not None and (new := held.with_text(item.text)):
                return _Change(item, held, new)
        return _refused(item, held)
    except SidecarError as error:
        return error


def _refused(item: Unwritten, held: Content | None) -> SidecarError:
    reason = "its sidecar has changed" if held is None else adding.obstacle(held)
    return SidecarError(
        f"cannot add to {item.sidecar}: {reason}",
        hint="Save it as UTF-8, then run `captiv queue retry`: captiv keeps the caption.",
    )


def _changed(changes: Sequence[_Change]) -> list[tuple[_Change, Result]]:
    """Make these changes where the sidecars still hold what they held."""
    new = [each for each in changes if each.held is None]
    writes = [Sidecar(each.item.sidecar, each.item.text) for each in new]
    results = list(zip(new, sidecar.write_many(writes), strict=True))
    old = [(each, each.held.data) for each in changes if each.held is not None]
    swaps = [Swap(each.item.sidecar, data, each.new.data) for each, data in old]
    for (each, _), error in zip(old, sidecar.swap_many(swaps), strict=True):
        kept = error is CHANGED
        results.append((each, Written.KEPT if kept else error or Written.WRITTEN))
    return results
