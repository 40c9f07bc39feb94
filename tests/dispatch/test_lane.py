"""A lane over a real worker that misbehaves: one bad image fails alone, and no other is charged."""

import math
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import JobState, Run, RunState
from captiv.dispatch.dispatcher import Dispatcher
from captiv.errors import MachineShort, NoWorker, leading
from captiv.store import Connection, ingest, runs
from tests.dispatch.test_supervisor import Relay
from tests.support import DEADLINE_S
from tests.world import WatchedWorker, World, read, until

READS_AS_EIO = pytest.mark.skipif(sys.platform != "linux", reason="takes /proc/self/mem")


async def captioned(world: World, paths: list[str]) -> bool:
    for path in paths:
        text = await read(Path(path).with_suffix(".txt"))
        if text is None or not text.startswith("picture "):
            return False
    return True


async def test_every_image_gets_its_caption(world: World) -> None:
    paths = await world.pictures(30)
    run = await world.enqueue(*paths)

    counts = await world.serve(world.local(), run)

    assert (counts.done, counts.open) == (30, 0)
    assert await captioned(world, paths)
    assert sorted(world.told.captions) == paths


class Mortal(Relay):
    """Real workers, of which the first ends as planned once it has captioned some images."""

    def __init__(self, world: World, *workers: WatchedWorker) -> None:
        super().__init__(*workers)
        self.first, self.world, self.handed_over = workers[0], world, 0

    @property
    def ends_in_s(self) -> float:
        near = self.at == 0 and len(self.world.told.captions) >= 8
        return 1.0 if near else math.inf

    async def hand_over(self) -> None:
        assert not await self.first.has(1), "an image is at a worker that is about to end"
        self.handed_over += 1


async def test_a_worker_is_handed_over_before_its_planned_end(world: World) -> None:
    paths = await world.pictures(40)
    run = await world.enqueue(*paths)
    source = Mortal(world, world.local("first", batch_s=0.05), world.local("second"))

    counts = await world.serve(source, run)

    assert (counts.done, counts.open) == (40, 0)
    assert await captioned(world, paths)
    assert (source.handed_over, source.at) == (1, 1)
    assert world.told.warnings == []
    assert {row.tries for row in (await world.rows(run)).values()} == {0}


async def test_more_bad_images_in_a_row_than_an_engine_may_fail_are_the_images_fault(
    world: World,
) -> None:
    good = await world.pictures(3, "red", "a") + await world.pictures(3, "red", "c")
    bad = await world.pictures(12, "cyan", "b")
    run = await world.enqueue(*sorted([*good, *bad]))
    held = await world.held()
    worker = world.local(batch_size=18, fail_on=["cyan"], hold=str(held))

    async def let_go_when_all_are_there() -> None:
        await until(lambda: worker.has(18))
        await held.unlink()

    async with anyio.create_task_group() as tg:
        tg.start_soon(let_go_when_all_are_there)
        counts = await world.serve(worker, run)

    assert (counts.done, counts.failed) == (6, 12)
    assert set(world.told.failures.values()) == {"engine_failed"}
    assert await captioned(world, good)
    assert {row.tries for row in (await world.rows(run)).values()} == {0, 2}


async def test_an_engine_that_fails_on_everything_is_given_up_and_no_image_fails(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(30))

    with pytest.raises(BaseExceptionGroup) as caught:
        await world.serve(world.local(broken=True), run)

    error = leading(caught.value)
    assert isinstance(error, NoWorker)
    counts = await world.counts(run)
    assert (counts.pending, counts.failed) == (30, 0)


@pytest.mark.parametrize("kind", ["loop", "empty"])
async def test_an_answer_that_is_no_caption_fails_and_its_text_is_kept(
    world: World, kind: str
) -> None:
    good, bad = await world.pictures(3), await world.picture("bad.png", "cyan")
    run = await world.enqueue(*good, bad)

    counts = await world.serve(world.local(degenerate_on=["cyan"], degenerate=kind), run)

    def text(conn: Connection) -> str:
        row = conn.execute("SELECT error_text FROM jobs WHERE state='failed'").fetchone()
        return str(row[0])

    assert (counts.done, counts.failed, counts.misses) == (3, 1, 3)
    assert world.told.failures == {bad: "degenerate"}
    assert (await world.store.aread(text)).startswith("a dog and" if kind == "loop" else "")
    assert await read(Path(bad).with_suffix(".txt")) is None


@pytest.mark.slow
@pytest.mark.parametrize("misdeed", ["exit_on", "die_on"])
async def test_an_image_that_ends_its_worker_fails_alone(world: World, misdeed: str) -> None:
    good = await world.pictures(14)
    bad = await world.picture("m.png", "cyan")
    run = await world.enqueue(*good[:7], bad, *good[7:])

    script: dict[str, Any] = {"batch_s": 0.05, misdeed: ["cyan"]}

    counts = await world.serve(world.local(**script), run)

    assert (counts.done, counts.failed) == (14, 1)
    assert world.told.failures == {bad: "image_crashes"}
    rows = await world.rows(run)
    assert [row.tries for row in rows.values()] == [0] * 15


async def test_images_of_a_worker_that_was_killed_are_done_by_the_next_uncharged(
    world: World,
) -> None:
    paths = await world.pictures(24)
    run = await world.enqueue(*paths)
    held = await world.held()
    source = Relay(world.local("one", hold=str(held), hold_after=1), world.local("two"))

    async def kill_in_the_middle() -> None:
        await until(lambda: bool(world.told.captions))
        os.kill(source.pid, signal.SIGKILL)

    async with anyio.create_task_group() as tg:
        tg.start_soon(kill_in_the_middle)
        counts = await world.serve(source, run)

    assert (counts.done, counts.failed) == (24, 0)
    assert await captioned(world, paths)
    assert {(row.tries, row.crashes) for row in (await world.rows(run)).values()} == {(0, 0)}


async def test_a_file_that_is_no_image_fails_without_a_worker_seeing_it(world: World) -> None:
    good = await world.pictures(2)
    bad, gone = str(world.folder / "bad.png"), str(world.folder / "gone.png")
    await anyio.Path(bad).write_bytes(b"no image")
    run = await world.enqueue(*good, bad, gone)

    counts = await world.serve(world.local(), run)

    assert (counts.done, counts.failed) == (2, 2)
    assert world.told.failures == {bad: "image_unreadable", gone: "image_missing"}


async def test_a_sidecar_that_appears_between_scan_and_caption_is_kept(world: World) -> None:
    mine, *others = await world.pictures(3)
    run = await world.enqueue(mine, *others)
    await anyio.Path(mine).with_suffix(".txt").write_text("my words")

    counts = await world.serve(world.local(), run)

    assert (counts.done, counts.kept) == (3, 1)
    assert world.told.kept_paths == [mine]
    assert await read(Path(mine).with_suffix(".txt")) == "my words"


async def test_a_drain_finishes_what_is_at_the_worker_and_gives_the_rest_back(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(60))
    held, began = await world.held(), anyio.Path(world.folder / "began")

    async def drain(dispatcher: Dispatcher) -> None:
        await until(began.exists)
        dispatcher.drain()
        await held.unlink()

    source = world.local(hold=str(held), touch=str(began))
    async with world.dispatching(source) as dispatcher, anyio.create_task_group() as tg:
        tg.start_soon(drain, dispatcher)
        await dispatcher.serve(run.id)

    counts = await world.counts(run)
    assert counts.running == counts.captioned == counts.failed == 0
    assert 1 <= counts.done <= 2 * 4, "more than the window was sent"
    assert counts.pending == 60 - counts.done
    assert await captioned(world, list(world.told.captions))


async def test_a_cancellation_in_the_middle_gives_everything_back_and_keeps_what_came(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(60))

    async def stop(scope: anyio.CancelScope) -> None:
        await until(lambda: len(world.told.captions) >= 4)
        scope.cancel()

    source = world.local(batch_s=0.1)
    async with world.dispatching(source) as dispatcher, anyio.create_task_group() as tg:
        tg.start_soon(stop, tg.cancel_scope)
        await dispatcher.serve(run.id)

    counts = await world.counts(run)
    assert counts.running == counts.captioned == counts.failed == 0
    assert (counts.done, counts.pending) == (len(world.told.captions), 60 - counts.done)
    assert {row.tries for row in (await world.rows(run)).values()} == {0}


async def test_a_run_that_is_cancelled_from_outside_ends_soon(world: World) -> None:
    run = await world.enqueue(*await world.pictures(60))
    held = await world.held()
    source = world.local(batch_size=2, hold=str(held), hold_after=1)

    async with world.dispatching(source) as dispatcher, anyio.create_task_group() as tg:

        async def cancel() -> None:
            await until(lambda: bool(world.told.captions))
            await world.store.awrite(runs.set_aside, run.id, now_ms())
            await until(lambda: world.told.counts[-1].state is RunState.CANCELLED)
            await held.unlink()

        tg.start_soon(cancel)
        with anyio.fail_after(DEADLINE_S):
            await dispatcher.serve(run.id)

    counts = await world.counts(run)
    assert counts.open == 0
    assert counts.done + counts.cancelled == 60
    assert counts.done < 30, "more than was at the worker or on its way"
    assert await captioned(world, list(world.told.captions))


async def test_states_are_what_the_files_say(world: World) -> None:
    paths = await world.pictures(5)
    blocked = anyio.Path(paths[2]).with_suffix(".txt")
    await blocked.mkdir()
    run = await world.enqueue(*paths)

    counts = await world.serve(world.local(), run)
    rows = await world.rows(run)

    assert (counts.done, counts.captioned) == (4, 1)
    assert rows["p002.png"].state is JobState.CAPTIONED
    assert list(world.told.unwritable) == [paths[2]]
    assert await captioned(world, [p for p in paths if p != paths[2]])


@pytest.mark.slow
async def test_the_lane_sends_more_as_the_worker_finds_that_larger_batches_fit(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(250))
    held, began = await world.held(), anyio.Path(world.folder / "began")
    worker = world.local(
        batch_size=None, batch_s=0.2, hold=str(held), touch=str(began), largest_batch=32
    )

    async def hold_batches_until_no_more_comes() -> None:
        """Keep the worker busy for longer than it takes to send it all that it may be sent."""
        while max(await captioned_together(world), default=0) <= 24:
            await until(began.exists)
            await held.touch()
            await until(lambda: worker.has(2 * worker.max_batch))
            await began.unlink()
            await held.unlink()

    async with anyio.create_task_group() as tg:
        tg.start_soon(hold_batches_until_no_more_comes)
        counts = await world.serve(worker, run)

    assert counts.done == 250
    assert max(await captioned_together(world)) > 24, (
        "three batches of 8 are all that it would be sent otherwise"
    )


async def captioned_together(world: World) -> list[int]:
    """Return how many images each batch of the worker had that has ended."""
    log = await read(world.folder / "worker.log") or ""
    return [int(size) for size in re.findall(r" batch=(\d+) engine_s", log)]


async def unreadable(world: World, name: str) -> str:
    """Make a file that reads as EIO, as a bad sector does."""
    path = world.folder / name
    await to_thread.run_sync(path.symlink_to, "/proc/self/mem")
    return str(path)


async def add(world: World, run: Run, *paths: str, last: bool = False) -> None:
    places = [run.spec.output.place_of(path) for path in paths]
    await world.store.awrite(ingest.add_jobs, run.id, places, now_ms())
    if last:
        await world.store.awrite(ingest.mark_scanned, run.id)


async def gone_back(world: World) -> bool:
    """Whether an image has gone behind the others."""

    def look(conn: Connection) -> bool:
        return bool(conn.execute("SELECT count(*) FROM jobs WHERE postponed > 0").fetchone()[0])

    return await world.store.aread(look)


@READS_AS_EIO
async def test_a_file_that_cannot_be_read_ends_no_run_whose_worker_is_slow(world: World) -> None:
    """While the worker is busy for long, nothing else is prepared that would show whose fault."""
    world.short_s = 0.3
    first, later = await world.pictures(4), await world.pictures(4, prefix="q")
    bad = await unreadable(world, "bad.png")
    run, held = await world.open(), await world.held()
    await add(world, run, *first)
    worker = world.local(hold=str(held))

    async def strike() -> None:
        await until(lambda: worker.has(4))
        await add(world, run, bad)
        await until(lambda: gone_back(world))
        await add(world, run, *later, last=True)
        await held.unlink()

    async with anyio.create_task_group() as tg:
        tg.start_soon(strike)
        with anyio.fail_after(DEADLINE_S):
            counts = await world.serve(worker, run)

    assert (counts.done, counts.failed) == (8, 1)
    assert world.told.failures == {bad: "image_unreadable"}


@pytest.mark.slow
@READS_AS_EIO
async def test_a_disk_that_fails_ends_the_run_once_its_worker_has_nothing_and_fails_no_image(
    world: World,
) -> None:
    world.short_s = 0.3
    good = await world.pictures(4)
    bad = [await unreadable(world, f"bad{i}.png") for i in range(30)]
    run, held = await world.open(), await world.held()
    await add(world, run, *good)
    worker = world.local(hold=str(held))

    async def strike() -> None:
        await until(lambda: worker.has(4))
        await add(world, run, *bad, last=True)
        await until(lambda: gone_back(world))
        await held.unlink()

    with anyio.fail_after(DEADLINE_S), pytest.raises(BaseExceptionGroup) as caught:
        async with anyio.create_task_group() as tg:
            tg.start_soon(strike)
            await world.serve(worker, run)

    assert isinstance(leading(caught.value), MachineShort)
    counts = await world.counts(run)
    assert (counts.done, counts.pending, counts.failed) == (4, 30, 0)
