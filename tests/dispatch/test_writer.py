"""Texts on their way into sidecars: what is written, what is kept, and what the store is told."""

from pathlib import Path

import anyio
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import Job, Run, Unwritten
from captiv.core.spec import Output
from captiv.dispatch.writer import Writer
from captiv.editing import undo
from captiv.errors import SidecarError
from captiv.output.sidecar import Written
from captiv.store import captions, jobs
from tests.world import World, read


def writer(world: World) -> Writer:
    return Writer(world.store, spec_of=world.specs.__getitem__, now_ms=now_ms)


async def claimed(world: World, run: Run) -> list[Job]:
    return await world.store.awrite(jobs.claim, run.id, 100, world.session, now_ms())


async def put(world: World, jobs: list[Job], text: str = "a dog") -> list[Written | SidecarError]:
    """Write the same text for each of these jobs."""
    items = [
        Unwritten(job.id, job.run_id, job.attempt, job.path, job.sidecar, text) for job in jobs
    ]
    return await writer(world).put(items)


def beside(path: str) -> Path:
    return Path(path).with_suffix(".txt")


async def test_each_text_is_in_its_sidecar_when_put_returns(world: World) -> None:
    paths = await world.pictures(3)
    run = await world.enqueue(*paths)

    results = await put(world, await claimed(world, run))

    assert results == [Written.WRITTEN] * 3
    assert [await read(beside(path)) for path in paths] == ["a dog"] * 3


async def test_a_sidecar_that_cannot_be_written_is_told_and_its_neighbours_are(
    world: World,
) -> None:
    paths = await world.pictures(3)
    run = await world.enqueue(*paths)
    await to_thread.run_sync(beside(paths[1]).mkdir)

    first, second, third = await put(world, await claimed(world, run))

    assert isinstance(second, SidecarError)
    assert (first, third) == (Written.WRITTEN, Written.WRITTEN)
    assert await read(beside(paths[2])) == "a dog"


async def test_texts_of_a_run_that_saves_nothing_count_as_written(world: World) -> None:
    saving = await world.enqueue(await world.picture("a.png"))
    path = await world.picture("b.png")
    silent = await world.enqueue(path, spec=world.spec(output=Output(save=False)))

    results = await put(world, [*await claimed(world, silent), *await claimed(world, saving)])

    assert results == [Written.WRITTEN] * 2
    assert await read(beside(path)) is None
    assert await read(world.folder / "a.txt") == "a dog"


async def test_a_text_that_is_there_is_kept_unless_it_may_be_replaced(world: World) -> None:
    path = await world.picture("a.png")
    run = await world.enqueue(path)
    await anyio.Path(beside(path)).write_text("mine")

    assert await put(world, await claimed(world, run)) == [Written.KEPT]
    assert await read(beside(path)) == "mine"


async def test_a_strangers_text_that_is_replaced_is_in_the_history_first(world: World) -> None:
    path = await world.picture("a.png")
    run = await world.enqueue(path, spec=world.spec(overwrite="yes"))
    await anyio.Path(beside(path)).write_text("a stranger's")

    (job,) = await claimed(world, run)
    assert await put(world, [job]) == [Written.WRITTEN]
    assert await read(beside(path)) == "a dog"
    (earlier,) = await world.store.aread(captions.history, job.place)
    assert (earlier.text, earlier.source) == ("a stranger's", "import")


async def test_the_bytes_of_a_replaced_text_come_back(world: World) -> None:
    """Text of an encoding that captiv can only guess."""
    path = await world.picture("a.png")
    run = await world.enqueue(path, spec=world.spec(overwrite="yes"))
    await anyio.Path(beside(path)).write_bytes(b"ein Hund \xfcber\r\n")

    (job,) = await claimed(world, run)
    await put(world, [job])
    assert await read(beside(path)) == "a dog"
    await to_thread.run_sync(undo, world.store, job.place)

    assert await anyio.Path(beside(path)).read_bytes() == b"ein Hund \xfcber\r\n"


async def test_a_blank_sidecar_is_written_over(world: World) -> None:
    path = await world.picture("a.png")
    run = await world.enqueue(path)
    await anyio.Path(beside(path)).write_bytes(b"\0" * 64)

    assert await put(world, await claimed(world, run)) == [Written.WRITTEN]
    assert await read(beside(path)) == "a dog"
