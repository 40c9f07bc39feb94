"""Several runs under one dispatcher."""

import anyio
import pytest
from anyio import to_thread

from captiv.core.jobs import Run
from captiv.core.phase import OnPhase
from captiv.core.spec import Output, Placement, Site
from captiv.dispatch.claims import Claims
from captiv.errors import NoWorker
from captiv.store import jobs, runs
from captiv.workers import Address, LocalWorker, WorkerSource
from captiv.workers.local import LocalSettings
from tests.support import DEADLINE_S
from tests.world import WatchedWorker, World, until


async def serve(
    world: World, own: Run, device: list[str], broken: str = "", **script: object
) -> None:
    """Serve with a worker of its own for every need, logging who begins and ends.

    Workers are named by their batch size; the one named `broken` is.
    """

    class Logged:
        def __init__(self, name: str, inner: LocalWorker) -> None:
            self.name, self.inner = name, inner
            self.describe, self.ended, self.lost = inner.describe, inner.ended, inner.lost
            self.affordable, self.traits = inner.affordable, inner.traits
            self.cut_off, self.ends_in_s = False, inner.ends_in_s
            self.tend, self.hand_over = inner.tend, inner.hand_over

        async def start(self, on_phase: OnPhase) -> Address:
            device.append(f"+{self.name}")
            return await self.inner.start(on_phase)

        async def stop(self) -> None:
            await self.inner.stop()
            device.append(f"-{self.name}")

    def provide(run: Run) -> tuple[WorkerSource, Claims]:
        name = str(run.spec.placement.batch_size)
        worker = world.local(name, broken=name == broken, **script)  # type: ignore[arg-type]
        return Logged(name, worker), world.claims()

    async with world.dispatching_with(provide) as dispatcher:
        with anyio.fail_after(DEADLINE_S):
            await dispatcher.serve(own.id)


@pytest.mark.slow
async def test_two_local_models_never_share_the_device(world: World) -> None:
    first = await world.enqueue(
        *await world.pictures(8), spec=world.spec(placement=Placement(batch_size=2))
    )
    second = await world.enqueue(
        *await world.pictures(8, prefix="q"),
        spec=world.spec(recursive=True, placement=Placement(batch_size=3)),
    )
    device: list[str] = []

    await serve(world, second, device, batch_s=0.05)

    assert device == ["+2", "-2", "+3", "-3"]
    assert (await world.counts(first)).done == (await world.counts(second)).done == 8


async def test_an_image_of_two_runs_is_let_go_by_a_worker_that_fails(world: World) -> None:
    paths = await world.pictures(12)
    first = await world.enqueue(
        *paths,
        spec=world.spec(output=Output(extension=".one"), placement=Placement(batch_size=2)),
    )
    second = await world.enqueue(
        *paths,
        spec=world.spec(output=Output(extension=".two"), placement=Placement(batch_size=3)),
    )

    await serve(world, second, [], broken="2")

    assert (await world.counts(first)).pending == 12
    assert (await world.counts(second)).done == 12


async def test_a_command_ends_with_its_own_run_while_another_goes_on(world: World) -> None:
    long = await world.enqueue(
        *await world.pictures(400), spec=world.spec(output=Output(extension=".long"))
    )
    own = await world.enqueue(*await world.pictures(6, prefix="q"), spec=world.spec(recursive=True))
    device: list[str] = []

    await serve(world, own, device, batch_s=0.2)

    assert (await world.counts(own)).done == 6
    counts = await world.counts(long)
    assert counts.running == counts.captioned == 0
    assert counts.pending > 0


async def test_captions_that_wait_for_their_file_are_written_without_a_worker(
    world: World,
) -> None:
    (path,) = await world.pictures(1)
    blocked = anyio.Path(path).with_suffix(".txt")
    await blocked.mkdir()
    run = await world.enqueue(path)
    device: list[str] = []
    await serve(world, run, device)
    await blocked.rmdir()
    device.clear()

    await serve(world, run, device)

    assert await blocked.read_text()
    assert device == []
    assert (await world.counts(run)).done == 1


async def test_a_retry_by_another_command_is_served_while_the_holder_goes_on(
    world: World,
) -> None:
    bad = str(world.folder / "bad.png")
    await anyio.Path(bad).write_bytes(b"")
    other = await world.enqueue(bad, spec=world.spec(recursive=True))
    own = await world.enqueue(*await world.pictures(6))
    held = await world.held()

    async def claimed() -> bool:
        return (await world.counts(other)).running == 1

    async def mend() -> None:
        await until(lambda: bad in world.told.failures)
        await world.picture("bad.png")
        await world.store.awrite(jobs.retry, other.id)
        await world.want(other)
        await until(claimed)
        assert (await world.counts(own)).open > 0
        await held.unlink()

    async with anyio.create_task_group() as tg:
        tg.start_soon(mend)
        await serve(world, own, [], hold=str(held))

    assert (await world.counts(other)).done == 1
    assert (await world.counts(own)).done == 6
    assert await to_thread.run_sync(lambda: (world.folder / "bad.txt").exists())


async def test_a_run_hears_of_its_lost_worker_although_another_one_wanted_more_and_left(
    world: World,
) -> None:
    two = Placement(batch_size=4, beside=(Site(),))
    own = await world.enqueue(*await world.pictures(3))
    other = await world.enqueue(
        *await world.pictures(3, prefix="q"), spec=world.spec(recursive=True, placement=two)
    )

    async def leave() -> None:
        await world.store.awrite(runs.want, other.id, world.session, 0)

    class Lost(WatchedWorker):
        async def start(self, on_phase: OnPhase) -> Address:
            await world.want(other)
            await until(lambda: other.id in dispatcher._live)
            await leave()
            raise NoWorker("nowhere to be had")

    lost = Lost(LocalSettings("", "", ""), folder=world.folder, log=world.folder / "log")
    await leave()
    async with world.dispatching(lost) as dispatcher:
        with anyio.fail_after(DEADLINE_S), pytest.raises(NoWorker, match="nowhere"):
            await dispatcher.serve(own.id)

    assert (await world.counts(own)).pending == (await world.counts(other)).pending == 3
