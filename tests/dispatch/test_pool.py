"""Several workers behind one queue."""

import math
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from PIL import Image

from captiv.core.jobs import Run
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.spec import Fallback, Placement, Site
from captiv.dispatch.claims import Claims
from captiv.dispatch.events import LaneView
from captiv.errors import NoCapacity, NoWorker
from captiv.testing.engine import picture_id
from captiv.workers import Address, Ended, LocalWorker, Traits, WorkerSource
from tests.support import DEADLINE_S
from tests.world import Told, World, until


class Pod:
    """A local worker that may be hard to get, in the place of a pod or as it is."""

    def __init__(self, inner: LocalWorker, number: int, *, rented: bool = True) -> None:
        self.number, self.inner = number, inner
        self.describe, self.affordable = inner.describe, inner.affordable
        self.traits = Traits(rented=rented)
        self.refuse: Callable[[int], Exception | None] = lambda _start: None
        self.starts = 0
        self.never: set[int] = set()
        """Starts that take for ever."""
        self.after: Path | None = None
        """It comes up when this file is there."""
        self.stopped = anyio.Event()

    async def start(self, on_phase: OnPhase) -> Address:
        self.starts += 1
        if self.starts in self.never:
            on_phase(Phase(Step.RENTING))
            await anyio.sleep_forever()
        while self.after is not None and not await anyio.Path(self.after).exists():
            await anyio.sleep(0.01)
        error = self.refuse(self.starts)
        if error is not None:
            raise error
        return await self.inner.start(on_phase)

    async def ended(self) -> Ended | None:
        return await self.inner.ended()

    @property
    def ends_in_s(self) -> float:
        """It is there for as long as it is wanted."""
        return math.inf

    async def tend(self) -> None:
        """Nothing has to be done for that."""
        await anyio.sleep_forever()

    async def hand_over(self) -> None:
        """It has no planned end."""

    @property
    def cut_off(self) -> bool:
        """Nobody else is asked where it is."""
        return False

    async def lost(self) -> Ended | None:
        return await self.inner.lost()

    async def stop(self) -> None:
        await self.inner.stop()
        self.stopped.set()

    def kill(self) -> None:
        """Have its process die as if the system had taken it."""
        process = self.inner._process
        assert process is not None
        process.kill()

    async def captioned(self) -> int:
        """How many images its worker has captioned, whatever became of them."""
        log = anyio.Path(self.inner._log_path)
        return (await log.read_text()).count(" caption key=") if await log.exists() else 0


class Pods:
    """Makes them, each with a script of its own."""

    def __init__(
        self, world: World, *scripts: dict[str, object], batch: int = 2, rented: bool = True
    ) -> None:
        self.made: list[Pod] = []
        self.placed: list[Placement] = []
        """How the run was placed for each of them."""
        self.prepared = [
            Pod(world.local(f"pod{i}", batch_size=batch, number=i + 1, **script), i, rented=rented)
            for i, script in enumerate(scripts)
        ]
        self._world = world

    def provide(self, run: Run) -> tuple[WorkerSource, Claims]:
        pod = self.prepared[len(self.made)]
        self.made.append(pod)
        self.placed.append(run.spec.placement)
        return pod, self._world.claims()


def rented(pods: int, fallback: Fallback = "fail") -> Placement:
    return Placement(kind="rented", provider="runpod", pods=pods, batch_size=2, fallback=fallback)


HERE = Site(device="cpu")
ANYWHERE = Site(kind="url", url="https://box.example:8000")


def here(workers: int) -> Placement:
    """Place a run on so many workers of this machine."""
    return Placement(device="cpu", beside=(HERE,) * (workers - 1), batch_size=2)


async def enqueue(world: World, n: int, pods: int = 2, **more: Fallback) -> Run:
    return await placed(world, n, rented(pods, **more))


async def placed(world: World, n: int, placement: Placement) -> Run:
    paths = [
        await world.picture(f"p{i:03d}.png", (i * 40 % 250, i * 90 % 250, 200)) for i in range(n)
    ]
    return await world.enqueue(*paths, spec=world.spec(placement=placement))


async def serve(world: World, pods: Pods, run: Run) -> None:
    async with world.dispatching_with(pods.provide) as dispatcher:
        with anyio.fail_after(DEADLINE_S):
            await dispatcher.serve(run.id)


@pytest.mark.slow
async def test_two_workers_share_a_queue_each_at_its_own_speed(world: World) -> None:
    run = await enqueue(world, 60)
    begun, held = world.folder / "begun", await world.held()
    pods = Pods(world, {"batch_s": 0.05}, {"hold": str(held), "touch": str(begun)})
    pods.prepared[0].after = begun

    async def most_are_done() -> bool:
        return await pods.prepared[0].captioned() > 30

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        await until(most_are_done)
        await held.unlink()

    assert (await world.counts(run)).done == 60
    fast, slow = [await pod.captioned() for pod in pods.made]
    assert fast + slow == 60, "each image once"
    assert fast > slow > 0


async def test_no_more_workers_than_images_are_had(world: World) -> None:
    run = await enqueue(world, 1, pods=3)
    pods = Pods(world, {})

    await serve(world, pods, run)

    assert (await world.counts(run)).done == len(pods.made) == 1


async def test_a_lane_without_a_worker_does_not_stop_the_others(world: World) -> None:
    run = await enqueue(world, 12, fallback="local")
    pods = Pods(world, {"batch_s": 0.05}, {})
    pods.prepared[1].refuse = lambda _: NoCapacity("Sold out.")

    await serve(world, pods, run)

    assert (await world.counts(run)).done == 12
    assert [pod.starts for pod in pods.made] == [1, 1], "it is not asked for again"
    assert any("pod 2: Sold out. Another pod goes on." in told for told in world.told.warnings)
    assert not any("on this machine" in told for told in world.told.warnings)


async def test_the_run_falls_back_only_when_no_lane_is_left(world: World) -> None:
    run = await enqueue(world, 6, fallback="local")
    pods = Pods(world, {}, {}, {})
    for pod in pods.prepared[:2]:
        pod.refuse = lambda _: NoCapacity("Sold out.")

    await serve(world, pods, run)

    assert (await world.counts(run)).done == 6
    assert [told.count("on this machine") for told in world.told.warnings][-1:] == [1]
    assert await pods.made[2].captioned() == 6


async def test_a_worker_for_which_nothing_waits_is_ended_before_the_others_are_through(
    world: World,
) -> None:
    held, hold = world.folder / "held", world.folder / "hold"
    hold.touch()
    run = await enqueue(world, 12)
    pods = Pods(world, {}, {"hold": str(hold), "touch": str(held)})
    pods.prepared[0].after = held

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        with anyio.fail_after(DEADLINE_S):
            await pods.prepared[0].stopped.wait()
        counts = await world.counts(run)
        assert counts.running > 0 == counts.pending
        assert not pods.prepared[1].stopped.is_set()
        await to_thread.run_sync(hold.unlink)

    assert (await world.counts(run)).done == 12


async def test_a_worker_that_is_still_coming_up_when_nothing_waits_is_let_go(
    world: World,
) -> None:
    hold = world.folder / "hold"
    hold.touch()
    run = await enqueue(world, 2)
    pods = Pods(world, {"hold": str(hold)}, {})
    pods.prepared[1].never = {1}

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        with anyio.fail_after(DEADLINE_S):
            await pods.prepared[1].stopped.wait()
        assert not pods.prepared[0].stopped.is_set()
        await to_thread.run_sync(hold.unlink)

    assert (await world.counts(run)).done == 2


async def test_what_a_lost_worker_had_goes_to_the_others_while_it_is_replaced(
    world: World,
) -> None:
    held, hold = world.folder / "held", world.folder / "hold"
    hold.touch()
    run = await enqueue(world, 16)
    pods = Pods(world, {}, {"hold": str(hold), "touch": str(held)})
    pods.prepared[0].after = lost = world.folder / "lost"
    pods.prepared[1].never = {2}

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        await until(anyio.Path(held).exists)
        process = pods.prepared[1].inner._process
        assert process is not None
        process.kill()
        await until(lambda: pods.prepared[1].starts == 2)
        await anyio.Path(lost).touch()

    counts = await world.counts(run)
    assert (counts.done, counts.failed) == (16, 0)
    assert pods.made[1].starts == 2, "it was being replaced"


@pytest.mark.slow
async def test_a_lost_lane_that_is_not_replaced_takes_nothing_from_the_others(
    world: World,
) -> None:
    held, hold = world.folder / "held", world.folder / "hold"
    hold.touch()
    run = await enqueue(world, 60)
    pods = Pods(world, {}, {"hold": str(hold), "touch": str(held)})
    pods.prepared[0].after = lost = world.folder / "lost"
    pods.prepared[1].refuse = lambda start: NoWorker("No more pods.") if start > 1 else None

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        await until(anyio.Path(held).exists)
        process = pods.prepared[1].inner._process
        assert process is not None
        process.kill()
        await until(lambda: any("Another pod goes on." in told for told in world.told.warnings))
        await anyio.Path(lost).touch()

    counts = await world.counts(run)
    assert (counts.done, counts.failed) == (60, 0)
    rows = await world.rows(run)
    assert {row.tries for row in rows.values()} == {0}, "nothing was charged for the loss"


@pytest.mark.slow
async def test_a_culprit_ends_alone_whichever_workers_it_kills(world: World) -> None:
    run = await enqueue(world, 12)
    culprit = world.folder / "p005.png"
    name = await to_thread.run_sync(lambda: picture_id(Image.open(culprit)))
    script: dict[str, object] = {"exit_on": [name], "batch_s": 0.02}
    pods = Pods(world, script, script)

    await serve(world, pods, run)

    counts = await world.counts(run)
    assert (counts.done, counts.failed) == (11, 1)
    assert world.told.failures == {str(culprit): "image_crashes"}


async def test_each_worker_is_told_of(world: World) -> None:
    class Watching(Told):
        def __init__(self) -> None:
            super().__init__()
            self.views: list[list[LaneView]] = []

        def lanes(self, views: object) -> None:
            assert isinstance(views, list)
            self.views.append(views)

    world.told = told = Watching()
    run = await enqueue(world, 20)
    begun, held = world.folder / "begun", await world.held()
    pods = Pods(world, {}, {"hold": str(held), "touch": str(begun)})
    pods.prepared[0].after = begun

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        await until(lambda: any(view.captioned for views in told.views for view in views))
        await held.unlink()

    assert {view.name for views in told.views for view in views} == {"pod 1", "pod 2"}
    assert set(told.workers) == {"pod 1", "pod 2"}


async def test_one_worker_is_told_of_as_ever(world: World) -> None:
    run = await enqueue(world, 3, pods=1)

    await serve(world, Pods(world, {}), run)

    assert set(world.told.workers) == {None}


# -- workers that cost nothing, and workers of several kinds ---------------------------------------


@pytest.mark.slow
async def test_of_three_workers_here_a_slow_one_does_the_least(world: World) -> None:
    run = await placed(world, 60, here(3))
    held, begun = await world.held(), [anyio.Path(world.folder / f"begun{n}") for n in range(3)]
    workers = Pods(
        world,
        *[
            {"hold": str(held), "touch": str(file), "batch_s": batch_s}
            for file, batch_s in zip(begun, (0.4, 0.04, 0.04), strict=True)
        ],
        rented=False,
    )

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, workers, run)
        for file in begun:
            await until(file.exists)
        await held.unlink()

    assert (await world.counts(run)).done == 60
    least, *others = [await worker.captioned() for worker in workers.made]
    assert least + sum(others) == 60, "each image once"
    assert 0 < least < min(others)


@pytest.mark.slow
async def test_a_worker_that_hangs_keeps_nothing_but_what_it_was_sent(world: World) -> None:
    run = await placed(world, 200, here(3))
    begun, hold = world.folder / "begun", world.folder / "hold"
    hold.touch()
    workers = Pods(world, {"hold": str(hold), "touch": str(begun)}, {}, {}, rented=False)
    workers.prepared[1].after = workers.prepared[2].after = begun

    async def all_but_its_own_are_done() -> bool:
        counts = await world.counts(run)
        return not counts.pending and 0 < counts.running < 32

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, workers, run)
        await until(all_but_its_own_are_done)
        assert not any(worker.stopped.is_set() for worker in workers.made), "they may be needed"
        workers.prepared[0].kill()

    counts = await world.counts(run)
    assert (counts.done, counts.failed) == (200, 0)
    assert await workers.made[0].captioned() == 0
    assert {row.tries for row in (await world.rows(run)).values()} == {0}
    assert any(told.startswith("cpu 1: The worker died") for told in world.told.warnings)


async def test_a_worker_that_cannot_be_had_is_named_and_the_others_go_on(world: World) -> None:
    run = await placed(world, 12, here(3))
    workers = Pods(world, {}, {}, {}, rented=False)
    workers.prepared[1].refuse = lambda _: NoWorker("It has no memory.")

    await serve(world, workers, run)

    assert (await world.counts(run)).done == 12
    (warning,) = [told for told in world.told.warnings if "no memory" in told]
    assert warning == "cpu 2: It has no memory. 2 other workers go on."


@pytest.mark.slow
async def test_workers_of_all_kinds_are_fed_from_one_queue(world: World) -> None:
    run = await placed(
        world, 40, rented(2).model_copy(update={"beside": (HERE, ANYWHERE), "device": "cpu"})
    )
    script: dict[str, object] = {"batch_s": 0.02}
    workers = Pods(world, script, script, script, script)

    await serve(world, workers, run)

    assert (await world.counts(run)).done == 40
    assert [(p.kind, p.url, p.provider, p.beside) for p in workers.placed] == [
        ("url", ANYWHERE.url, None, ()),
        ("local", None, None, ()),
        ("rented", None, "runpod", ()),
        ("rented", None, "runpod", ()),
    ]
    assert set(world.told.workers) == {"box.example", "cpu", "pod 1", "pod 2"}


async def test_when_the_cap_is_spent_the_workers_that_cost_nothing_go_on(world: World) -> None:
    run = await placed(world, 20, rented(1).model_copy(update={"beside": (HERE,)}))
    workers = Pods(world, {}, {})
    spent = world.folder / "spent"
    workers.prepared[0].after = spent
    workers.prepared[1].affordable = lambda: False

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, workers, run)
        await until(lambda: any("pod 1: The run has cost" in told for told in world.told.warnings))
        await anyio.Path(spent).touch()

    assert (await world.counts(run)).done == 20
    assert len(workers.made) == 2, "no pod is asked for again"


@pytest.mark.slow
async def test_a_worker_that_had_ended_is_had_again_for_what_the_last_one_lost(
    world: World,
) -> None:
    held, hold = world.folder / "held", world.folder / "hold"
    hold.touch()
    run = await enqueue(world, 12)
    pods = Pods(world, {}, {"hold": str(hold), "touch": str(held)}, {})
    pods.prepared[0].after = held
    pods.prepared[1].refuse = lambda start: NoWorker("Sold out.") if start > 1 else None

    async with anyio.create_task_group() as tg:
        tg.start_soon(serve, world, pods, run)
        with anyio.fail_after(DEADLINE_S):
            await pods.prepared[0].stopped.wait()
        pods.prepared[1].kill()

    assert (await world.counts(run)).done == 12
    assert len(pods.made) == 3


async def test_captions_are_counted_by_worker_to_the_end(world: World) -> None:
    class Counting(Told):
        def __init__(self) -> None:
            super().__init__()
            self.last: list[LaneView] = []

        def lanes(self, views: object) -> None:
            assert isinstance(views, list)
            self.last = views

    world.told = told = Counting()
    run = await placed(world, 80, here(2))
    script: dict[str, object] = {"batch_s": 0.1}
    workers = Pods(world, script, script, rented=False)

    async with (
        world.dispatching_with(workers.provide) as dispatcher,
        anyio.create_task_group() as tg,
    ):
        tg.start_soon(dispatcher.serve, run.id)
        await until(lambda: any(view.captioned for view in told.last))
        dispatcher.drain()

    assert {view.name for view in told.last} == {"cpu 1", "cpu 2"}
    assert all(view.over for view in told.last)
    counts = await world.counts(run)
    assert sum(view.captioned for view in told.last) == counts.done < 80
