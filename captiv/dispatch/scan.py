"""From folders to jobs: the scan, in chunks, while captions are already being made.

What is no job is said at once: images whose sidecar is there are counted as skipped; sidecars that
were edited by hand are kept and named; images that would share a sidecar fail, all of them, because
captiv cannot know whose caption the file should hold; images that failed before, and would again,
fail without a try.

At the limit of its run the scan waits: an image that fails makes room for another one.
"""

import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from captiv.core.adding import obstacle
from captiv.core.jobs import Run, RunState
from captiv.core.keeping import Keeping, keeping
from captiv.core.naming import Place, collisions, spellings
from captiv.core.spec import Overwrite, RunSpec
from captiv.core.texts import Content, content_hash
from captiv.dispatch.events import Reporter
from captiv.dispatch.restoring import Restoring
from captiv.dispatch.retrying import untried
from captiv.errors import SidecarError, SidecarShared, SidecarUnreadable
from captiv.images.find import Folder, find
from captiv.offload import offload
from captiv.output import sidecar
from captiv.output.mirror import sidecar_names
from captiv.store import Connection, Store, adding, captions, ingest, past, runs
from captiv.store.captions import Known
from captiv.store.commit import commit
from captiv.store.past import FailedJob

_IGNORE_CASE = sys.platform in ("darwin", "win32")
_CHUNK = 2_000
_FIRST_CHUNK = 64
"""The first images are claimed while the rest are found."""
_LOOK_S = 0.1
"""How soon a scan that waits at its limit looks again."""


@dataclass(slots=True)
class Chunk:
    """What the scan found, sorted by what becomes of it."""

    wanted: list[Place] = field(default_factory=list)
    skipped: list[Place] = field(default_factory=list)
    there: list[tuple[Place, Content]] = field(default_factory=list)
    """With what the sidecar holds, where sidecars are to be overwritten or added to."""
    objects: list[tuple[Place, Place, Content]] = field(default_factory=list)
    """Of those of `there` and of the wanted that have the file of an object already: which file
    that is and what it holds, where not everything is to be replaced."""
    refused: list[tuple[Place, str, str]] = field(default_factory=list)
    kept: list[Place] = field(default_factory=list)
    """Of `there`, and of those with the file of an object: what is not captiv's to replace."""
    untried: list[FailedJob] = field(default_factory=list)
    """Of the wanted: what failed before, and would again."""
    unread: Counter[str] = field(default_factory=Counter)
    """How many files are no images that captiv reads, by kind."""
    order: dict[Place, int] = field(default_factory=dict)
    """Where in the chunk each image was found."""

    def __len__(self) -> int:
        """How many images were found."""
        return len(self.order)

    def found(self, place: Place) -> Place:
        """Note that this image was found, behind the others."""
        self.order.setdefault(place, len(self.order))
        return place

    def up_to(self, last: int) -> "Chunk":
        """Return the chunk without what was found behind `last`; -1 leaves nothing."""
        at = self.order
        return replace(
            self,
            wanted=[place for place in self.wanted if at[place] <= last],
            refused=[each for each in self.refused if at[each[0]] <= last],
            kept=[place for place in self.kept if at[place] <= last],
            untried=[job for job in self.untried if at[job.place] <= last],
        )


@dataclass(frozen=True, slots=True)
class _Added:
    """What became of a chunk."""

    full: bool
    """Whether the run's limit is reached."""
    cancelled: bool
    """Whether the run was set aside meanwhile."""
    skipped: int
    told: Chunk
    """What of the chunk lies within the limit, and was not told by a scan before this one."""


class Intake:
    """Scans for one run."""

    def __init__(
        self,
        store: Store,
        run: Run,
        reporter: Reporter,
        *,
        now_ms: Callable[[], int],
        on_added: Callable[[], None],
    ) -> None:
        self._store = store
        self._run = run
        self._reporter = reporter
        self._now_ms = now_ms
        self._on_added = on_added
        self._restoring = Restoring(store, run, reporter, now_ms=now_ms)

    async def scan(self) -> None:
        """Add every image that is asked for and has no caption yet.

        Sidecars of a run that goes on that are gone are written again. Ends early when the limit is
        reached, and when the run is cancelled.
        """
        if self._run.spec.selection.fixed:
            await self.restore()
        await self._add_found()
        if not self._run.spec.selection.fixed:
            self._restoring.tell()
        self._on_added()

    async def restore(self) -> None:
        """Only write sidecars again that are gone: which images there are is settled."""
        if not self._restoring.needed:
            return
        selection = self._run.spec.selection.only_missing
        async for chunk in self._found(self._run.spec.model_copy(update={"selection": selection})):
            await self._restoring.restore(chunk.wanted)
        self._restoring.tell()

    async def _add_found(self) -> None:
        skipped, unread = 0, Counter[str]()
        async for chunk in self._found(self._run.spec):
            if self._restoring.needed and not self._run.spec.selection.fixed:
                await self._restoring.restore(chunk.wanted)
            await self._sort(chunk)
            added = await self._add(chunk)
            if added.cancelled:
                return
            skipped += added.skipped
            unread += chunk.unread
            if added.full:
                break
        await commit(self._store, _close, self._run, skipped, unread)

    async def _found(self, spec: RunSpec) -> AsyncIterator[Chunk]:
        found = chunks(spec)
        limiter = anyio.CapacityLimiter(1)
        while (chunk := await offload(next, found, None, limiter=limiter)) is not None:
            yield chunk

    async def _sort(self, chunk: Chunk) -> None:
        """Take out of the wanted what is kept, and what failed before and would again."""
        chunk.kept = await self._store.aread(settle, chunk, self._run.spec)
        chunk.untried = await untried(self._store, self._run, chunk.wanted)
        places = {job.place for job in chunk.untried}
        chunk.wanted = [place for place in chunk.wanted if place not in places]

    async def _add(self, chunk: Chunk) -> _Added:
        """Add a chunk; at the limit of the run, wait for room for the rest of it."""
        while True:
            added = await commit(self._store, _add, self._run, chunk, self._now_ms())
            if added.cancelled:
                return added
            self._tell(added.told)
            self._on_added()
            if not added.full or not await self._has_room():
                return added

    async def _has_room(self) -> bool:
        """Wait at the limit; tell whether an image failed, so that another one may be captioned."""
        while True:
            run = await self._store.aread(runs.get, self._run.id)
            if not run.enqueued or run.state is not RunState.ACTIVE:
                return True
            if not run.counts.pending and not run.counts.running:
                return False
            await anyio.sleep(_LOOK_S)

    def _tell(self, chunk: Chunk) -> None:
        for place in chunk.kept:
            self._reporter.kept(place.image)
        for place, code, reason in chunk.refused:
            self._reporter.failed(place.image, code, reason)


def settle(conn: Connection, chunk: Chunk, spec: RunSpec) -> list[Place]:
    """Sort the sidecars of a chunk that are there, by what the store knows of them.

    Return the images whose sidecar is not captiv's to replace. Those to whose caption this one was
    added before are skipped, and the others become wanted.
    """
    if not (chunk.there or chunk.objects):
        return []
    adds = spec.adds()
    added = adding.already(conn, chunk.there, adds) if adds else set()
    places = [*(place for place, _ in chunk.there), *(file for _, file, _ in chunk.objects)]
    return settled(chunk, spec, captions.sources(conn, places), added)


def settled(
    chunk: Chunk,
    spec: RunSpec,
    known: Mapping[Place, Sequence[Known]],
    added: Collection[Place] = (),
) -> list[Place]:
    """Sort the sidecars of a chunk that are there; return and count them as `settle`.

    Args:
        chunk: what was found.
        spec: what is asked for.
        known: the earlier captions of these places, and of their objects.
        added: those to whose caption this one was added before.
    """
    kept = [] if spec.selection.add else _kept(chunk, known, spec.selection.overwrite)
    chunk.skipped += [place for place, _ in chunk.there if place in added]
    passed_over = {*added, *kept}
    wanted = [*chunk.wanted, *(place for place, _ in chunk.there)]
    chunk.wanted = [place for place in wanted if place not in passed_over]
    chunk.wanted.sort(key=chunk.order.__getitem__)
    return kept


def _kept(
    chunk: Chunk, known: Mapping[Place, Sequence[Known]], overwrite: Overwrite
) -> list[Place]:
    """Return the images of which a file is a person's, or an object's is another program's.

    A run that replaces nothing still writes the text beside an object of captiv's.
    """
    kept = set[Place]()
    for place, held in chunk.there:
        earlier = {k.hash: k.source for k in known.get(place, ())}
        if keeping(content_hash(held.text), earlier, overwrite) is Keeping.KEEP:
            kept.add(place)
    for place, file, held in chunk.objects:
        earlier = {k.hash: k.source for k in known.get(file, ())}
        found = keeping(content_hash(held.text), earlier, overwrite)
        if not earlier or (overwrite != "no" and found is Keeping.KEEP):
            kept.add(place)
    return sorted(kept, key=chunk.order.__getitem__)


def _add(conn: Connection, run: Run, chunk: Chunk, now_ms: int) -> _Added:
    """Add one chunk in one transaction, up to the limit of the run."""
    limit = run.spec.selection.limit
    ingest.add_jobs(conn, run.id, chunk.wanted, now_ms, limit=limit)
    now = runs.get(conn, run.id)
    full = limit is not None and now.counts.promised >= limit
    within = chunk.up_to(_last(conn, run, chunk)) if full else chunk
    known = _told(conn, run, within)
    ingest.add_kept(conn, run.id, within.kept, now_ms)
    ingest.add_failed(conn, run.id, within.refused, now_ms)
    past.add_untried(conn, run.id, within.untried, now_ms)
    return _Added(
        full=full,
        cancelled=now.state is RunState.CANCELLED,
        skipped=len(chunk.skipped) - len(ingest.known(conn, run.id, chunk.skipped)),
        told=replace(
            within,
            kept=[place for place in within.kept if place not in known],
            refused=[each for each in within.refused if each[0] not in known],
        ),
    )


def _last(conn: Connection, run: Run, chunk: Chunk) -> int:
    """Return where the last image of the chunk was found that is a job of the run; -1 if none is.

    What lies behind it nobody asked for, once the run's limit is reached.
    """
    known = ingest.known(conn, run.id, list(chunk.order))
    return max((chunk.order[place] for place in known), default=-1)


def _told(conn: Connection, run: Run, chunk: Chunk) -> set[Place]:
    """Return what of the kept and refused is in the run already."""
    places = [*chunk.kept, *(place for place, _, _ in chunk.refused)]
    return ingest.known(conn, run.id, places) if places else set()


def _close(conn: Connection, run: Run, skipped: int, unread: Mapping[str, int]) -> None:
    ingest.set_passed_over(conn, run.id, skipped, unread)
    ingest.mark_scanned(conn, run.id)


def chunks(spec: RunSpec) -> Iterator[Chunk]:
    """Yield what is found in chunks, the first one small. Only reads; belongs on a thread."""
    chunk, size = Chunk(), _FIRST_CHUNK
    roots = [Path(root) for root in spec.selection.roots]
    for folder in find(roots, recursive=spec.selection.recursive):
        sorting = _Sorting(folder, spec)
        chunk.unread.update(folder.unread)
        chunk.refused += [
            (chunk.found(spec.output.place_of(p.path)), p.code, f"It {p.reason}.")
            for p in folder.problems
        ]
        for image in folder.images:
            sorting.put(image, chunk)
            if len(chunk) >= size:
                yield chunk
                chunk, size = Chunk(), _CHUNK
    if len(chunk) or chunk.unread:
        yield chunk


class _Sorting:
    """Decides for each image of one folder what becomes of it."""

    def __init__(self, folder: Folder, spec: RunSpec) -> None:
        self._spec = spec
        self._names = sidecar_names(folder, spec.output)
        shared = collisions(folder.images, spec.output.sidecar_of, ignore_case=_IGNORE_CASE)
        self._shared = {image: images for images in shared.values() for image in images}

    def put(self, image: str, chunk: Chunk) -> None:
        """Put `image` where it belongs."""
        place = chunk.found(self._spec.output.place_of(image))
        if not self._spec.output.save:
            chunk.wanted.append(place)
            return
        path = place.sidecar
        listed = all(map(self._lists, self._spec.files_of(image)))
        there = listed and all(map(sidecar.has_text, self._spec.files_of(image)))
        selection = self._spec.selection
        if there and selection.skips_captioned:
            chunk.skipped.append(place)
        elif image in self._shared:
            chunk.refused.append(
                (place, SidecarShared.code, _shared(image, self._shared[image], path))
            )
        elif listed and selection.add is not None:
            _put_addition(place, chunk)
        elif there and selection.overwrite == "yes" and (held := _held(path)) is not None:
            chunk.there.append((place, held))
            self._put_object(place, chunk)
        else:
            chunk.wanted.append(place)
            self._put_object(place, chunk)

    def _put_object(self, place: Place, chunk: Chunk) -> None:
        """Note what the file of the image's object holds, if it is there and may have to stay."""
        path = self._spec.object_of(place.image)
        if path is None or self._spec.selection.overwrite == "all" or not self._lists(path):
            return
        if (held := _held(path)) is not None:
            chunk.objects.append((place, Place(place.image, path), held))

    def _lists(self, path: str) -> bool:
        """Whether the folder's listing names this sidecar, which asks the disk nothing."""
        name = os.path.basename(path)
        return name in self._names or any(other in self._names for other in spellings(name))


def _shared(image: str, images: Sequence[str], path: str) -> str:
    others = ", ".join(os.path.basename(other) for other in images if other != image)
    return f"{os.path.basename(path)} would belong to {others} as well: use --sidecar-name full."


def _put_addition(place: Place, chunk: Chunk) -> None:
    """Put an image where it belongs whose caption is to be added to the one that is there."""
    try:
        held = sidecar.look(place.sidecar)
    except SidecarError as error:
        chunk.refused.append((place, SidecarUnreadable.code, _sentence(error.message)))
        return
    if held is None:
        chunk.wanted.append(place)
    elif held.encoding is None:
        why = f"cannot add to {place.sidecar}: {obstacle(held)}"
        chunk.refused.append((place, SidecarUnreadable.code, _sentence(why)))
    else:
        chunk.there.append((place, held))


def _held(path: str) -> Content | None:
    """Return what a sidecar holds; None if it cannot be read, which writing it will find out."""
    try:
        return sidecar.look(path)
    except SidecarError:
        return None


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
