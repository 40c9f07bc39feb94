"""What a person on the page wants captioned, and how: from a request's body to a run's options.

Everything past this module is the command line's own: `captiv.request` makes the specification of
the run, with the same defaults and refusals.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request

from captiv.catalog import ModelChoice
from captiv.catalog.engines import EngineWish
from captiv.core.adding import Where
from captiv.core.spec import MAX_RETRIES, Fallback, Overwrite, RunSpec
from captiv.errors import UsageError
from captiv.gui.bodies import body_of
from captiv.gui.entry import Entry, FolderId, ImageId, parsed
from captiv.gui.listing import Filters, Show
from captiv.gui.problems import Gone
from captiv.gui.room import Room
from captiv.offload import offload
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings
from captiv.wire import Generation

_LONGEST_BYTES = 2_000_000
_MOST = 20_000
"""Images that are named one by one: each is a path in the run's row. A folder has no limit."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Worker = Literal["local", "runpod", "url"]


class Looked(BaseModel):
    """What the gallery shows: a folder and a filter."""

    model_config = ConfigDict(extra="forbid")

    folder: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None
    deep: bool = True
    show: Show = "all"
    text: Annotated[str, StringConstraints(max_length=200)] = ""


class Wish(BaseModel):
    """What is to be captioned and how; what is None, the settings and the model decide."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[str], Field(max_length=_MOST)] = []
    """Ids; with none, everything that `shown` shows."""
    shown: Looked = Looked()
    sample: Annotated[int, Field(ge=1, le=100)] | None = None
    """Only so many of them, spread evenly: the same ones for every model."""
    overwrite: Overwrite = "no"
    accept_truncated: bool = False
    add: Where | None = None
    save: bool = True
    one_line: bool | None = None

    model: Word | None = None
    variant: Word | None = None
    mode: Word | None = None
    length: Word | None = None
    prompt: Annotated[str, StringConstraints(max_length=20_000)] | None = None
    options: Annotated[list[Word], Field(max_length=100)] = []
    variables: dict[Word, Annotated[str, StringConstraints(max_length=2000)]] = {}
    generation: Generation = Generation()
    retries: Annotated[int, Field(ge=0, le=MAX_RETRIES)] | None = None
    dtype: Word | None = None
    engine: EngineWish | None = None
    """For workers that captiv starts, here or in pods."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None

    where: Worker = "local"
    gpu_type: Word | None = None
    pods: Annotated[int, Field(ge=1, le=100)] = 1
    max_cost: Word | None = None
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """The images that a wish is about, as far as the page knows them."""

    paths: tuple[Path, ...]
    """What the run is given: one folder, or files."""
    recursive: bool
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish as captiv understood it."""

    options: Options
    settings: Settings
    spec: RunSpec
    choice: ModelChoice
    extent: Extent


async def wish_of(request: Request) -> Wish:
    """Return what a request wishes for.

    Raises:
        UsageError: it is no wish.
    """
    wrong = "This cannot be captioned with: a value is missing or out of its bounds."
    return await body_of(request, Wish, most_bytes=_LONGEST_BYTES, wrong=wrong)


async def planned(room: Room, wish: Wish) -> Plan:
    """Return what would be done for a wish.

    Raises:
        UsageError: a model, mode, option or value that cannot be; or there is no image.
        Gone: an image is not there any more.
        WorkerError: a chat server was asked for its models and does not answer.
    """
    return await offload(_planned, room, wish)


def _planned(room: Room, wish: Wish) -> Plan:
    extent = _extent(room, wish)
    settings = _placed(wish, room.read_settings().settings)
    options = _options(wish, extent, settings)
    spec, choice = request(options, settings)
    return Plan(options, settings, spec, choice, extent)


def _extent(room: Room, wish: Wish) -> Extent:
    entries = _named(room, wish.images) if wish.images else _listed(room, wish.shown)
    if not entries:
        raise UsageError("There is no image here to caption.")
    if wish.sample is not None:
        entries = _spread(entries, wish.sample)
    elif not wish.images and _is_folder(wish):
        folder = room.album.folders[_folder(room, wish.shown)]
        return Extent((Path(folder.path),), wish.shown.deep, tuple(entries))
    if len(entries) > _MOST:
        raise UsageError(
            f"{len(entries):,} images are more than can be named one by one.",
            hint="Caption a folder without a search, or fewer images at once.",
        )
    return Extent(tuple(Path(entry.path) for entry in entries), False, tuple(entries))


def _is_folder(wish: Wish) -> bool:
    """Whether the wish is for a whole folder: new images in it, too, are meant then."""
    if wish.shown.text:
        return False
    missing = wish.overwrite == "no" and wish.add is None
    return wish.shown.show == "all" or (wish.shown.show == "without" and missing)


def _named(room: Room, ids: list[str]) -> list[Entry]:
    found = []
    for text in dict.fromkeys(ids):
        id = parsed(text)
        entry = None if id is None else room.album.entries.get(ImageId(id))
        if entry is None:
            raise Gone("An image is not there any more.", hint="Select again.")
        found.append(entry)
    return found


def _listed(room: Room, shown: Looked) -> list[Entry]:
    filters = Filters(_folder(room, shown), deep=shown.deep, show=shown.show, text=shown.text)
    entries = room.album.entries
    listing = room.listings.make(filters)
    return [entry for id in listing.ids if (entry := entries.get(ImageId(id))) is not None]


def _folder(room: Room, shown: Looked) -> FolderId:
    folder = room.album.top if shown.folder is None else FolderId(int(shown.folder, 16))
    if folder not in room.album.folders:
        raise Gone("This folder is not there any more.", hint="Choose another one.")
    return folder


def _spread(entries: list[Entry], count: int) -> list[Entry]:
    """Return so many of them, as far from each other as may be."""
    count = min(count, len(entries))
    return [entries[at * len(entries) // count] for at in range(count)]


def _placed(wish: Wish, settings: Settings) -> Settings:
    """Return the settings without the worker elsewhere if this machine is to caption."""
    if wish.where == "url" and settings.worker.url is None:
        raise UsageError("No worker is set.", hint="captiv config set worker.url URL")
    if wish.where != "local":
        return settings
    here = settings.worker.model_copy(update={"url": None})
    return settings.model_copy(update={"worker": here})


def _options(wish: Wish, extent: Extent, settings: Settings) -> Options:
    return Options(
        paths=extent.paths,
        recursive=extent.recursive,
        overwrite=wish.overwrite,
        accept_truncated=wish.accept_truncated,
        add=wish.add,
        save=wish.save,
        one_line=wish.one_line,
        model=wish.model,
        variant=wish.variant,
        mode=wish.mode,
        length=wish.length,
        prompt=wish.prompt,
        prompt_options=tuple(wish.options),
        prompt_variables=wish.variables,
        generation=wish.generation.model_dump(),
        retries=wish.retries,
        dtype=wish.dtype,
        engine=wish.engine,
        batch_size=None if wish.batch_size is None else str(wish.batch_size),
        **_rental(wish, settings),
    )


def _rental(wish: Wish, settings: Settings) -> dict[str, Any]:
    if wish.where != "runpod":
        return {}
    said = wish.fallback != settings.runpod.fallback  # the form shows what the settings say
    return {
        "runpod": True,
        "gpu_type": wish.gpu_type,
        "pods": wish.pods,
        "max_cost": wish.max_cost,
        "fallback": wish.fallback if said else None,
    }
