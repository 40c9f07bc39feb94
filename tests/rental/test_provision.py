"""A pod that was made though its provider said otherwise, or nothing, is known, ended and paid."""

from itertools import count

import anyio
import pytest

from captiv.clock import now_ms
from captiv.core.cost import price_of, total
from captiv.core.fleet import Demand, Offer, settling_s
from captiv.core.jobs import Run
from captiv.core.pods import PodRow, pod_name
from captiv.errors import NoCapacity
from captiv.rental.account import Account
from captiv.rental.podspec import Terms
from captiv.rental.provision import Provisioning, RentalContext, Rented
from captiv.rental.sweep import NEVER_ANSWERED
from captiv.store import pods
from captiv.testing.cloud import Cloud
from captiv.wire import ModelChange
from tests.world import World, until

from .accounts import HERE


class Scene:
    """A run that rents, and what is told of it."""

    def __init__(self, account: Account, world: World, run: Run) -> None:
        self.world = world
        self.run = run
        self.notes: list[str] = []
        self.late_ms = 0
        """By how much it is later than it is."""
        self.settling_s = 0.5
        """For how long a pod is looked for."""
        self.asked: list[bool] = []
        """Whether the service had answered, for each pod that was looked for."""
        self.account = account
        self.context = RentalContext(account, world.store, self.now_ms, self.notes.append, 0.05)
        self.terms = _terms(run, account)
        numbers = count()
        self.provisioning = Provisioning(
            self.context,
            self.terms,
            run_id=run.id,
            new_name=lambda: pod_name("runpod", HERE, run.id, f"t{next(numbers)}"),
            settling_s=self._settling_s,
        )

    def now_ms(self) -> int:
        return now_ms() + self.late_ms

    def _settling_s(self, *, answered: bool) -> float:
        self.asked.append(answered)
        return self.settling_s

    async def rent(self) -> Rented:
        async def never(_offer: Offer) -> None:
            return None

        return await self.provisioning.rent(never)

    async def rows(self) -> list[PodRow]:
        return await self.world.store.aread(pods.of_run, self.run.id)


@pytest.fixture
async def scene(account: Account, world: World) -> Scene:
    return Scene(account, world, await world.open())


def _terms(run: Run, account: Account) -> Terms:
    return Terms(
        owner=account.owner,
        run_id=run.id,
        demand=Demand("shapes", "float32", 0.1),
        policy=account.policy,
        model=ModelChange(model="shapes"),
        disk_gb=20,
    )


def test_an_answer_by_the_service_is_settled_sooner_than_one_that_was_lost() -> None:
    assert settling_s(answered=True) < settling_s(answered=False)


@pytest.mark.parametrize(("status", "answered"), [(500, True), (503, True), (504, False)])
async def test_after_a_failure_another_pod_is_rented(
    scene: Scene, cloud: Cloud, status: int, answered: bool
) -> None:
    cloud.mischief.arm("server_error", status=status, call="create_pod")

    rented = await scene.rent()

    assert scene.asked == [answered]
    assert cloud.pods_alive() == [rented.pod.id]
    doubtful, live = await scene.rows()
    assert (doubtful.state, live.state) == ("intended", "live")


async def test_a_pod_that_is_listed_in_time_is_the_one(scene: Scene, cloud: Cloud) -> None:
    cloud.mischief.arm("created_then_timed_out", status=503)
    scene.settling_s = 60

    rented = await scene.rent()

    assert cloud.pods_alive() == [rented.pod.id]
    assert [row.pod_id for row in await scene.rows()] == [rented.pod.id]


async def test_a_pod_that_is_listed_too_late_is_ended_and_paid(scene: Scene, cloud: Cloud) -> None:
    cloud.mischief.arm("created_then_timed_out", status=503)
    unlisted = cloud.mischief.arm("late_in_list", seconds=1000)

    rented = await scene.rent()
    late = next(pod for pod in cloud.pods_alive() if pod != rented.pod.id)
    unlisted.options["seconds"] = 0

    async def ended() -> bool:
        await scene.provisioning.end_doubtful()
        return late not in cloud.pods_alive()

    await until(ended)

    assert cloud.pods_alive() == [rented.pod.id]
    row = next(row for row in await scene.rows() if row.pod_id == late)
    assert row.state == "ended"
    shares = await scene.world.store.aread(pods.share, scene.run.id, now_ms())
    assert total(shares[1:]) > 0
    assert [note for note in scene.notes if late in note] == scene.notes[-1:]


async def test_one_that_is_never_listed_is_given_up_in_time(scene: Scene, cloud: Cloud) -> None:
    cloud.mischief.arm("server_error", status=503, call="create_pod")
    await scene.rent()

    await scene.provisioning.end_doubtful()
    early = (await scene.rows())[0]
    scene.late_ms = 60_000
    await scene.provisioning.end_doubtful()
    late = (await scene.rows())[0]

    assert early.state == "intended"
    assert (late.state, late.end_reason) == ("ended", NEVER_ANSWERED)


async def test_a_pod_is_called_ended_before_its_end_and_paid_until_it_is_gone(
    scene: Scene, cloud: Cloud
) -> None:
    rented = await scene.rent()
    cloud.mischief.arm("terminate_fails", times=None)

    async def ended_in_the_ledger() -> bool:
        return (await scene.rows())[0].state == "ended"

    async with anyio.create_task_group() as tg:
        tg.start_soon(scene.provisioning.give_up, rented.row, "the run ended")
        await until(ended_in_the_ledger)
        alive = cloud.pods_alive()
        early = await scene.world.store.aread(pods.share, scene.run.id, 2**53)
        cloud.mischief.disarm()

    late = await scene.world.store.aread(pods.share, scene.run.id, 2**53)
    (row,) = await scene.rows()
    assert alive == [rented.pod.id]
    assert cloud.pods_alive() == []
    assert early[0].to_ms < late[0].to_ms < 2**53
    assert row.ended_ms == late[0].to_ms


async def test_what_cannot_be_listed_stays_open(scene: Scene, cloud: Cloud) -> None:
    cloud.mischief.arm("server_error", status=503, call="create_pod")
    await scene.rent()
    cloud.mischief.arm("server_error", times=None, call="list_pods")
    scene.late_ms = 60_000

    await scene.provisioning.end_doubtful()

    assert (await scene.rows())[0].state == "intended"


async def test_an_answer_without_a_price_leaves_the_one_that_was_offered(
    scene: Scene, cloud: Cloud
) -> None:
    cloud.mischief.arm("cost_unsaid")

    rented = await scene.rent()

    assert price_of(rented.row.price_micro) == rented.offer.price_usd_h > 0


async def test_pods_that_are_dearer_than_allowed_are_ended_and_two_are_enough(
    scene: Scene, cloud: Cloud
) -> None:
    cloud.mischief.arm("dearer", times=None, factor=100)
    before = len(cloud.pods())

    with pytest.raises(NoCapacity, match=r"turned out to cost .* above the limit of"):
        await scene.rent()

    assert len(cloud.pods()) - before == 2
    assert cloud.pods_alive() == []


async def test_three_creates_without_a_clear_answer_are_enough(scene: Scene, cloud: Cloud) -> None:
    cloud.mischief.arm("server_error", times=None, call="create_pod", status=502)
    before = len(cloud.history)

    with pytest.raises(NoCapacity, match="no clear answer"):
        await scene.rent()

    asked = [call for call in cloud.history[before:] if call.operation == "create_pod"]
    assert len(asked) == 3
    assert any("Looking for it" in note for note in scene.notes)
