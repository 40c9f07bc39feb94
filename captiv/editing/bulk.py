"""One change to many captions: looked at first, then made, and undone as a whole.

Only captions that are there are changed or removed, in the encoding that they have. What is
replaced and what replaces it are in the store before the file changes. A caption that somebody
changed in the meantime stays as it is, when an edit is made and when it is undone.

Chunk by chunk the store is written, then the files, and they are on the disk when their changes are
yielded, or the change says that they are not yet: it is made all the same. No lock is held while
the disk is waited for. What was made when an edit was stopped, or captiv died, is an edit that can
be undone.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from captiv.clock import now_ms
from captiv.core.edits import BulkEdit
from captiv.core.naming import Place
from captiv.core.texts import Content, content_hash, data_of, is_blank, text_of
from captiv.editing.sidecars import chunks, look
from captiv.errors import SidecarError, UsageError
from captiv.output import sidecar
from captiv.output.sidecar import CHANGED, Swap
from captiv.store import Store, edits, standings
from captiv.store.edits import Edit, EditId

_AT_ONCE = 256
"""Changes in one transaction: each costs one wait for the disk, during which nothing is written."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit makes of one caption."""

    image: str
    sidecar: str
    old: str | None
    new: str | None
    """None if it is removed."""
    unsafe: str | None = None
    """Why a power cut may still take the change away, though it was made."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A caption that was left as it is, and why."""

    image: str
    reason: str


def preview(edit: BulkEdit, places: Iterable[Place]) -> Iterator[Change | Kept]:
    """Yield what the edit would change; captions that it leaves as they are, are left out."""
    for image, path in places:
        held = look(path)
        if isinstance(held, SidecarError):
            yield Kept(image, held.message)
        elif held is not None:
            new = edit.of(held.text)
            if new == held.text:
                continue
            refused = _refused(path, held, new)
            yield Kept(image, refused) if refused else Change(image, path, held.text, new)


def removal(places: Iterable[Place]) -> Iterator[Change | Kept]:
    """Yield the captions that there are, as changes that remove them."""
    for image, path in places:
        held = look(path)
        if isinstance(held, SidecarError):
            yield Kept(image, held.message)
        elif held is not None:
            yield Change(image, path, held.text, None)


def apply(
    store: Store,
    what: str,
    changes: Iterable[Change],
    *,
    on_begun: Callable[[EditId], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Change | Kept]:
    """Make these changes as one edit; yield each, or why it was not made.

    `what` is the edit in words. `changes` come from `preview` or `removal`, perhaps some time ago.
    `on_begun` is told which edit it is, before the first change. `stopped` is asked between chunks
    whether that was all.
    """
    edit: EditId | None = None
    try:
        for chunk in chunks(changes, _AT_ONCE):
            if stopped():
                return
            steps = [_step(change) for change in chunk]
            if edit is None and any(isinstance(step, _Step) for step in steps):
                edit = store.write(edits.begin, what, now_ms())
                on_begun(edit)
            yield from _made(store, edit, chunk, steps)
    finally:
        if edit is not None:
            store.write(edits.close, edit)


def to_undo(store: Store, edit_id: EditId | None = None) -> Edit:
    """Return the edit of this id, or the last one, if it can be undone.

    Raises:
        UsageError: there is no such edit, or it is undone already.
    """
    edit = store.read(edits.find, edit_id)
    if edit is None:
        raise UsageError(
            "There is no edit to undo." if edit_id is None else f"There is no edit {edit_id}.",
            hint="captiv caption history lists them.",
        )
    if edit.undone_ms is not None:
        raise UsageError(f"Edit {edit.id} is undone already.")
    return edit


def undo(
    store: Store, edit_id: EditId | None = None, *, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Change | Kept]:
    """Take back an edit, or the last one; yield each caption that got its old text again.

    Where a file cannot be written, or `stopped` says between chunks that it is to end, the edit is
    not undone yet: the same again takes back the rest.

    Raises:
        UsageError: as `to_undo`.
    """
    edit = to_undo(store, edit_id)
    after, whole = 0, True
    while chunk := store.read(edits.changes, edit.id, after, _AT_ONCE):
        if stopped():
            return
        after = chunk[-1].id
        for result, failed in _taken_back(store, chunk):
            whole = whole and not failed
            yield result
    if whole:
        store.write(edits.undone, edit.id, now_ms())


@dataclass(frozen=True, slots=True)
class _Step:
    """What a sidecar holds, and what it shall hold."""

    old: Content
    new: Content | None


def _step(change: Change) -> _Step | SidecarError:
    """Return how a change is made to the file as it is now, or why it is not."""
    held = look(change.sidecar)
    if isinstance(held, SidecarError):
        return held
    if held is None or change.old is None or content_hash(held.text) != content_hash(change.old):
        return CHANGED
    if change.new is None:
        return _Step(held, None)
    refused = _refused(change.sidecar, held, change.new)
    return SidecarError(refused) if refused else _Step(held, held.with_text(change.new))


def _made(
    store: Store,
    edit: EditId | None,
    chunk: Sequence[Change],
    steps: Sequence[_Step | SidecarError],
) -> Iterator[Change | Kept]:
    todo = [(c, s) for c, s in zip(chunk, steps, strict=True) if isinstance(s, _Step)]
    errors: dict[int, SidecarError] = {}
    if edit is not None and todo:
        rows = [(Place(c.image, c.sidecar), s.old, s.new) for c, s in todo]
        stood = store.write(edits.record, edit, rows, now_ms())
        swaps = [Swap(c.sidecar, s.old.data, data_of(s.new)) for c, s in todo]
        results = _written(store, swaps, stood)
        errors = {id(c): e for (c, _), e in zip(todo, results, strict=True) if e is not None}
    for change, step in zip(chunk, steps, strict=True):
        error = step if isinstance(step, SidecarError) else errors.get(id(change))
        yield _result(change, error)


def _taken_back(
    store: Store, chunk: Sequence[edits.Change]
) -> Iterator[tuple[Change | Kept, bool]]:
    """Yield what comes of each caption, and whether its file could not be written."""
    found = [look(change.place.sidecar) for change in chunk]
    todo = [
        (change, held)
        for change, held in zip(chunk, found, strict=True)
        if not isinstance(held, SidecarError) and _same(held, change.new)
    ]
    errors: dict[int, SidecarError | None] = {}
    if todo:
        stood = store.write(edits.take_back, todo, now_ms())
        swaps = [Swap(c.place.sidecar, data_of(h), c.old.data) for c, h in todo]
        results = _written(store, swaps, stood)
        errors = {c.id: error for (c, _), error in zip(todo, results, strict=True)}
    for change, held in zip(chunk, found, strict=True):
        image = change.place.image
        if change.id in errors:
            error = errors[change.id]
            new = text_of(change.new)
            back = Change(image, change.place.sidecar, new, change.old.text)
            result = _result(back, error)
            yield result, isinstance(result, Kept) and error is not CHANGED
        elif isinstance(held, SidecarError):
            yield Kept(image, held.message), True
        elif not _same(held, change.old):  # else it was never made, or is taken back already
            yield Kept(image, CHANGED.message), False


def _result(change: Change, error: SidecarError | None) -> Change | Kept:
    if error is None:
        return change
    if error.taken:
        return replace(change, unsafe=error.message)
    return Kept(change.image, error.message)


def _written(
    store: Store, swaps: Sequence[Swap], stood: Sequence[int]
) -> list[SidecarError | None]:
    """Change these files; what the store says of those that could not be, is taken back."""
    results = sidecar.swap_many(swaps)
    failed = [row for row, error in zip(stood, results, strict=True) if error and not error.taken]
    if failed:
        store.write(standings.forget, failed)
    return results


def _refused(path: str, held: Content, new: str) -> str | None:
    """Say why the caption in this file cannot become this text."""
    if is_blank(new):
        return "nothing of its caption would be left"
    if held.encoding is None:
        return "it is broken text, which an edit would not keep"
    if held.with_text(new) is None:
        codec = held.encoding.codec
        return f"it is not UTF-8, and its encoding ({codec}) lacks a character of the new caption"
    if path.casefold().endswith(".json") and _is_json(held.text) and not _is_json(new):
        return "it would not be JSON any more"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _same(held: Content | None, text: Content | None) -> bool:
    """Whether a sidecar holds this text, but for what an editor does to a file's end."""
    if held is None or text is None:
        return held is text
    return content_hash(held.text) == content_hash(text.text)
