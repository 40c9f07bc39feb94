"""Workers whose server answers while their engine hangs: said, ended, and never waited for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from captiv.core.quiet import Patience
from captiv.dispatch.dispatcher import Dispatcher
from captiv.errors import NoWorker, leading
from captiv.workers import Traits, UrlWorker
from tests.dispatch.test_supervisor import Relay
from tests.support import DEADLINE_S
from tests.world import WatchedWorker, World, until

SOON = Patience(warning_s=0.5, limit_s=1.0, first_s=1.0, drain_s=60)


def soon(worker: WatchedWorker, patience: Patience = SOON) -> WatchedWorker:
    """Have this worker given up soon."""
    worker.traits = Traits(patience=patience)
    return worker


@asynccontextmanager
async def elsewhere(world: World, **script: Any) -> AsyncIterator[UrlWorker]:
    """Have a worker that is not captiv's to end."""
    worker = world.local(**script)
    address = await worker.start(lambda _phase: None)
    try:
        yield UrlWorker(address.url, address.token, patience=SOON)
    finally:
        with anyio.CancelScope(shield=True):
            await worker.stop()


@pytest.mark.slow
async def test_a_worker_here_that_hangs_is_told_of_and_started_again(world: World) -> None:
    run = await world.enqueue(*await world.pictures(12))
    held = await world.held()
    source = Relay(world.local("one", hold=str(held), hold_after=1), world.local("two"))
    source.traits = Traits(patience=SOON)

    with anyio.fail_after(DEADLINE_S):
        counts = await world.serve(source, run)

    assert (counts.done, counts.failed) == (12, 0)
    said, ended = world.told.warnings
    assert "No caption has come from this machine for" in said
    assert "The worker hangs (no caption came for" in ended
    assert {(row.tries, row.crashes) for row in (await world.rows(run)).values()} == {(0, 0)}


@pytest.mark.slow
async def test_an_image_that_hangs_its_worker_fails_alone_and_in_its_own_words(
    world: World,
) -> None:
    good = await world.pictures(7)
    bad = await world.picture("m.png", "cyan")
    run = await world.enqueue(*good[:3], bad, *good[3:])

    with anyio.fail_after(DEADLINE_S):
        counts = await world.serve(soon(world.local(hang_on=["cyan"])), run)

    assert (counts.done, counts.failed) == (7, 1)
    assert world.told.failures == {bad: "image_crashes"}
    row = (await world.rows(run))["m.png"]
    assert "hangs on this image" in (row.error or "")
    assert (row.tries, row.crashes) == (0, 4)


@pytest.mark.slow
async def test_a_worker_elsewhere_that_hangs_is_given_up_and_its_images_are_suspect(
    world: World,
) -> None:
    paths = await world.pictures(12)
    run = await world.enqueue(*paths)
    held = await world.held()

    async with elsewhere(world, hold=str(held), hold_after=1) as source:
        with anyio.fail_after(DEADLINE_S), pytest.raises(BaseExceptionGroup) as caught:
            await world.serve(source, run)

    error = leading(caught.value)
    assert isinstance(error, NoWorker)
    assert "hangs: it answers, and no caption came for" in error.message
    assert "Start it again there" in (error.hint or "")
    counts = await world.counts(run)
    assert (counts.pending, counts.running, counts.failed) == (12 - counts.done, 0, 0)
    assert counts.done >= 1

    counts = await world.serve(world.local("next"), run)
    assert (counts.done, counts.failed) == (12, 0), "the suspects are tried, alone"


@pytest.mark.slow
async def test_an_image_that_hangs_workers_elsewhere_fails_after_two_of_them(world: World) -> None:
    good, bad = await world.pictures(5), await world.picture("m.png", "cyan")
    run = await world.enqueue(bad, *good)

    for _ in range(2):  # in its batch, and alone
        async with elsewhere(world, hang_on=["cyan"]) as source:
            with anyio.fail_after(DEADLINE_S), pytest.raises(BaseExceptionGroup) as caught:
                await world.serve(source, run)
            assert isinstance(leading(caught.value), NoWorker)
    async with elsewhere(world, hang_on=["cyan"]) as source:
        with anyio.fail_after(DEADLINE_S):
            counts = await world.serve(source, run)

    assert (counts.done, counts.failed) == (5, 1)
    assert "hangs on this image" in ((await world.rows(run))["m.png"].error or "")


@pytest.mark.slow
async def test_a_slow_worker_is_not_taken_for_one_that_hangs(world: World) -> None:
    """Its gaps are longer than the floor, and known."""
    run = await world.enqueue(*await world.pictures(6))
    patient = Patience(warning_s=0.1, limit_s=0.2, first_s=30)

    counts = await world.serve(soon(world.local(batch_size=1, batch_s=0.5), patient), run)

    assert (counts.done, counts.failed) == (6, 0)
    assert not any("hangs (" in said for said in world.told.warnings)


async def test_a_drain_waits_no_longer_than_its_limit_and_gives_back_uncharged(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(20))
    held, began = await world.held(), anyio.Path(world.folder / "began")
    source = soon(world.local(hold=str(held), touch=str(began)), Patience(drain_s=0.5))

    async def drain(dispatcher: Dispatcher) -> None:
        await until(began.exists)
        dispatcher.drain()

    with anyio.fail_after(DEADLINE_S):
        async with world.dispatching(source) as dispatcher, anyio.create_task_group() as tg:
            tg.start_soon(drain, dispatcher)
            await dispatcher.serve(run.id)

    counts = await world.counts(run)
    assert (counts.pending, counts.running, counts.failed) == (20, 0, 0)
    assert {(row.tries, row.crashes) for row in (await world.rows(run)).values()} == {(0, 0)}
    (said,) = world.told.warnings
    assert "still at the worker after 0.5 s" in said
    assert [p async for p in anyio.Path(world.folder).glob("*.txt")] == []
