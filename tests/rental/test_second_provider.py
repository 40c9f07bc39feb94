"""A second provider, without names, stop or logs, is rented from by the same code as RunPod."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from anyio import to_thread

from captiv.clock import now_ms
from captiv.core.fleet import Demand
from captiv.core.jobs import Run, RunId
from captiv.core.pods import PodRow, parse_pod_name
from captiv.errors import ProviderRejected
from captiv.rental import actions
from captiv.rental.account import Account
from captiv.rental.billing import confirmed
from captiv.rental.fleet import Fleet
from captiv.rental.podspec import Terms
from captiv.rental.provision import RentalContext
from captiv.rental.reconcile import unseen_end
from captiv.rental.records import Billed
from captiv.rental.source import RentedWorker
from captiv.rental.sweep import NEVER_ANSWERED, SETTLED_MS, sweep
from captiv.rental.views import views
from captiv.settings import Paths, Secret, Settings
from captiv.store import pods
from captiv.testing.boxes import Boxes, BoxProvider, box_type, serving
from captiv.wire import ModelChange
from tests.support import SCRIPTED
from tests.world import World, until

from .accounts import HERE


@pytest.fixture(scope="module")
def boxes() -> Iterator[Boxes]:
    with serving(("--engine", SCRIPTED, "--engine-options", json.dumps({}))) as opened:
        yield opened


@pytest.fixture
async def account(boxes: Boxes, paths: Paths) -> AsyncIterator[Account]:
    kind = box_type(boxes.url, boxes.key)
    settings = Settings()
    opened = Account(kind.open(settings), kind.policy(settings), paths, Secret(HERE, b"k" * 32))
    yield opened
    await opened.aclose()
    for box in boxes.alive():
        await to_thread.run_sync(boxes.end, boxes.made[box])


class Renter:
    """A run that rents boxes."""

    def __init__(self, account: Account, world: World, run: Run) -> None:
        self.account, self.world, self.run = account, world, run
        self.notes: list[str] = []
        self.late_ms = 0
        self.context = RentalContext(account, world.store, self.now_ms, self.notes.append, 0.05)
        self.terms = Terms(
            owner=account.owner,
            run_id=run.id,
            demand=Demand("shapes", "float32", 0.1),
            policy=account.policy,
            model=ModelChange(model="shapes"),
        )

    def now_ms(self) -> int:
        return now_ms() + self.late_ms

    def worker(self) -> RentedWorker:
        fleet = Fleet(self.world.store, self.run.id, None, now_ms=self.now_ms)
        tokens = iter("abcdefgh")
        return RentedWorker(self.context, self.terms, fleet, new_token=lambda: next(tokens))

    async def rows(self) -> list[PodRow]:
        return await self.world.store.aread(pods.of_run, self.run.id)


@pytest.fixture
async def renter(account: Account, world: World) -> Renter:
    return Renter(account, world, await world.open())


def told(_phase: object) -> None:
    """Take no notice."""


async def test_a_box_is_rented_used_ended_and_paid(
    renter: Renter, boxes: Boxes, account: Account
) -> None:
    worker = renter.worker()

    address = await worker.start(told)
    client = address.connect()
    health = await client.health()
    models = await client.models()
    await client.aclose()
    (live,) = await renter.rows()
    described = worker.describe()
    await worker.stop()
    (ended,) = await renter.rows()
    drawn = await renter.world.store.aread(pods.bill, renter.run.id, now_ms())

    assert (health.status, models.loaded) == ("ready", "shapes")
    assert described == f"Boxes pod {live.pod_id} (small)"
    assert (live.provider, live.state, live.cloud) == ("boxes", "live", "")
    assert live.price_micro == 120_000, "two tenths of a cent a minute"
    name = parse_pod_name(live.name)
    assert name is not None and name.provider == "boxes"
    assert (ended.state, boxes.alive()) == ("ended", [])
    assert "captiv boxes terminate" in replace(drawn[0], ended_ms=None).line()


async def test_the_provider_bills_minutes_and_its_word_stands_beside_the_ledgers(
    renter: Renter, account: Account
) -> None:
    worker = renter.worker()
    await worker.start(told)
    drawn = await renter.world.store.aread(pods.bill, renter.run.id, now_ms())

    (pod,) = await confirmed(account.provider, drawn)

    assert pod.billing
    assert pod.recorded == Decimal("0.002")
    await worker.stop()


async def test_a_provider_whose_records_fail_leaves_bill_and_ledger_as_they_are(
    renter: Renter, boxes: Boxes, world: World
) -> None:
    worker = renter.worker()
    await worker.start(told)
    drawn = await world.store.aread(pods.bill, renter.run.id, now_ms())
    away = BoxProvider("http://127.0.0.1:9", boxes.key)

    found = await confirmed(away, drawn)
    since = {pod.pod_id: pod.created_ms for pod in drawn}
    known = await Billed().of(away, since)
    paid_ms = await unseen_end(
        replace(renter.account, provider=away),
        world.store,
        (await renter.rows())[0],
        session=None,
        now_ms=now_ms(),
    )

    await away.aclose()
    await worker.stop()
    assert (found, known) == (drawn, {})
    assert paid_ms > 0


async def test_the_records_of_a_box_that_has_ended_are_still_there(
    renter: Renter, boxes: Boxes
) -> None:
    worker = renter.worker()
    await worker.start(told)
    drawn = await renter.world.store.aread(pods.bill, renter.run.id, now_ms())
    await worker.stop()

    again = BoxProvider(boxes.url, boxes.key)
    (pod,) = await confirmed(again, drawn)
    await again.aclose()

    assert (pod.gone, pod.recorded) == (True, Decimal("0.002"))


async def test_what_a_killed_command_left_is_taken_up_by_its_id(
    renter: Renter, boxes: Boxes
) -> None:
    await renter.worker().start(told)  # and killed
    renter.late_ms = 1
    again = renter.worker()

    await again.start(told)

    assert len(boxes.alive()) == 1
    assert any("again" in note for note in renter.notes)
    await again.stop()
    assert boxes.alive() == []


async def test_a_box_whose_answer_never_came_cannot_be_found_and_is_left_to_its_guard(
    renter: Renter, boxes: Boxes
) -> None:
    boxes.swallow_creates = 1
    worker = renter.worker()

    await worker.start(told)
    lost, used = await renter.rows()
    renter.late_ms = SETTLED_MS + 1
    await worker.stop()
    (closed,) = [row for row in await renter.rows() if row.id == lost.id]

    assert (lost.state, used.state) == ("intended", "live")
    assert (closed.state, closed.end_reason) == ("ended", NEVER_ANSWERED)
    assert boxes.alive() == [box for box in boxes.made if box != used.pod_id][-1:], (
        "nobody knows its id; its guard ends it"
    )


@pytest.mark.slow
async def test_a_guard_ends_its_box_by_the_call_that_the_provider_told_it(
    account: Account, renter: Renter, boxes: Boxes
) -> None:
    guarded = replace(account.policy.guarded, idle_s=4.0)  # it is asked every second
    renter.terms = replace(renter.terms, policy=replace(account.policy, guarded=guarded))
    worker = renter.worker()
    await worker.start(told)
    (row,) = await renter.rows()

    await until(lambda: boxes.alive() == [])

    assert ("DELETE", f"/boxes/{row.pod_id}") in boxes.calls
    await worker.stop()


async def test_a_sweep_ends_this_provider_s_orphans_by_id_and_touches_no_other_s(
    account: Account, renter: Renter, boxes: Boxes, world: World
) -> None:
    await renter.worker().start(told)  # and killed
    elsewhere = await world.store.awrite(
        pods.intend,
        "captiv-runpod-0123456789ab-r77-t",
        provider="runpod",
        run_id=RunId(77),
        gpu="L4",
        cloud="secure",
        price_micro=1,
        version="1",
        deadline_ms=None,
        now_ms=0,
    )

    swept = await sweep(account, world.store, by_hand=True)

    assert [one.outcome for one in swept] == ["terminated"]
    assert boxes.alive() == []
    (theirs,) = await world.store.aread(pods.unsettled, "runpod")
    assert (theirs.id, theirs.state) == (elsewhere, "intended")


async def test_what_a_provider_has_not_is_said_in_words(account: Account, renter: Renter) -> None:
    worker = renter.worker()
    await worker.start(told)
    (row,) = await renter.rows()
    assert row.pod_id is not None

    with pytest.raises(ProviderRejected, match="cannot be stopped"):
        await actions.stop(account, renter.world.store, row.pod_id)
    (shown,) = await views(account, renter.world.store)

    assert (shown.ours, shown.phase, shown.pod.said) == (True, "ready", "up")
    await worker.stop()
