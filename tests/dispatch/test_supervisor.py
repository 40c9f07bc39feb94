"""One worker, lost and found, over real children and over a URL whose far end changes."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from captiv.clock import monotonic_s
from captiv.core.phase import OnPhase, Step
from captiv.core.retry import Death
from captiv.dispatch.supervisor import Supervisor
from captiv.errors import NoWorker, WorkerRefused
from captiv.wire import PROTOCOL, WORKER_HEADER
from captiv.workers import (
    Address,
    Ended,
    LocalWorker,
    Traits,
    UrlWorker,
    WorkerClient,
    WorkerSource,
)
from tests.support import DEADLINE_S
from tests.workers.conftest import answering, problem, reply
from tests.workers.endless import endless
from tests.world import World, until


@dataclass
class FarEnd:
    """Somebody else's worker: what it says of itself, and for how many calls nobody is there."""

    boot_id: str = "one"
    status: str = "ready"
    away: bool = False
    models_away: int = 0
    refuses: bool = False
    calls: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        path = request.url.path
        self.calls.append(path)
        if self.away:
            return Response(b"bad gateway", 502)
        if path == "/health":
            told = {"status": self.status, "worker": "far", "boot_id": self.boot_id}
            return reply(**told, protocol=PROTOCOL, max_batch=4, permits=8)
        if self.refuses:
            return problem(401, "unauthorized")
        if self.models_away > 0:
            self.models_away -= 1
            return Response(b"bad gateway", 502)
        return Response(
            json.dumps({"loaded": "shapes", "loaded_variant": "shapes", "models": []}),
            headers={WORKER_HEADER: self.boot_id},
        )


class Relay:
    """Real workers, one after the other: the next one starts when the last has died."""

    def __init__(self, *workers: LocalWorker, lost_after_s: float = 30.0) -> None:
        self.traits = Traits(lost_after_s=lost_after_s)
        self.workers = list(workers)
        self.at = -1

    @property
    def now(self) -> LocalWorker:
        return self.workers[self.at]

    @property
    def pid(self) -> int:
        process = self.now._process
        assert process is not None
        return process.pid

    async def start(self, on_phase: OnPhase) -> Address:
        if self.at >= 0:
            await self.now.stop()
        self.at += 1
        return await self.now.start(on_phase)

    async def ended(self) -> Ended | None:
        return await self.now.ended()

    async def lost(self) -> Ended | None:
        return await self.now.lost()

    @property
    def cut_off(self) -> bool:
        return self.now.cut_off

    @property
    def ends_in_s(self) -> float:
        return self.now.ends_in_s

    async def tend(self) -> None:
        await self.now.tend()

    async def hand_over(self) -> None:
        await self.now.hand_over()

    def affordable(self) -> bool:
        return True

    def describe(self) -> str:
        return "this machine"

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.stop()


def loads(world: World) -> bool:
    """Whether a worker was last seen to load its model."""
    last = world.told.phases[-1] if world.told.phases else None
    return last is not None and last.name is Step.LOADING


@asynccontextmanager
async def living(source: WorkerSource, world: World) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(
        source,
        on_phase=world.told.phase,
        on_warning=world.told.warned,
        shared=lambda: False,
    )
    try:
        yield supervisor
    finally:
        with anyio.CancelScope(shield=True):
            await supervisor.end()


@asynccontextmanager
async def far(end: FarEnd, *, lost_after_s: float = 30.0) -> AsyncIterator[UrlWorker]:
    """Serve a far end; its thread is started and joined off the loop."""
    serving = answering(end)
    url = await to_thread.run_sync(serving.__enter__)
    try:
        source = UrlWorker(url, "token")
        source.traits = Traits(lost_after_s=lost_after_s)
        yield source
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(serving.__exit__, None, None, None)


async def test_ready_is_a_healthy_worker_that_knows_our_token(world: World) -> None:
    end = FarEnd(models_away=2)
    async with far(end) as source, living(source, world) as supervisor:
        health = await supervisor.begin()

    assert health is not None
    assert supervisor.number == 1
    assert end.calls.count("/api/models") == 3


class Rented(UrlWorker):
    """A far end that is rented, from somebody who takes long to answer."""

    def __init__(self, url: str, *, lost_after_s: float, outage_s: float) -> None:
        super().__init__(url, "token")
        self.traits = Traits(rented=True, lost_after_s=lost_after_s, outage_s=outage_s, look_s=0.02)
        self.asked = self.given_up = 0
        self.down = False

    async def ended(self) -> Ended | None:
        self.asked += 1
        await anyio.sleep(DEADLINE_S)
        return None

    @property
    def cut_off(self) -> bool:
        return self.down

    async def lost(self) -> Ended | None:
        self.given_up += 1
        return Ended(Death.KILLED, frozenset(), "the pod did not answer any more")


@asynccontextmanager
async def rented(
    end: FarEnd, *, lost_after_s: float = 30.0, outage_s: float = 0.0
) -> AsyncIterator[Rented]:
    async with far(end) as source:
        yield Rented(source.describe(), lost_after_s=lost_after_s, outage_s=outage_s)


async def test_a_provider_that_is_slow_to_answer_keeps_nobody_from_hearing_the_worker(
    world: World,
) -> None:
    end = FarEnd(models_away=3)
    async with rented(end) as source, living(source, world) as supervisor:
        with anyio.fail_after(DEADLINE_S / 2):
            health = await supervisor.begin()
            assert await supervisor.recover(1) is None

    assert health is not None
    assert source.asked >= 1


async def test_a_proxy_that_lags_behind_a_rented_worker_is_waited_for(world: World) -> None:
    end = FarEnd(away=True)
    async with rented(end) as source, living(source, world) as supervisor:

        async def arrive() -> None:
            await until(lambda: len(end.calls) >= 3)
            end.away = False

        async with anyio.create_task_group() as tg:
            tg.start_soon(arrive)
            assert await supervisor.begin() is not None
    assert source.given_up == 0


async def test_a_rented_worker_that_no_proxy_reaches_is_replaced(world: World) -> None:
    end = FarEnd(away=True)
    async with rented(end, lost_after_s=0.1) as source, living(source, world) as supervisor:
        with pytest.raises(NoWorker, match="died 3 times without a caption"):
            await supervisor.begin()
    assert source.given_up == 3


async def test_a_pod_is_waited_for_while_it_is_this_network_that_is_down(world: World) -> None:
    end = FarEnd()
    async with (
        rented(end, lost_after_s=0.1, outage_s=DEADLINE_S) as source,
        living(source, world) as supervisor,
    ):
        await supervisor.begin()
        end.away = source.down = True

        async def return_soon() -> None:
            before = len(end.calls)
            await until(lambda: len(end.calls) > before + 20)
            source.down = end.away = False

        async with anyio.create_task_group() as tg:
            tg.start_soon(return_soon)
            assert await supervisor.recover(1) is None

    assert (supervisor.number, source.given_up) == (1, 0)
    (said,) = world.told.warnings
    assert "network seems to be down" in said


async def test_an_outage_that_outlasts_the_guard_loses_the_pod(world: World) -> None:
    end = FarEnd()
    async with (
        rented(end, lost_after_s=0.1, outage_s=0.5) as source,
        living(source, world) as supervisor,
    ):
        await supervisor.begin()
        end.away = source.down = True
        with pytest.raises(NoWorker):
            await supervisor.recover(1)

    assert source.given_up >= 1


async def test_an_outage_before_the_first_word_of_a_pod_is_waited_for(world: World) -> None:
    end = FarEnd(away=True)
    async with (
        rented(end, lost_after_s=0.1, outage_s=DEADLINE_S) as source,
        living(source, world) as supervisor,
    ):
        source.down = True

        async def return_soon() -> None:
            await until(lambda: len(end.calls) > 20)
            source.down = end.away = False

        async with anyio.create_task_group() as tg:
            tg.start_soon(return_soon)
            assert await supervisor.begin() is not None

    assert (supervisor.number, source.given_up) == (1, 0)


async def test_an_outage_counts_from_the_pods_last_answer_as_its_guard_counts(world: World) -> None:
    end = FarEnd()
    async with (
        rented(end, lost_after_s=0.1, outage_s=DEADLINE_S) as source,
        living(source, world) as supervisor,
    ):
        await supervisor.begin()
        last_heard_s = supervisor.client.heard_s
        assert monotonic_s() - last_heard_s < DEADLINE_S / 2, "the pod's answer was not noted"
        assert isinstance(supervisor.client, WorkerClient)
        supervisor.client.heard_s -= 2 * DEADLINE_S
        end.away = source.down = True
        async with anyio.create_task_group() as tg:
            tg.start_soon(supervisor.recover, 1)
            with anyio.fail_after(DEADLINE_S / 2):
                await until(lambda: source.given_up == 1)
            tg.cancel_scope.cancel()


async def test_a_worker_that_does_not_know_our_token_is_refused_at_once(world: World) -> None:
    async with far(FarEnd(refuses=True)) as source, living(source, world) as supervisor:
        with pytest.raises(WorkerRefused):
            await supervisor.begin()


async def test_a_worker_that_comes_back_is_the_same_life(world: World) -> None:
    end = FarEnd()
    async with far(end) as source, living(source, world) as supervisor:
        await supervisor.begin()
        end.away = True

        async def return_soon() -> None:
            before = len(end.calls)
            await until(lambda: len(end.calls) > before + 2)
            end.away = False

        async with anyio.create_task_group() as tg:
            tg.start_soon(return_soon)
            assert await supervisor.recover(1) is None

    assert (supervisor.number, supervisor.crashes) == (1, 0)


async def test_a_worker_that_its_keeper_started_anew_is_a_new_life(world: World) -> None:
    end = FarEnd()
    async with far(end) as source, living(source, world) as supervisor:
        await supervisor.begin()
        end.boot_id, end.status = "two", "failed"

        async def load() -> None:
            before = len(end.calls)
            await until(lambda: len(end.calls) > before + 1)
            end.status = "ready"

        async with anyio.create_task_group() as tg:
            tg.start_soon(load)
            health = await supervisor.recover(1)

    assert health is not None
    assert (supervisor.number, supervisor.crashes) == (2, 1)


async def test_a_worker_that_is_always_started_anew_is_given_up(world: World) -> None:
    end = FarEnd()
    async with far(end) as source, living(source, world) as supervisor:
        await supervisor.begin()
        for boot_id in ("two", "three"):
            end.boot_id = boot_id
            await supervisor.recover(supervisor.number)
        end.boot_id = "four"
        with pytest.raises(NoWorker, match="died 3 times"):
            await supervisor.recover(supervisor.number)


async def test_a_worker_that_stays_away_is_given_up(world: World) -> None:
    end = FarEnd()
    async with far(end, lost_after_s=0.3) as source, living(source, world) as supervisor:
        await supervisor.begin()
        end.away = True
        with pytest.raises(NoWorker, match="is gone"):
            await supervisor.recover(1)


async def test_many_that_lose_a_worker_recover_it_once(world: World) -> None:
    source = Relay(world.local("one"), world.local("two"))
    async with living(source, world) as supervisor:
        await supervisor.begin()
        os.kill(source.pid, signal.SIGKILL)
        found: list[object] = []

        async def recover() -> None:
            found.append(await supervisor.recover(1))

        async with anyio.create_task_group() as tg:
            for _ in range(10):
                tg.start_soon(recover)

    assert sum(health is not None for health in found) == 1
    assert (supervisor.number, supervisor.crashes) == (2, 1)
    assert len(world.told.warnings) == 1


async def test_a_child_that_hangs_is_replaced(world: World) -> None:
    source = Relay(world.local("one"), world.local("two"), lost_after_s=0.5)
    async with living(source, world) as supervisor:
        await supervisor.begin()
        os.kill(source.pid, signal.SIGSTOP)
        with anyio.fail_after(DEADLINE_S):
            health = await supervisor.recover(1)

    assert health is not None
    assert supervisor.number == 2
    assert "it hung" in world.told.warnings[0]


async def test_a_child_that_dies_alone_over_nothing_counts_against_the_worker(
    world: World,
) -> None:
    source = Relay(*(world.local(str(n)) for n in range(4)))
    async with living(source, world) as supervisor:
        await supervisor.begin()
        for number in (1, 2):
            os.kill(source.pid, signal.SIGKILL)
            await supervisor.recover(number, alone="the-suspect")
        os.kill(source.pid, signal.SIGKILL)
        with pytest.raises(NoWorker, match="died 3 times"):
            await supervisor.recover(3, alone="the-suspect")


async def test_a_drain_does_not_wait_for_a_model_that_loads(world: World) -> None:
    source = Relay(world.local(load_s=1000))
    async with living(source, world) as supervisor:
        found: list[object] = []

        async def begin() -> None:
            found.append(await supervisor.begin())

        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(begin)
                await until(lambda: loads(world))
                supervisor.drain()

        assert found == [None]
        assert supervisor.over


async def test_a_drain_does_not_wait_for_another_worker_after_a_death(world: World) -> None:
    source = Relay(world.local("one"), world.local("two", load_s=1000))
    async with living(source, world) as supervisor:
        await supervisor.begin()
        os.kill(source.pid, signal.SIGKILL)
        found: list[object] = []

        async def recover() -> None:
            found.append(await supervisor.recover(1))

        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(recover)
                tg.start_soon(recover)
                await until(lambda: bool(world.told.warnings))
                await until(lambda: loads(world))
                supervisor.drain()

        assert found == [None, None]
        assert supervisor.over
        assert supervisor.loss is not None


async def test_once_drained_a_dead_worker_is_not_replaced(world: World) -> None:
    source = Relay(world.local("one"), world.local("two"))
    async with living(source, world) as supervisor:
        await supervisor.begin()
        supervisor.drain()
        os.kill(source.pid, signal.SIGKILL)

        assert await supervisor.recover(1) is None
        assert supervisor.over
        assert source.at == 0


@pytest.mark.slow
async def test_a_worker_that_does_not_end_is_told_of_and_what_the_run_has_done_stands(
    world: World,
) -> None:
    run = await world.enqueue(*await world.pictures(4))
    worker = world.local()

    class Stuck(Relay):
        async def stop(self) -> None:
            async with endless(worker):
                await super().stop()

    with anyio.fail_after(DEADLINE_S):
        counts = await world.serve(Stuck(worker), run)

    assert counts.done == 4
    (said,) = world.told.warnings
    assert "does not end, not even when it is killed" in said
