"""A machine that sleeps is noticed, and not charged for the pod that its guard ended meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest

from captiv.core.cost import total
from captiv.rental.fleet import Fleet
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.source import RentedWorker
from captiv.rental.suspend import SleepWatch
from captiv.settings import Paths
from captiv.store import pods
from captiv.testing.cloud import Cloud, running
from tests.support import SCRIPTED
from tests.world import World

from .accounts import account_of
from .test_provision import Scene

HOURS_MS = 8 * 3_600_000


@dataclass
class Clocks:
    wall_ms: int = 1_700_000_000_000
    loop_s: float = 5.0

    def awake(self, seconds: int) -> None:
        self.wall_ms += seconds * 1000
        self.loop_s += seconds

    def asleep(self, seconds: int) -> None:
        self.wall_ms += seconds * 1000


def test_a_sleep_is_told_from_a_long_wait() -> None:
    clocks = Clocks()
    watch = SleepWatch(lambda: clocks.wall_ms, lambda: clocks.loop_s)
    assert watch.look() is None
    clocks.awake(7200)
    assert watch.look() is None
    clocks.asleep(30)
    assert watch.look() is None, "a clock that was set"

    fell_ms = clocks.wall_ms
    clocks.asleep(7200)
    clocks.awake(2)

    assert watch.look() == fell_ms + 2000, "at the latest"
    assert watch.look() == fell_ms + 2000
    clocks.awake(301)
    assert watch.look() is None, "it is over for long"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running(worker_args=("--engine", SCRIPTED)) as opened:
        yield opened


async def test_a_pod_that_ended_while_this_machine_slept_is_paid_until_its_guard_had_ended_it(
    cloud: Cloud, world: World, paths: Paths
) -> None:
    api = RunpodApi(cloud.account_key, url=cloud.api_url)
    scene = Scene(account_of(cloud, api, paths), world, await world.open())
    fleet = Fleet(world.store, scene.run.id, None, now_ms=scene.now_ms)
    rental = RentedWorker(scene.context, scene.terms, fleet, new_token=lambda: "t")
    await rental.start(lambda _phase: None)
    assert rental.affordable()
    (pod,) = cloud.pods_alive()

    await api.terminate(pod)
    scene.late_ms = HOURS_MS
    ended = await rental.ended()

    (row,) = await scene.rows()
    shares = await world.store.aread(pods.share, scene.run.id, 2**53)
    an_hour = Decimal(row.price_micro) / 1_000_000
    assert ended is not None
    assert row.end_reason == "it ended while this machine slept"
    assert 0 < total(shares) < an_hour
    assert not rental.paying
    await rental.stop()
    assert await world.store.aread(pods.share, scene.run.id, 2**53) == shares
