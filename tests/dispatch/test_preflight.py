"""Before a pod is paid for: whether there is an image whose caption can be had and written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from captiv.clock import now_ms
from captiv.core.jobs import Run
from captiv.core.spec import Output
from captiv.dispatch.preflight import Preflight
from captiv.dispatch.preparation import Preparation
from captiv.dispatch.queue import QueueContext
from captiv.errors import SidecarError
from captiv.store import jobs
from tests.editing.conftest import sealed
from tests.world import World


@asynccontextmanager
async def preflight(world: World, *runs: Run) -> AsyncIterator[Preflight]:
    """Have a look at these runs; failures are committed at the end."""
    async with (
        Preparation(world.folder.parent / "preparing") as preparation,
        anyio.create_task_group() as tg,
    ):
        completer = world.completer()
        tg.start_soon(completer.run)
        queue = QueueContext(world.store, preparation, completer, world.told, world.specs, now_ms)
        claims = world.claims()
        claims.serve([run.id for run in runs])
        yield Preflight(queue, claims, paid=True)
        await completer.settled()
        await claims.give_back()
        tg.cancel_scope.cancel()


async def looked(world: World, *runs: Run) -> bool:
    async with preflight(world, *runs) as look:
        return await look.look()


async def test_an_image_that_can_be_had_goes_back_uncharged(world: World) -> None:
    run = await world.enqueue(*await world.pictures(3))

    assert await looked(world, run)

    again = await world.store.awrite(jobs.claim, run.id, 9, world.session, now_ms())
    assert [(job.tries, job.crashes, job.suspect) for job in again] == [(0, 0, False)] * 3


async def test_images_that_cannot_be_read_fail_and_cost_no_pod(world: World) -> None:
    paths = []
    for name in ("a.png", "b.png"):
        await anyio.Path(world.folder / name).write_bytes(b"no picture")
        paths.append(str(world.folder / name))
    run = await world.enqueue(*paths)

    assert not await looked(world, run)

    assert (await world.counts(run)).failed == 2
    assert world.told.failures == dict.fromkeys(paths, "image_unreadable")


async def test_one_that_cannot_be_read_does_not_hide_a_good_one_behind_it(world: World) -> None:
    await anyio.Path(world.folder / "a.png").write_bytes(b"no picture")
    run = await world.enqueue(str(world.folder / "a.png"), await world.picture("b.png"))

    assert await looked(world, run)

    counts = await world.counts(run)
    assert (counts.failed, counts.pending) == (1, 1)


@pytest.mark.allow_blocking
async def test_where_no_folder_can_be_written_the_folder_is_named_and_nothing_is_charged(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(3))

    async with preflight(world, run) as look:
        with sealed(world.folder), pytest.raises(SidecarError, match="cannot write in") as caught:
            await look.look()

    assert str(world.folder) in caught.value.message
    assert (await world.counts(run)).pending == 3


@pytest.mark.allow_blocking
async def test_one_folder_that_can_be_written_is_enough(world: World) -> None:
    theirs = world.folder / "a"
    theirs.mkdir()
    run = await world.enqueue(await world.picture("a/a.png"), await world.picture("b.png"))

    with sealed(theirs):
        assert await looked(world, run)

    assert (await world.counts(run)).pending == 2


@pytest.mark.allow_blocking
async def test_a_run_that_saves_nothing_needs_no_folder(world: World) -> None:
    spec = world.spec(output=Output(save=False))
    run = await world.enqueue(await world.picture("a.png"), spec=spec)

    with sealed(world.folder):
        assert await looked(world, run)


async def test_an_image_that_is_left_to_be_tried_alone_is_worth_a_pod_and_stays_suspect(
    world: World,
) -> None:
    run = await world.enqueue(await world.picture("a.png"))
    (job,) = await world.store.awrite(jobs.claim, run.id, 1, world.session, now_ms())
    await world.store.awrite(jobs.release, [job], suspects={job.id})

    assert await looked(world, run)

    assert await world.store.awrite(jobs.claim, run.id, 1, world.session, now_ms()) == []
    suspect = await world.store.awrite(jobs.claim_suspect, run.id, world.session, now_ms())
    assert suspect is not None
    assert suspect.crashes == 0


async def test_an_image_that_another_run_has_in_work_is_good_as_it_is(world: World) -> None:
    path = await world.picture("a.png")
    first, second = (
        await world.enqueue(path),
        await world.enqueue(path, spec=world.spec(overwrite="yes")),
    )
    (held,) = await world.store.awrite(jobs.claim, first.id, 1, world.session, now_ms())
    await anyio.Path(path).write_bytes(b"not looked at")

    async with preflight(world, second) as look:
        completer = look._queue.completer
        assert completer.begin(held)
        assert await look.look()
        assert completer.begin(held)

    assert (await world.counts(second)).pending == 1


async def test_nothing_left_is_nothing_to_rent_for(world: World) -> None:
    run = await world.enqueue()

    assert not await looked(world, run)
