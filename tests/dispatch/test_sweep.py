"""The sweep ends what nobody needs, leaves what somebody does, and never guesses."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from captiv.core.jobs import RunId
from captiv.core.pods import PodRow, pod_name
from captiv.dispatch.sweep import GONE, NEVER_ANSWERED, SETTLED_MS, Swept, sweep
from captiv.errors import ProviderUnreachable
from captiv.runpod import CreatePod, GpuRequest, RunpodApi
from captiv.runpod.exchange import Patience
from captiv.service import now_ms
from captiv.store import pods
from captiv.testing.cloud import Cloud, running

from .conftest import World

HERE = "0123456789ab"
A5000 = "NVIDIA RTX A5000"
DEAD = RunId(77)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running(entrypoint=("sleep", "1000"), provisioning_s=0, pulling_s=0) as opened:
        yield opened


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[RunpodApi]:
    quick = Patience(tries=2, backoff_s=0.01)
    async with RunpodApi(cloud.account_key, url=cloud.api_url, patience=quick) as opened:
        yield opened
        cloud.mischief.disarm()
        for pod in await opened.pods():
            await opened.terminate(pod.id)
        assert cloud.pods_alive() == []


class Fleet:
    """Pods, in the cloud and in the ledger."""

    def __init__(self, api: RunpodApi, world: World) -> None:
        self.api, self.world = api, world
        self.token = 0

    async def intend(self, run: RunId | None = DEAD, **more: Any) -> str:
        self.token += 1
        name = pod_name(HERE, run, f"t{self.token}")
        given: dict[str, Any] = {"deadline_ms": None, "now_ms": now_ms()} | more
        await self.world.store.awrite(
            pods.intend,
            name,
            run_id=run,
            gpu=A5000,
            cloud="secure",
            price_micro=260_000,
            version="1",
            **given,
        )
        return name

    async def make(self, name: str) -> str:
        wanted = CreatePod(name=name, image="captiv/worker:test", gpu=GpuRequest(id=A5000))
        return (await self.api.create(wanted)).id

    async def rent(self, run: RunId | None = DEAD, **more: Any) -> str:
        name = await self.intend(run, **more)
        pod_id = await self.make(name)
        await self.world.store.awrite(pods.arrived, name, pod_id, 260_000, now_ms(), "")
        return pod_id

    async def row(self, id_or_name: str) -> PodRow:
        found = await self.world.store.aread(pods.find, id_or_name)
        assert found is not None
        return found

    async def sweep(self, later_ms: int = 0, **more: Any) -> list[Swept]:
        since = now_ms() - 15_000
        return await sweep(
            self.api,
            self.world.store,
            HERE,
            lambda: now_ms() + later_ms,
            wanted_since_ms=since,
            **more,
        )


@pytest.fixture
def fleet(api: RunpodApi, world: World) -> Fleet:
    return Fleet(api, world)


async def test_a_pod_of_a_dead_run_is_ended_here_and_there(fleet: Fleet, cloud: Cloud) -> None:
    pod = await fleet.rent()

    (swept,) = await fleet.sweep()

    assert (swept.pod_id, swept.outcome) == (pod, "terminated")
    assert "the command of that run is gone" in swept.reason
    assert cloud.pods_alive() == []
    row = await fleet.row(pod)
    assert row.state == "ended"
    assert (row.end_reason or "").startswith("swept: ")


async def test_what_somebody_needs_is_left(fleet: Fleet, world: World, cloud: Cloud) -> None:
    run = await world.open()
    needed = [
        await fleet.rent(run.id),
        await fleet.rent(None),
        await fleet.rent(lingers=True),
        await fleet.make("somebody-elses"),
        await fleet.make(pod_name("ffffffffffff", DEAD, "t")),
    ]

    assert await fleet.sweep() == []
    assert sorted(cloud.pods_alive()) == sorted(needed)


async def test_a_pod_that_the_ledger_never_heard_of_is_ended(fleet: Fleet, cloud: Cloud) -> None:
    pod = await fleet.make(pod_name(HERE, DEAD, "unknown"))

    assert [(s.pod_id, s.outcome) for s in await fleet.sweep()] == [(pod, "terminated")]
    assert cloud.pods_alive() == []


async def test_without_a_list_nothing_is_done(fleet: Fleet, cloud: Cloud) -> None:
    pod = await fleet.rent()
    cloud.mischief.arm("server_error", call="list_pods", times=None)

    with pytest.raises(ProviderUnreachable):
        await fleet.sweep()

    assert (await fleet.row(pod)).state == "live"
    assert cloud.pods_alive() == [pod]


async def test_an_intent_is_closed_only_when_it_is_too_old_to_be_under_way(fleet: Fleet) -> None:
    name = await fleet.intend()

    assert await fleet.sweep() == []
    (swept,) = await fleet.sweep(later_ms=SETTLED_MS + 1)

    assert (swept.name, swept.pod_id, swept.outcome) == (name, None, "never came")
    assert (await fleet.row(name)).end_reason == NEVER_ANSWERED


async def test_a_pod_by_hand_whose_answer_never_came_is_ended(fleet: Fleet, cloud: Cloud) -> None:
    name = await fleet.intend(None)
    pod = await fleet.make(name)

    assert await fleet.sweep() == []
    (swept,) = await fleet.sweep(later_ms=SETTLED_MS + 1)

    assert (swept.pod_id, swept.outcome) == (pod, "terminated")
    assert (await fleet.row(name)).state == "ended"
    assert cloud.pods_alive() == []


async def test_the_intent_of_a_living_run_is_its_own_affair(fleet: Fleet, world: World) -> None:
    name = await fleet.intend((await world.open()).id)

    assert await fleet.sweep(later_ms=SETTLED_MS + 1) == []
    assert (await fleet.row(name)).state == "intended"


async def test_a_pod_that_is_gone_is_closed_in_the_ledger(fleet: Fleet) -> None:
    pod = await fleet.rent(None)
    await fleet.api.terminate(pod)

    assert await fleet.sweep() == []  # so young that RunPod may not know it yet
    (swept,) = await fleet.sweep(later_ms=61_000)

    assert (swept.pod_id, swept.outcome) == (pod, "gone")
    assert (await fleet.row(pod)).end_reason == GONE


async def test_a_living_run_finds_out_itself_that_its_pod_is_gone(
    fleet: Fleet, world: World
) -> None:
    pod = await fleet.rent((await world.open()).id)
    await fleet.api.terminate(pod)

    assert await fleet.sweep(later_ms=61_000) == []
    assert (await fleet.row(pod)).state == "live"


async def test_a_pod_that_is_only_missing_in_the_list_is_not_gone(
    fleet: Fleet, cloud: Cloud
) -> None:
    pod = await fleet.rent(None)
    cloud.mischief.arm("vanished_from_list", times=1)

    assert await fleet.sweep(later_ms=61_000) == []
    assert (await fleet.row(pod)).state == "live"


async def test_an_end_that_fails_is_asked_for_again(fleet: Fleet, cloud: Cloud) -> None:
    pod = await fleet.rent()
    cloud.mischief.arm("terminate_fails", times=3)

    assert [(s.pod_id, s.outcome) for s in await fleet.sweep()] == [(pod, "terminated")]


async def test_a_pod_that_cannot_be_ended_is_found_by_the_next_sweep(
    fleet: Fleet, cloud: Cloud
) -> None:
    pod = await fleet.rent()
    cloud.mischief.arm("terminate_fails", times=None)
    assert [s.outcome for s in await fleet.sweep(confirm_s=0.2)] == ["still there"]
    cloud.mischief.disarm()

    (swept,) = await fleet.sweep()

    assert (swept.pod_id, swept.outcome) == (pod, "terminated")
    assert "and is still there" in swept.reason
