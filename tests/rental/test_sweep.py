"""The sweep ends what nobody needs, leaves what somebody does, and never guesses."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.jobs import RunId
from captiv.core.pods import Guarded, PodRow, pod_name
from captiv.errors import ProviderUnreachable
from captiv.rental.account import Account
from captiv.rental.reconcile import GONE
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.rental.sweep import NEVER_ANSWERED, SETTLED_MS, Swept, sweep
from captiv.settings import Paths
from captiv.store import Lease, lease, pods, runs
from captiv.testing.cloud import Cloud, running
from tests.world import World

from .accounts import HERE, account_of

A5000 = "NVIDIA RTX A5000"
DEAD = RunId(77)
GUARDED = Guarded(idle_s=900, startup_s=1500)


class Fleet:
    """Pods, in the cloud and in the ledger."""

    def __init__(self, api: RunpodApi, account: Account, world: World) -> None:
        self.api, self.account, self.world = api, account, world
        self.token = 0

    async def intend(self, run: RunId | None = DEAD, **more: Any) -> str:
        self.token += 1
        name = pod_name("runpod", HERE, run, f"t{self.token}")
        given: dict[str, Any] = {"deadline_ms": None, "now_ms": now_ms()} | more
        await self.world.store.awrite(
            pods.intend,
            name,
            provider="runpod",
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
        found = await self.world.store.aread(pods.find, "runpod", id_or_name)
        assert found is not None
        return found

    async def sweep(self, later_ms: int = 0, **more: Any) -> list[Swept]:
        return await sweep(
            self.account, self.world.store, now_ms=lambda: now_ms() + later_ms, **more
        )


@pytest.fixture
def fleet(api: RunpodApi, account: Account, world: World) -> Fleet:
    policy = replace(account.policy, guarded=GUARDED)
    return Fleet(api, replace(account, policy=policy), world)


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
        await fleet.make(pod_name("runpod", "ffffffffffff", DEAD, "t")),
    ]

    assert await fleet.sweep() == []
    assert sorted(cloud.pods_alive()) == sorted(needed)


async def test_a_pod_that_the_ledger_never_heard_of_is_ended(fleet: Fleet, cloud: Cloud) -> None:
    pod = await fleet.make(pod_name("runpod", HERE, DEAD, "unknown"))

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


async def test_a_pod_that_nobody_saw_end_is_paid_until_its_guard_had_ended_it(
    fleet: Fleet, world: World
) -> None:
    pod = await fleet.rent()
    row = await fleet.row(pod)
    await world.store.awrite(pods.begin_use, row.id, DEAD, row.created_ms or 0)
    await fleet.api.terminate(pod)

    await fleet.sweep(later_ms=8 * 3_600_000)

    (share,) = await world.store.aread(pods.share, DEAD, 2**53)
    lived_s = (share.to_ms - share.from_ms) / 1000
    assert GUARDED.idle_s < lived_s <= GUARDED.startup_s + GUARDED.idle_s + 90, (
        "not the whole night"
    )


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


@pytest.fixture
def behind() -> Iterator[Cloud]:
    """A cloud whose list still shows a pod that is gone for whoever asks for it."""
    sleeping = ("sleep", "1000")
    with running(entrypoint=sleeping, provisioning_s=0, pulling_s=0, ended_listed_s=60) as opened:
        yield opened


async def test_a_list_that_is_behind_makes_nobody_pay_for_a_pod_that_is_gone(
    behind: Cloud, paths: Paths, world: World
) -> None:
    async with RunpodApi(behind.account_key, url=behind.api_url) as api:
        fleet = Fleet(api, account_of(behind, api, paths), world)
        pod = await fleet.rent()
        assert [s.outcome for s in await fleet.sweep()] == ["terminated"]
        ended_ms = (await fleet.row(pod)).ended_ms
        listed = {pod.id for pod in await api.pods()}

        orders = [call.operation for call in behind.history].count("delete_pod")

        assert listed == {pod}
        assert await fleet.sweep(later_ms=20_000) == []
        again = [call.operation for call in behind.history].count("delete_pod")
        assert again > orders, "a pod that is only too young to be known is ended all the same"
        assert (await fleet.row(pod)).ended_ms == ended_ms


async def test_an_end_whose_answer_never_comes_is_known_by_asking(
    fleet: Fleet, cloud: Cloud
) -> None:
    pod = await fleet.rent()
    cloud.mischief.arm("terminated_then_timed_out")

    assert [(s.pod_id, s.outcome) for s in await fleet.sweep()] == [(pod, "terminated")]

    orders = [call for call in cloud.history if call.operation == "delete_pod" and pod in call.path]
    assert len(orders) == 1, "the first was waited for until it timed out"


async def test_by_hand_a_dispatcher_that_was_killed_is_known_to_be_dead_at_once(
    fleet: Fleet, world: World
) -> None:
    pod = await fleet.rent((await world.open()).id)

    assert await fleet.sweep() == [], "for all that is known without the lease, it lives"
    (swept,) = await fleet.sweep(by_hand=True)

    assert (swept.pod_id, swept.outcome) == (pod, "terminated")
    assert await to_thread.run_sync(lease.is_free, fleet.account.paths.lock_file), (
        "it is given back"
    )


async def test_by_hand_a_pod_is_left_while_somebody_has_the_lease_and_it_is_said(
    fleet: Fleet, world: World, cloud: Cloud
) -> None:
    run = await world.open()
    pod = await fleet.rent(run.id)
    theirs = await to_thread.run_sync(Lease, fleet.account.paths.lock_file)
    assert await to_thread.run_sync(theirs.acquire)
    (left,) = await fleet.sweep(by_hand=True)
    await to_thread.run_sync(theirs.release)

    assert (left.pod_id, left.outcome) == (pod, "left")
    assert f"the command of run {run.id} was heard" in left.reason
    assert "sweep again in" in left.reason
    assert cloud.pods_alive() == [pod]


async def test_by_hand_the_pod_of_a_follower_that_takes_over_is_left(
    fleet: Fleet, world: World
) -> None:
    run = await world.open()
    pod = await fleet.rent(run.id)
    follower = await world.store.awrite(lease.begin_session, 2, "here", "follower", now_ms())
    await world.store.awrite(runs.want, run.id, follower, now_ms())

    (left,) = await fleet.sweep(by_hand=True)

    assert (left.pod_id, left.outcome) == (pod, "left")


async def test_by_hand_every_pod_that_is_left_has_a_reason(fleet: Fleet) -> None:
    by_hand = await fleet.rent(None)
    lingering = await fleet.rent(lingers=True)
    asked = await fleet.intend()
    await fleet.make("somebody-elses")

    swept = await fleet.sweep(by_hand=True)

    assert {one.outcome for one in swept} == {"left"}
    reasons = {one.pod_id or one.name: one.reason for one in swept}
    assert "made by hand" in reasons.pop(by_hand)
    assert "auto_terminate" in reasons.pop(lingering)
    assert "sweep again in" in reasons.pop(asked)
    assert reasons == {}
