"""What the pods of one run share, over a real ledger."""

from dataclasses import dataclass, field
from decimal import Decimal

import anyio
import pytest

from captiv.core.cost import cost, price_of
from captiv.core.fleet import MAX_LOSSES, Offer
from captiv.core.jobs import RunId
from captiv.core.pods import PodRow, pod_name
from captiv.errors import BudgetSpent, NoWorker
from captiv.rental.fleet import Fleet
from captiv.store import pods
from tests.world import World

RUN = RunId(5)
HERE = "0123456789ab"
OFFER = Offer("NVIDIA RTX A5000", "secure", 24.0, Decimal("0.36"), "high")
"""A hundredth of a cent a second."""


@dataclass(eq=False)
class Lane:
    """A member of the fleet, with a pod that is in the ledger only."""

    fleet: Fleet
    world: World
    clock: "Clock"
    row: PodRow | None = None
    added: list[Decimal] = field(default_factory=list)

    @property
    def paying(self) -> bool:
        return self.row is not None

    async def prolong(self, dollars: Decimal) -> None:
        self.added.append(dollars)
        assert self.row is not None and self.row.deadline_ms is not None
        deadline = self.row.deadline_ms + int(dollars * 3600 / OFFER.price_usd_h) * 1000
        await self.world.store.awrite(pods.prolong, self.row.id, deadline)
        await self.look()

    async def rent(self) -> int:
        """Have a pod; return the seconds that it may live."""
        deadline = await self.fleet.deadline_ms(self, OFFER)
        await anyio.sleep(0)  # others ask meanwhile
        name = pod_name("runpod", HERE, RUN, f"t{id(self)}x{self.clock.now}")
        now = self.clock.now
        await self.world.store.awrite(
            pods.intend,
            name,
            provider="runpod",
            run_id=RUN,
            gpu=OFFER.gpu_id,
            cloud="secure",
            price_micro=360_000,
            version="1",
            deadline_ms=deadline,
            now_ms=now,
        )
        await self.world.store.awrite(pods.arrived, name, name, 360_000, now, "http://x")
        self.row = await self.world.store.aread(pods.find, "runpod", name)
        assert self.row is not None
        await self.world.store.awrite(pods.begin_use, self.row.id, RUN, now)
        await self.fleet.made(self)
        return (deadline - now) // 1000

    async def look(self) -> None:
        assert self.row is not None
        self.row = await self.world.store.aread(pods.find, "runpod", self.row.name)

    async def end(self) -> None:
        assert self.row is not None
        await self.world.store.awrite(pods.ended, self.row.id, self.clock.now, "over")
        self.row = None
        await self.fleet.reckon()


@dataclass
class Clock:
    now: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: int) -> None:
        self.now += seconds * 1000


def lanes(world: World, n: int, cap: str | None) -> tuple[Fleet, Clock, list[Lane]]:
    clock = Clock()
    fleet = Fleet(world.store, RUN, None if cap is None else Decimal(cap), now_ms=clock)
    members = [Lane(fleet, world, clock) for _ in range(n)]
    for member in members:
        fleet.join(member)
    return fleet, clock, members


async def test_pods_that_are_made_at_the_same_time_share_the_cap(world: World) -> None:
    _, _, (one, two) = lanes(world, 2, "0.02")
    lives: list[int] = []

    async def rent(lane: Lane) -> None:
        lives.append(await lane.rent())

    async with anyio.create_task_group() as tg:
        tg.start_soon(rent, one)
        tg.start_soon(rent, two)

    assert lives == [100, 100], "half a cap each, at a hundredth of a cent a second"


async def test_a_pod_in_the_making_keeps_its_part_when_another_lane_opens(world: World) -> None:
    fleet, clock, (one, two) = lanes(world, 2, "0.04")
    first = await fleet.deadline_ms(one, OFFER)
    three = Lane(fleet, world, clock)
    fleet.join(three)

    others = await two.rent() + await three.rent()

    assert (first - clock.now) // 1000 + others <= 400


async def test_a_replacement_gets_what_the_lost_pod_left_and_no_more(world: World) -> None:
    _, clock, (one, two) = lanes(world, 2, "0.04")
    await one.rent()
    await two.rent()
    clock.pass_s(80)
    await one.end()

    assert await one.rent() == 120
    clock.pass_s(120)
    with pytest.raises(BudgetSpent):
        await one.end()
        await one.rent()


async def test_who_leaves_leaves_its_part_to_the_others(world: World) -> None:
    fleet, clock, (one, two) = lanes(world, 2, "0.04")
    await one.rent()
    await two.rent()
    clock.pass_s(50)
    await one.end()
    await fleet.leave(one)
    await fleet.leave(one)

    assert two.added == [Decimal("0.015")]
    assert two.row is not None and two.row.deadline_ms is not None
    left = cost(price_of(360_000), two.row.intended_ms, two.row.deadline_ms)
    assert left == Decimal("0.035"), "with the 0.005 of the other, all of the cap"
    assert not fleet.abandoned
    await two.end()
    await fleet.leave(two)
    assert fleet.abandoned


async def test_claims_stop_for_all_pods_when_together_they_near_the_cap(world: World) -> None:
    fleet, clock, (one, two) = lanes(world, 2, "0.02")
    await one.rent()
    await two.rent()

    clock.pass_s(70)
    assert fleet.affords()
    clock.pass_s(1)
    assert not fleet.affords()


async def test_a_cap_that_is_spent_is_said_before_anything_is_asked(world: World) -> None:
    fleet, clock, (one,) = lanes(world, 1, "0.01")
    await one.rent()
    clock.pass_s(101)
    await one.end()

    with pytest.raises(BudgetSpent, match="--max-cost"):
        await fleet.require_money()


async def test_a_part_that_pays_for_no_caption_is_not_spent(world: World) -> None:
    _, _, members = lanes(world, 4, "0.01")

    with pytest.raises(BudgetSpent, match="does not pay for a caption"):
        await members[0].rent()


async def test_without_a_cap_a_pod_lives_for_a_day(world: World) -> None:
    fleet, clock, (one, two) = lanes(world, 2, None)

    assert (await one.rent(), await two.rent()) == (86_400, 86_400)
    clock.pass_s(10**6)
    assert fleet.affords()


async def test_losses_are_the_run_s_and_not_each_lane_s(world: World) -> None:
    run = await world.open()
    fleet = Fleet(world.store, run.id, None, now_ms=Clock())
    for _ in range(MAX_LOSSES - 1):
        await fleet.lost()

    with pytest.raises(NoWorker, match="within an hour, with fewer than 100 captions"):
        await fleet.lost()


async def test_losses_that_are_hours_apart_end_no_run(world: World) -> None:
    run, clock = await world.open(), Clock()
    fleet = Fleet(world.store, run.id, None, now_ms=clock, clock_s=lambda: clock.now / 1000)

    for _ in range(2 * MAX_LOSSES):
        await fleet.lost()
        clock.pass_s(1900)


async def test_what_a_killed_command_left_is_handed_out_once(world: World) -> None:
    fleet, _, members = lanes(world, 3, None)
    looks = 0
    await members[0].rent()
    left = [members[0].row, members[0].row]

    async def find() -> list[PodRow]:
        nonlocal looks
        looks += 1
        await anyio.sleep(0.01)
        return [row for row in left if row is not None]

    got: list[PodRow | None] = []

    async def inherit() -> None:
        got.append(await fleet.inherit(find))

    async with anyio.create_task_group() as tg:
        for _ in range(3):
            tg.start_soon(inherit)

    assert looks == 1
    assert [row is not None for row in got] == [True, True, False]
