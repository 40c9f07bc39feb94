"""A pod that its provider does not know any more is closed in the ledger, and only such a one."""

import pytest

from captiv.clock import now_ms
from captiv.core.pods import PodRow
from captiv.rental.account import Account
from captiv.rental.reconcile import GONE, close_if_gone
from captiv.testing.cloud import Cloud
from tests.world import World

from .test_provision import Scene

HOUR_MS = 3_600_000


@pytest.fixture
async def scene(account: Account, world: World) -> Scene:
    return Scene(account, world, await world.open())


async def closed(scene: Scene, row: PodRow, later_ms: int = 0) -> bool:
    ledger = scene.world.store
    at_ms = now_ms() + later_ms
    return await close_if_gone(scene.account, ledger, row, session=None, now_ms=at_ms)


async def test_a_pod_that_is_there_stays_as_it_is(scene: Scene) -> None:
    rented = await scene.rent()

    assert not await closed(scene, rented.row)
    assert [row.state for row in await scene.rows()] == ["live"]


async def test_a_pod_that_is_gone_is_ended_at_the_time_at_which_its_guard_ended_it(
    scene: Scene,
) -> None:
    rented = await scene.rent()
    await scene.account.provider.terminate(rented.pod.id)

    assert await closed(scene, rented.row, 8 * HOUR_MS)

    (row,) = await scene.rows()
    assert (row.state, row.end_reason) == ("ended", GONE)
    lived_ms = (row.ended_ms or 0) - (row.created_ms or 0)
    assert lived_ms < HOUR_MS, "not the whole night"


async def test_an_answer_that_does_not_come_closes_nothing(scene: Scene, cloud: Cloud) -> None:
    rented = await scene.rent()
    cloud.mischief.arm("server_error", times=None, call="get_pod")

    assert not await closed(scene, rented.row)
    assert [row.state for row in await scene.rows()] == ["live"]
