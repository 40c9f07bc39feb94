"""A job table, and an account of the simulated cloud."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from captiv.rental.account import Account
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.exchange import CallLimits
from captiv.settings import Paths
from captiv.testing.cloud import Cloud, running
from tests.world import template, world

from .accounts import account_of

__all__ = ["template", "world"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A simulated cloud whose pods run and do nothing."""
    with running(entrypoint=("sleep", "1000"), provisioning_s=0, pulling_s=0) as opened:
        yield opened


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[RunpodApi]:
    """RunPod's API itself; no pod of the account is left."""
    quick = CallLimits(tries=2, backoff_s=0.01)
    async with RunpodApi(cloud.account_key, url=cloud.api_url, limits=quick) as opened:
        yield opened
        cloud.mischief.disarm()
        for pod in await opened.pods():
            await opened.terminate(pod.id)
        assert cloud.pods_alive() == []


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Where the installation keeps its things."""
    found = Paths.find(environ={"CAPTIV_HOME": str(tmp_path)})
    found.make_data_dir()
    return found


@pytest.fixture
def account(cloud: Cloud, api: RunpodApi, paths: Paths) -> Account:
    """The account as `rental` has it."""
    return account_of(cloud, api, paths)
