"""What a killed command left behind: found, or ended in the ledger when it ended by itself."""

from dataclasses import replace
from decimal import Decimal

import pytest

from captiv.clock import now_ms
from captiv.core.cost import total
from captiv.errors import NoWorker
from captiv.rental.adopt import Reuse
from captiv.rental.fleet import Fleet
from captiv.rental.runpod import RunpodApi
from captiv.rental.source import Rental
from captiv.store import lease, pods
from tests.world import World

from .test_provision import Scene

DAY_MS = 24 * 3_600_000


class NextDay:
    """The same run, asked for again a day after its command was killed."""

    def __init__(self, api: RunpodApi, scene: Scene, cap: Decimal) -> None:
        self.api, self.scene, self.cap = api, scene, cap
        scene.late_ms = DAY_MS

    async def fleet(self) -> Fleet:
        world = self.scene.world
        mine = await world.store.awrite(lease.begin_session, 2, "here", "dispatcher", self.now_ms())
        return Fleet(world.store, self.scene.run.id, self.cap, now_ms=self.now_ms, session=mine)

    def rental(self, fleet: Fleet) -> Rental:
        return Rental(
            self.api,
            self.scene.world.store,
            replace(self.scene.terms, create=False, max_cost=self.cap),
            fleet,
            token_of=lambda name: f"token-of-{name}",
            new_token=lambda: "t",
            now_ms=self.now_ms,
            on_note=self.scene.notes.append,
        )

    def reuse(self, fleet: Fleet) -> Reuse:
        return Reuse(
            self.api,
            self.scene.world.store,
            self.scene.terms,
            fleet,
            self.scene.renting,
            now_ms=self.now_ms,
            on_note=self.scene.notes.append,
            look_s=0.05,
        )

    def now_ms(self) -> int:
        return now_ms() + DAY_MS


@pytest.fixture
async def scene(api: RunpodApi, world: World) -> Scene:
    return Scene(api, world, await world.open())


async def test_a_pod_that_is_still_there_is_taken_up(api: RunpodApi, scene: Scene) -> None:
    rented = await scene.rent()
    again = NextDay(api, scene, Decimal(1))
    fleet = await again.fleet()

    found = await fleet.inherit(again.reuse(fleet).left_behind)

    assert found is not None
    assert found.pod_id == rented.pod.id


async def test_a_pod_that_its_guard_ended_at_night_has_not_spent_the_cap(
    api: RunpodApi, scene: Scene
) -> None:
    rented = await scene.rent()
    await api.terminate(rented.pod.id)
    an_hour = Decimal(str(rented.pod.cost_per_hour))
    again = NextDay(api, scene, an_hour)
    fleet = await again.fleet()

    with pytest.raises(NoWorker, match="auto_create"):  # and not that the cap is spent
        await again.rental(fleet).start(lambda _phase: None)

    (row,) = await scene.rows()
    shares = await scene.world.store.aread(pods.share, scene.run.id, 2**53)
    assert row.state == "ended"
    assert 0 < total(shares) < an_hour
