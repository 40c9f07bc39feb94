"""One change to many captions: looked at first, then made, and undone as a whole.

Only captions that are there are changed; an edit neither makes nor empties one. What is replaced
and what replaces it are in the store before the file changes. A caption that somebody changed in
the meantime stays as it is, when an edit is made and when it is undone.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from captiv.clock import now_ms
from captiv.core.edits import BulkEdit
from captiv.core.naming import Place
from captiv.core.texts import content_hash
from captiv.editing.sidecars import chunks, read
from captiv.errors import SidecarError, UsageError
from captiv.output import sidecar
from captiv.store import Store, edits
from captiv.store.edits import Edit, EditId

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit makes of one caption."""

    image: str
    sidecar: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A caption that was left as it is, and why."""

    image: str
    reason: str


def preview(edit: BulkEdit, places: Iterable[Place]) -> Iterator[Change | Kept]:
    """Yield what the edit would change; captions that it leaves as they are, are left out."""
    for image, path in places:
        text = read(path)
        if isinstance(text, SidecarError):
            yield Kept(image, text.message)
        elif text is not None and text.strip():
            new = edit.of(text)
            if not new.strip():
                yield Kept(image, "nothing of its caption would be left")
            elif new != text:
                yield Change(image, path, text, new)


def apply(store: Store, what: str, changes: Iterable[Change]) -> Iterator[Change | Kept]:
    """Make these changes as one edit; yield each, or why it was not made.

    `what` is the edit in words. `changes` come from `preview`, perhaps some time ago.
    """
    edit: EditId | None = None
    failed: list[str] = []
    for chunk in chunks(changes, _AT_ONCE):
        still = [change for change in chunk if _holds(change.sidecar, change.old)]
        if still and edit is None:
            edit = store.write(edits.begin, what, now_ms())
        if still and edit is not None:
            rows = [(c.image, c.sidecar, c.old, c.new) for c in still]
            store.write(edits.record, edit, rows, now_ms())
        written = dict(zip(still, _write((c.sidecar, c.new) for c in still), strict=True))
        failed += [change.sidecar for change, error in written.items() if error is not None]
        for change in chunk:
            yield _made(change, written.get(change, _CHANGED))
    if edit is not None and failed:
        store.write(edits.forget, edit, failed)


def undo(
    store: Store, edit_id: int | None = None, on_found: Callable[[Edit], bool] = lambda _: True
) -> Iterator[Change | Kept]:
    """Take back an edit, or the last one; yield each caption that got its old text again.

    `on_found` is told which edit it is, and may refuse. Where a file cannot be written the edit is
    not undone yet: the same again takes back the rest.

    Raises:
        UsageError: there is no such edit, or it is undone already.
    """
    edit = store.read(edits.find, None if edit_id is None else EditId(edit_id))
    if edit is None:
        raise UsageError(
            "There is no edit to undo." if edit_id is None else f"There is no edit {edit_id}.",
            hint="captiv caption history lists them.",
        )
    if edit.undone_ms is not None:
        raise UsageError(f"Edit {edit.id} is undone already.")
    if not on_found(edit):
        return
    if not (yield from _undone(store, edit.id)):
        store.write(edits.undone, edit.id, now_ms())


def _undone(store: Store, edit: EditId) -> Generator[Change | Kept, None, bool]:
    """Yield what comes of each caption; return whether a file could not be written."""
    after, failed = 0, False
    while chunk := store.read(edits.changes, edit, after, _AT_ONCE):
        after = chunk[-1].id
        backs = [Change(c.image, c.sidecar, c.new, c.old) for c in chunk]
        still = [back for back in backs if _holds(back.sidecar, back.old)]
        written = dict(zip(still, _write((c.sidecar, c.new) for c in still), strict=True))
        failed |= any(written.values())
        for back in backs:
            if not _holds(back.sidecar, back.new) or back in written:
                yield _made(back, written.get(back, _CHANGED))
    return failed


_CHANGED = SidecarError("its caption was changed meanwhile")


def _made(change: Change, result: SidecarError | None) -> Change | Kept:
    return change if result is None else Kept(change.image, result.message)


def _write(texts: Iterable[tuple[str, str]]) -> list[SidecarError | None]:
    items = [sidecar.Sidecar(path, text, replace=True) for path, text in texts]
    results = sidecar.write_many(items)
    return [result if isinstance(result, SidecarError) else None for result in results]


def _holds(path: str, text: str) -> bool:
    """Whether the sidecar holds this text, but for what an editor does to a file's end."""
    there = read(path)
    return isinstance(there, str) and content_hash(there) == content_hash(text)
