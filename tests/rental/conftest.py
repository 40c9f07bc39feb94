"""A job table, and an account of the simulated cloud."""

from collections.abc import AsyncIterator, Iterator

import pytest

from captiv.rental.runpod import RunpodApi
from captiv.rental.runpod.exchange import Patience
from captiv.testing.cloud import Cloud, running
from tests.world import template, world

__all__ = ["template", "world"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A simulated cloud whose pods run and do nothing."""
    with running(entrypoint=("sleep", "1000"), provisioning_s=0, pulling_s=0) as opened:
        yield opened


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[RunpodApi]:
    """The account; no pod of it is left."""
    quick = Patience(tries=2, backoff_s=0.01)
    async with RunpodApi(cloud.account_key, url=cloud.api_url, patience=quick) as opened:
        yield opened
        cloud.mischief.disarm()
        for pod in await opened.pods():
            await opened.terminate(pod.id)
        assert cloud.pods_alive() == []
