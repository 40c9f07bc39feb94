"""`captiv caption replace | history | undo`: change many captions at once, and go back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captiv.cli import show
from captiv.cli.caption import (
    Extension,
    Folder,
    OutputDir,
    Recursive,
    SidecarName,
    image_file,
    place_of,
    short,
    sidecars_of,
    tell,
)
from captiv.cli.invocation import current
from captiv.core.edits import BulkEdit
from captiv.editing import Change
from captiv.exits import ExitCode

if TYPE_CHECKING:
    from captiv.editing.history import Past

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_SHOWN = 10
"""Changes that are shown before the question."""


def replace(
    folder: Folder = Path(),
    find: Annotated[str | None, typer.Option(metavar="TEXT", help="What to look for.")] = None,
    with_: Annotated[
        str,
        typer.Option("--with", metavar="TEXT", help="What stands there then; nothing if left out."),
    ] = "",
    regex: Annotated[bool, typer.Option("--regex", help="TEXT is a regular expression.")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="A is a.")] = False,
    whole_words: Annotated[
        bool, typer.Option("--whole-words", "-w", help="No parts of words.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Put in front where it is missing.")] = "",
    suffix: Annotated[str, typer.Option(help="Put behind where it is missing.")] = "",
    trigger_word: Annotated[
        str, typer.Option(metavar="WORD", help="Put first, with a comma, where it is missing.")
    ] = "",
    recursive: Recursive = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
    yes: Yes = False,
    json: Json = False,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Change many captions at once; the changes are shown first, and `undo` takes all back.

    Ten are shown before the question; `--dry-run` and `--json` show every one. Captions that are
    changed so count as edited by hand: no run replaces them unless told to.
    """
    from captiv.cli.bulk import BulkChange, captioned
    from captiv.editing import bulk

    edit = BulkEdit(
        find, with_, regex, ignore_case, whole_words, prefix, suffix, trigger_word
    ).checked()
    work = BulkChange()
    sidecars = sidecars_of(extension, sidecar_name, output_dir, folder)
    places = captioned(sidecars, folder, recursive, work.troubles)
    changes = work.looked(bulk.preview(edit, places))
    _show_all(changes, len(changes) if dry_run or json else _SHOWN, json=json)
    if not changes:
        show.note("there is nothing to change.")
    elif not dry_run:
        if not show.confirm(f"Change {show.plural(len(changes), 'caption')}?", yes=yes):
            raise typer.Exit(ExitCode.LACKING)
        with current().store() as store:
            results = bulk.apply(store, edit.in_words(), changes, stopped=lambda: work.stopped)
            made = work.done(results, len(changes), "changing")
        work.end(f"{show.plural(made, 'caption')} changed", made)
    tell(work.troubles)


def history(
    image: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="All edits of many captions if none.")
    ] = None,
    json: Json = False,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Show what an image's caption was before, and by whom; without one, the edits of many."""
    if image is None:
        _show_edits(json=json)
        return
    from captiv.editing.history import past

    path = image_file(image)
    place = place_of(path, extension, sidecar_name, output_dir)
    with current().store() as store:
        found = past(store, place)
    if json:
        for index, text in enumerate(found.texts):
            show.json_line(_as_json(found, index, text.text))
        return
    if not found.texts:
        show.note(f"captiv knows no earlier caption of {show.visible(image)}.")
    rows = [
        (
            "*" if index == found.current else "",
            text.id,
            show.when(text.created_ms),
            _who(found, index),
            text.prompt or "",
            text.text.strip(),
        )
        for index, text in enumerate(found.texts)
    ]
    show.table(("", "Text", "When", "By", "Prompt", "Caption"), rows, right=(1,))


def undo(
    image: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="The last edit of many if none.")
    ] = None,
    to: Annotated[
        int | None, typer.Option(metavar="TEXT", help="Number of a text in the image's history.")
    ] = None,
    edit: Annotated[
        int | None, typer.Option(metavar="EDIT", help="Number of an edit of many captions.")
    ] = None,
    yes: Yes = False,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Go back to the caption before, or take back a whole edit; asks before the latter."""
    from captiv.editing.history import undo as go_back
    from captiv.errors import UsageError

    if image is None:
        if to is not None:
            raise UsageError(
                "--to is a text of one image.", hint="captiv caption undo IMAGE --to N"
            )
        _undo_edit(edit, yes=yes)
        return
    if edit is not None:
        raise UsageError("An edit is undone as a whole.", hint="captiv caption undo --edit N")
    path = image_file(image)
    place = place_of(path, extension, sidecar_name, output_dir)
    with current().store() as store:
        show.note(f"{show.visible(image)}: {show.visible(go_back(store, place, to).strip())}")


def _undo_edit(number: int | None, *, yes: bool) -> None:
    from captiv.cli.bulk import BulkChange
    from captiv.editing import bulk
    from captiv.store.edits import EditId

    work = BulkChange()
    with current().store() as store:
        edit = bulk.to_undo(store, None if number is None else EditId(number))
        changed = show.plural(edit.changes, "caption")
        if not show.confirm(f"Undo edit {edit.id} ({edit.what}; {changed})?", yes=yes):
            raise typer.Exit(1)
        results = bulk.undo(store, edit.id, stopped=lambda: work.stopped)
        back = work.done(results, edit.changes, "putting back")
    rest = f"captiv caption undo --edit {edit.id} puts back the rest" if work.stopped else ""
    work.end(f"{show.plural(back, 'caption')} put back", back, rest)
    tell(work.troubles)


def _show_edits(*, json: bool) -> None:
    from captiv.store import edits

    with current().queue() as store:
        if store is None:
            return
        found = store.read(edits.recent)
    if json:
        for edit in found:
            show.json_line(
                {"edit": edit.id, "what": edit.what, "captions": edit.changes}
                | {"created_ms": edit.created_ms, "undone_ms": edit.undone_ms}
            )
        return
    rows = [
        (e.id, show.when(e.created_ms), e.changes, e.what, "undone" if e.undone_ms else "")
        for e in found
    ]
    show.table(("Edit", "When", "Captions", "What", ""), rows, right=(0, 2))


def _show_all(changes: Sequence[Change], most: int, *, json: bool) -> None:
    for change in changes[:most]:
        _show(change, json=json)
    if len(changes) > most:
        show.line(f"and {len(changes) - most:,} more; --dry-run shows all")


def _show(change: Change, *, json: bool) -> None:
    if json:
        show.json_line({"path": change.image, "old": change.old, "new": change.new})
        return
    show.line(show.visible(short(change.image)))
    show.line(f"- {show.visible((change.old or '').strip())}")
    show.line(f"+ {show.visible((change.new or '').strip())}")


def _who(found: "Past", index: int) -> str:
    text = found.texts[index]
    if text.source == "model":
        return text.variant or text.model or "a model"
    return "hand" if text.source == "hand" else "found there"


def _as_json(found: "Past", index: int, text: str) -> dict[str, object]:
    row = found.texts[index]
    return {
        "id": row.id,
        "current": index == found.current,
        "created_ms": row.created_ms,
        "source": row.source,
        "model": row.model,
        "variant": row.variant,
        "prompt": row.prompt,
        "seed": row.seed,
        "text": text,
    }
