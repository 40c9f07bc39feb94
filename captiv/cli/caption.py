"""`captiv caption`: generate captions, and look after the sidecars that hold them.

A text that is replaced or removed here is in the store first, so an image's history survives; one
that is set here counts as edited by hand, and no run replaces it unless it is told to.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captiv.cli import show
from captiv.cli.invocation import current, everywhere
from captiv.cli.lazy import STYLE, Lazy, lazy_group
from captiv.cli.nothing import no_images
from captiv.errors import SidecarError, UsageError
from captiv.exits import ExitCode, in_words

if TYPE_CHECKING:
    from captiv.editing import Place, Sidecars

_GENERATE = Lazy("captiv.cli.generate:generate", "Write a caption beside every image.", in_words())

_EDITS = {
    "replace": Lazy("captiv.cli.edits:replace", "Change many captions at once; shows them first."),
    "history": Lazy("captiv.cli.edits:history", "Show what an image's caption was before."),
    "undo": Lazy("captiv.cli.edits:undo", "Take back the last change, or a whole edit."),
}

app = typer.Typer(cls=lazy_group({"generate": _GENERATE, **_EDITS}), **STYLE)

Image = Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The current folder if none.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders below, too.")]
Extension = Annotated[str | None, typer.Option(help="Extension of sidecars (.txt).")]
SidecarName = Annotated[
    str | None, typer.Option(metavar="stem|full", help="a.jpg has a.txt, or a.jpg.txt.")
]

OutputDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where `generate --output-dir DIR` put the sidecars."),
]


@app.command("list")
@everywhere
def list_(
    folder: Folder = Path(),
    recursive: Recursive = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """List images and their captions."""
    troubles: list[str] = []
    found = _captions(
        sidecars_of(extension, sidecar_name, output_dir, folder), folder, recursive, troubles
    )
    if json:
        for image, caption in found:
            show.json_line({"path": image, "caption": caption})
    else:
        rows = ((short(image), text and text.strip()) for image, text in found)
        show.table(("Image", "Caption"), rows)
    tell(troubles)


@app.command()
@everywhere
def get(
    image: Image,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Print the caption of one image; exit 1 if it has none."""
    from captiv.output import sidecar

    text = sidecar.read(place_of(image_file(image), extension, sidecar_name, output_dir).sidecar)
    if text is None:
        show.say(f"captiv: {show.visible(image)} has no caption.")
        raise typer.Exit(ExitCode.LACKING)
    if sys.stdout.isatty():
        text = "\n".join(show.visible(part) for part in text.splitlines())
    show.line(text.removesuffix("\n"))


@app.command("set")
@everywhere
def set_(
    image: Image,
    caption: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Write the caption of one image; no run replaces it unless told to."""
    from captiv.editing import put
    from captiv.output.sidecar import make_folder

    path = image_file(image)
    place = place_of(path, extension, sidecar_name, output_dir)
    text = _checked(sys.stdin.read().removesuffix("\n") if caption == "-" else caption)
    if output_dir is not None:
        make_folder(os.path.dirname(place.sidecar))
    with current().store() as store:
        put(store, place, text)


@app.command()
@everywhere
def unset(
    image: Image,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Remove the caption of one image; its text stays in captiv's history."""
    path = image_file(image)
    place = place_of(path, extension, sidecar_name, output_dir)
    from captiv.editing import drop

    with current().store() as store:
        if not drop(store, place):
            show.note(f"{show.visible(image)} has no caption.")


@app.command()
@everywhere
def clear(
    folder: Folder = Path(),
    recursive: Recursive = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    extension: Extension = None,
    sidecar_name: SidecarName = None,
    output_dir: OutputDir = None,
) -> None:
    """Remove the captions of a folder's images; `captiv caption undo` restores them all."""
    from captiv.cli.bulk import BulkChange, captioned
    from captiv.editing import bulk

    work = BulkChange()
    sidecars = sidecars_of(extension, sidecar_name, output_dir, folder)
    places = captioned(sidecars, folder, recursive, work.troubles)
    where = f"{'in and below' if recursive else 'in'} {show.visible(folder.absolute())}"
    changes = work.looked(bulk.removal(places))
    if changes:
        question = f"Remove {show.plural(len(changes), 'caption')} {where}?"
        if not show.confirm(question, yes=yes):
            raise typer.Exit(ExitCode.LACKING)
        with current().store() as store:
            what = f"captions {where} removed"
            results = bulk.apply(store, what, changes, stopped=lambda: work.stopped)
            removed = work.done(results, len(changes), "removing")
        work.end(f"{show.plural(removed, 'caption')} removed", removed)
    else:
        show.note(f"there are no captions {where}.")
    tell(work.troubles)


def sidecars_of(
    extension: str | None,
    sidecar_name: str | None,
    output_dir: Path | None,
    folder: Path,
) -> "Sidecars":
    """Return where captions are looked for, of images in or below a folder."""
    from captiv.editing import Sidecars

    mirror = None if output_dir is None else (str(output_dir), str(folder.absolute()))
    return Sidecars(current().settings(), extension, sidecar_name, mirror=mirror)


def place_of(
    image: str, extension: str | None, sidecar_name: str | None, output_dir: Path | None
) -> "Place":
    """Return an image and its sidecar.

    In a folder that mirrors others that is the one that captiv wrote last, else one that is there:
    the image alone does not tell which folder was mirrored.
    """
    from captiv.core.mirror import candidates
    from captiv.core.naming import Place
    from captiv.output.mirror import existing
    from captiv.store import captions

    place = sidecars_of(extension, sidecar_name, None, Path(image).parent).place(image)
    if output_dir is None:
        return place
    directory = os.path.abspath(output_dir.expanduser())  # noqa: PTH100 - as `generate` does
    possible = candidates(place.sidecar, directory)
    with current().queue() as store:
        known = None if store is None else store.read(captions.last_sidecar, image, possible)
    return Place(image, known or existing(possible[::-1]) or possible[0])


def places_in(
    sidecars: "Sidecars", folder: Path, recursive: bool, troubles: list[str]
) -> Iterator[tuple["Place", bool]]:
    """Yield each image of the folder with its sidecar, and whether that is there."""
    from captiv.core.naming import spellings
    from captiv.images.find import find, require_folder
    from captiv.output.mirror import sidecar_names

    require_folder(folder)
    for found in find([folder], recursive=recursive):
        troubles.extend(f"{show.visible(p.path)} {p.reason}." for p in found.problems)
        names = sidecar_names(found, sidecars.output)
        for image in found.images:
            place = sidecars.place(image)
            name = os.path.basename(place.sidecar)
            yield place, any(other in names for other in spellings(name))


def _captions(
    sidecars: "Sidecars", folder: Path, recursive: bool, troubles: list[str]
) -> Iterator[tuple[str, str | None]]:
    from captiv.output import sidecar

    empty = True
    for (image, path), there in places_in(sidecars, folder, recursive, troubles):
        empty = False
        try:
            yield image, sidecar.read(path) if there else None
        except SidecarError as error:
            troubles.append(error.message)
    if empty and not troubles:
        show.note(no_images([str(folder.absolute())], recursive=recursive))


def image_file(image: Path) -> str:
    """Return the path under which the store knows this image.

    Raises:
        UsageError: it is no image file.
    """
    from captiv.core.naming import is_image_name

    if not image.is_file():
        raise UsageError(f"There is no image {show.visible(image)}.")
    if not is_image_name(image.name):
        raise UsageError(f"{show.visible(image)} is not an image that captiv knows.")
    return os.path.abspath(image)  # noqa: PTH100


def _checked(text: str) -> str:
    from captiv.core.texts import is_blank

    if is_blank(text):
        raise UsageError("The caption is empty.", hint="captiv caption unset IMAGE removes one.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError("The caption is not UTF-8 text.") from error
    return text


def tell(troubles: list[str]) -> None:
    """Say what was left out, and end with 1 if there is any."""
    for trouble in troubles:
        show.say(f"captiv: {trouble}")
    if troubles:
        raise typer.Exit(ExitCode.LACKING)


def short(path: str) -> str:
    """Return the path from the current folder, if it is below."""
    return path.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118
