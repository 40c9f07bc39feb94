"""How many calls renting makes: RunPod counts them by the minute."""

import anyio
import pytest

from captiv.errors import NoCapacity
from captiv.rental.account import Account
from captiv.testing.cloud import Cloud
from tests.world import World

from .test_provision import Scene


def catalogs(cloud: Cloud) -> int:
    return sum(call.operation == "list_gpus" for call in cloud.history)


async def test_the_catalog_is_read_once_for_all_who_ask_within_a_moment(
    account: Account, cloud: Cloud
) -> None:
    before = catalogs(cloud)
    async with anyio.create_task_group() as tg:
        tg.start_soon(account.provider.rights)
        tg.start_soon(account.provider.offers)
    await account.provider.offers()

    assert catalogs(cloud) == before + 2, "once a cloud, secure and community"


async def test_after_a_pod_that_could_not_be_made_the_catalog_is_read_anew(
    account: Account, world: World, cloud: Cloud
) -> None:
    scene = Scene(account, world, await world.open())
    cloud.mischief.arm("no_capacity", times=None)
    with pytest.raises(NoCapacity):
        await scene.rent()
    cloud.mischief.disarm()
    before = catalogs(cloud)

    await scene.rent()

    assert catalogs(cloud) == before + 2
