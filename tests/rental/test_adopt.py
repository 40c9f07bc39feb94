"""What a killed command left behind: found, or ended in the ledger when it ended by itself."""

from dataclasses import replace
from decimal import Decimal

import pytest

from captiv.clock import now_ms
from captiv.core.cost import total
from captiv.errors import NoWorker
from captiv.rental.account import Account
from captiv.rental.adopt import Adoption
from captiv.rental.fleet import Fleet
from captiv.rental.provision import RentalContext
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.source import RentedWorker
from captiv.store import lease, pods
from tests.world import World

from .test_provision import Scene

DAY_MS = 24 * 3_600_000


class NextDay:
    """The same run, asked for again a day after its command was killed."""

    def __init__(self, scene: Scene, cap: Decimal) -> None:
        self.scene, self.cap = scene, cap
        scene.late_ms = DAY_MS

    async def fleet(self) -> Fleet:
        world = self.scene.world
        mine = await world.store.awrite(lease.begin_session, 2, "here", "dispatcher", self.now_ms())
        return Fleet(world.store, self.scene.run.id, self.cap, now_ms=self.now_ms, session=mine)

    def worker(self, fleet: Fleet) -> RentedWorker:
        policy = replace(self.scene.terms.policy, create=False)
        terms = replace(self.scene.terms, policy=policy, max_cost=self.cap)
        return RentedWorker(self.context, terms, fleet, new_token=lambda: "t")

    def adoption(self, fleet: Fleet) -> Adoption:
        return Adoption(self.context, self.scene.terms, fleet, self.scene.provisioning)

    @property
    def context(self) -> RentalContext:
        return replace(self.scene.context, now_ms=self.now_ms)

    def now_ms(self) -> int:
        return now_ms() + DAY_MS


@pytest.fixture
async def scene(account: Account, world: World) -> Scene:
    return Scene(account, world, await world.open())


async def test_a_pod_that_is_still_there_is_taken_up(scene: Scene) -> None:
    rented = await scene.rent()
    again = NextDay(scene, Decimal(1))
    fleet = await again.fleet()

    found = await fleet.inherit(again.adoption(fleet).left_behind)

    assert found is not None
    assert found.pod_id == rented.pod.id


async def test_a_pod_that_its_guard_ended_at_night_has_not_spent_the_cap(
    api: RunpodApi, scene: Scene
) -> None:
    rented = await scene.rent()
    await api.terminate(rented.pod.id)
    an_hour = rented.pod.price_usd_h
    again = NextDay(scene, an_hour)
    fleet = await again.fleet()

    with pytest.raises(NoWorker, match="auto_create"):  # and not that the cap is spent
        await again.worker(fleet).start(lambda _phase: None)

    (row,) = await scene.rows()
    shares = await scene.world.store.aread(pods.share, scene.run.id, 2**53)
    assert row.state == "ended"
    assert 0 < total(shares) < an_hour
