"""A rented worker: a pod that is had, lost, given back or ended, however busy the ledger is."""

import json
import math
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import anyio
import pytest

from captiv.clock import monotonic_s
from captiv.core.cost import cost, price_of
from captiv.core.fleet import Offer
from captiv.core.pods import PodRow
from captiv.core.retry import Death
from captiv.errors import ConfigurationError, NoWorker
from captiv.rental.fleet import Fleet
from captiv.rental.provision import Provisioning
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.source import RentedWorker
from captiv.settings import Paths
from captiv.store import pods
from captiv.testing.cloud import Cloud, running
from tests.support import SCRIPTED
from tests.world import World, until

from .accounts import account_of
from .test_provision import Scene


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud whose pods caption with the torch-free engine."""
    engine = ("--engine", SCRIPTED, "--engine-options", json.dumps({}))
    with running(worker_args=engine, provisioning_s=0, pulling_s=0) as opened:
        yield opened


@pytest.fixture
async def scene(cloud: Cloud, world: World, paths: Paths) -> AsyncIterator[Scene]:
    api = RunpodApi(cloud.account_key, url=cloud.api_url)
    yield Scene(account_of(cloud, api, paths), world, await world.open())
    cloud.mischief.disarm()
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as again:
        for pod in await again.pods():
            await again.terminate(pod.id)


def worker_of(scene: Scene, cap: Decimal | None = None) -> RentedWorker:
    fleet = Fleet(scene.world.store, scene.run.id, cap, now_ms=scene.now_ms)
    tokens = iter("abcdefgh")
    terms = replace(scene.terms, max_cost=cap)
    return RentedWorker(scene.context, terms, fleet, new_token=lambda: next(tokens))


def told(_phase: object) -> None:
    """Take no notice."""


async def forever(_offer: Offer) -> None:
    """Set no deadline."""


@contextmanager
def busy(world: World) -> Iterator[None]:
    """Have another process hold the job table."""
    held = sqlite3.connect(world.store.path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        held.execute("ROLLBACK")
        held.close()


async def row_of(scene: Scene) -> PodRow:
    (row,) = await scene.rows()
    return row


async def test_a_pod_is_had_named_and_ended_with_the_run(scene: Scene, cloud: Cloud) -> None:
    worker = worker_of(scene)
    assert worker.describe() == "RunPod"

    address = await worker.start(told)
    client = address.connect()
    health = await client.health()
    await client.aclose()
    row = await row_of(scene)
    described = worker.describe()
    await worker.stop()

    assert health.status == "ready"
    assert described == f"RunPod pod {row.pod_id} ({row.gpu})"
    assert (worker.traits.rented, worker.traits.lost_after_s) == (True, 3)
    assert cloud.pods_alive() == []
    assert (await row_of(scene)).end_reason == "the run ended"


@pytest.mark.slow
@pytest.mark.allow_blocking
async def test_a_table_that_is_busy_keeps_no_pod_alive(
    scene: Scene, cloud: Cloud, world: World
) -> None:
    worker = worker_of(scene)
    await worker.start(told)

    async with anyio.create_task_group() as tg:
        with busy(world):
            tg.start_soon(worker.stop)
            await until(lambda: cloud.pods_alive() == [])
            still = await row_of(scene)

    assert still.state == "live", "nothing could be written meanwhile"
    row = await row_of(scene)
    assert (row.state, row.end_reason) == ("ended", "the run ended")


async def test_a_pod_that_is_silent_is_ended_and_its_batch_is_suspect_of_nothing(
    scene: Scene, cloud: Cloud
) -> None:
    worker = worker_of(scene)
    await worker.start(told)

    ended = await worker.lost()

    assert ended is not None
    assert (ended.death, ended.suspects) == (Death.KILLED, frozenset())
    assert cloud.pods_alive() == []
    assert (await row_of(scene)).end_reason == "silent for too long"
    await worker.stop()


@pytest.mark.slow
async def test_a_crash_loop_on_two_hosts_is_on_every_host_whatever_its_last_words(
    scene: Scene, cloud: Cloud
) -> None:
    before = len(cloud.pods())
    cloud.mischief.arm("crash_loop", times=None)
    worker = worker_of(scene)

    with pytest.raises(NoWorker, match=r"crashed \d times .* this container ends at once"):
        await worker.start(told)

    assert len(cloud.pods()) == before + 2
    assert cloud.pods_alive() == []
    await worker.stop()


async def test_a_pod_that_was_left_and_fails_as_every_one_would_is_followed_by_none(
    scene: Scene, cloud: Cloud
) -> None:
    cloud.mischief.arm("image_missing")
    left = await scene.rent()
    before = len(cloud.pods())
    worker = worker_of(scene)

    with pytest.raises(ConfigurationError, match=rf"{left.pod.id} was given up: .*pulled"):
        await worker.start(told)

    assert len(cloud.pods()) == before
    assert cloud.pods_alive() == []
    await worker.stop()


@pytest.mark.parametrize("how", ["terminated", "stopped"])
async def test_a_pod_that_ended_elsewhere_is_known_to_be_gone(scene: Scene, how: str) -> None:
    scene.context = replace(scene.context, ask_s=0)
    worker = worker_of(scene)
    await worker.start(told)
    pod_id = (await row_of(scene)).pod_id or ""
    assert await worker.ended() is None

    provider = scene.account.provider
    await (provider.terminate(pod_id) if how == "terminated" else provider.stop(pod_id))
    ended = await worker.ended()

    assert ended is not None
    assert ended.reason == "RunPod says that the pod is gone"
    await worker.stop()


DAY_S = 86_400


async def test_the_planned_end_of_a_pod_is_put_off_while_its_run_goes_on(
    scene: Scene, cloud: Cloud
) -> None:
    worker = worker_of(scene)
    await worker.start(told)
    assert DAY_S - 60 < worker.ends_in_s <= DAY_S

    scene.late_ms = 23 * 3600 * 1000
    assert worker.ends_in_s < 3700
    async with anyio.create_task_group() as tg:
        tg.start_soon(worker.tend)
        await until(lambda: worker.ends_in_s > DAY_S - 60)
        tg.cancel_scope.cancel()

    row = await row_of(scene)
    assert row.deadline_ms is not None
    assert row.deadline_ms - row.intended_ms > 46 * 3600 * 1000
    await worker.stop()


async def test_a_guard_that_cannot_be_told_keeps_its_planned_end(
    scene: Scene, cloud: Cloud
) -> None:
    worker = worker_of(scene)
    await worker.start(told)
    scene.late_ms = 23 * 3600 * 1000
    cloud.mischief.arm("proxy_down", times=None)

    await worker._lifespan._renewed()

    assert worker.ends_in_s < 3700
    await worker.hand_over()
    assert not worker.paying
    assert (await row_of(scene)).end_reason == "its planned end was near"
    await worker.stop()


async def test_a_part_of_a_cap_that_is_used_up_puts_off_nothing(scene: Scene) -> None:
    worker = worker_of(scene, Decimal("0.01"))
    await worker.start(told)
    row = await row_of(scene)

    assert worker.ends_in_s == math.inf, "the cap ends it before"
    await worker._lifespan._renewed()

    assert (await row_of(scene)).deadline_ms == row.deadline_ms
    await worker.stop()


async def test_a_provider_is_not_asked_as_often_as_a_silent_pod(scene: Scene, cloud: Cloud) -> None:
    worker = worker_of(scene)
    await worker.start(told)

    before = asked_about_a_pod(cloud)
    for _ in range(20):
        await worker.ended()

    assert asked_about_a_pod(cloud) - before == 1
    await worker.stop()


def asked_about_a_pod(cloud: Cloud) -> int:
    return sum(call.operation == "get_pod" for call in cloud.history)


@pytest.mark.slow
async def test_that_a_provider_did_not_answer_is_forgotten_after_a_while(
    scene: Scene, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.context = replace(scene.context, ask_s=0)
    worker = worker_of(scene)
    await worker.start(told)
    cloud.mischief.arm("blackout", times=None, for_s=60)
    assert await worker.ended() is None
    assert worker.cut_off

    later_s = monotonic_s() + 60
    monkeypatch.setattr("captiv.rental.source.monotonic_s", lambda: later_s)

    assert not worker.cut_off, "an outage before says nothing of the next silence"
    cloud.mischief.disarm("blackout")
    await worker.stop()


async def test_an_api_that_fails_says_nothing_of_a_pod(scene: Scene, cloud: Cloud) -> None:
    worker = worker_of(scene)
    await worker.start(told)
    cloud.mischief.arm("forbidden", times=1, call="get_pod")

    assert await worker.ended() is None
    await worker.stop()


async def test_a_pod_made_by_hand_is_used_and_given_back(
    scene: Scene, cloud: Cloud, world: World
) -> None:
    name = f"captiv-runpod-{scene.terms.owner.installation}-hand-t"
    by_hand = Provisioning(scene.context, scene.terms, run_id=None, new_name=lambda: name)
    made = await by_hand.rent(forever)
    worker = worker_of(scene)

    await worker.start(told)
    used = [row.id for row in await scene.rows()]
    await worker.stop()

    assert used == [made.row.id]
    assert cloud.pods_alive() == [made.pod.id], "it is left to its guard and to whoever made it"
    (row,) = await world.store.aread(pods.live, "runpod")
    assert (row.state, row.users) == ("live", frozenset())


async def test_a_run_that_may_not_rent_says_how_a_pod_is_made(scene: Scene, cloud: Cloud) -> None:
    policy = replace(scene.terms.policy, create=False)
    scene.terms = replace(scene.terms, policy=policy)
    worker = worker_of(scene)

    with pytest.raises(NoWorker, match=r"runpod\.auto_create is false") as refused:
        await worker.start(told)

    assert refused.value.hint == "Make one: captiv runpod create."
    assert cloud.pods_alive() == []
    await worker.stop()


async def test_a_cap_that_is_nearly_spent_affords_no_other_image(scene: Scene) -> None:
    worker = worker_of(scene, Decimal("0.05"))
    await worker.start(told)
    early = worker.affordable()

    scene.late_ms = 3_600_000
    late = worker.affordable()

    assert (early, late) == (True, False)
    await worker.stop()


async def test_the_real_price_of_a_pod_is_reckoned_with_and_its_guard_told(
    scene: Scene, cloud: Cloud
) -> None:
    for name in ("cost_unsaid", "dearer"):
        cloud.mischief.arm(name)
    cap = Decimal("0.01")
    worker = worker_of(scene, cap)
    await worker.start(told)
    await until(lambda: any("costs" in note for note in scene.notes))

    row = await row_of(scene)
    (pod,) = [pod for pod in cloud.pods() if pod.id == row.pod_id]
    assert price_of(row.price_micro) == pod.price
    assert row.deadline_ms is not None and row.created_ms is not None
    assert cost(pod.price, row.created_ms, row.deadline_ms) <= cap
    await worker._lifespan._retold()
    assert not worker._lifespan._untold
    await worker.stop()


async def test_a_price_moves_no_planned_end_where_there_is_no_cap(
    scene: Scene, cloud: Cloud
) -> None:
    for name in ("cost_unsaid", "dearer"):
        cloud.mischief.arm(name)
    worker = worker_of(scene)
    await worker.start(told)
    await until(lambda: any("costs" in note for note in scene.notes))

    assert DAY_S - 60 < worker.ends_in_s <= DAY_S
    await worker.stop()
