"""The provider's word on a bill is taken where it comes, and never waited for long or fatal."""

import socket
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import anyio
import pytest

from captiv.clock import now_ms
from captiv.core.bill import PodBill
from captiv.rental.billing import confirmed, records
from captiv.rental.runpod import RunpodProvider
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.settings.schema import RunpodSettings
from captiv.testing.cloud import Cloud, running

A5000 = "NVIDIA RTX A5000"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    begun_s = time.monotonic()

    def clock() -> float:
        """Count from the tenth minute of an hour: no pod is billed beyond its end."""
        return 1_800_000_600 + time.monotonic() - begun_s

    with running(
        entrypoint=("sleep", "1000"), provisioning_s=0, pulling_s=0, billing_lag_s=0, clock=clock
    ) as opened:
        yield opened


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[RunpodApi]:
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as opened:
        yield opened
        cloud.mischief.disarm()
        for pod in await opened.pods():
            await opened.terminate(pod.id)


def provider(api: RunpodApi) -> RunpodProvider:
    return RunpodProvider(api, RunpodSettings())


async def made(api: RunpodApi) -> PodBill:
    wanted = CreatePod(name="captiv-billed", image="captiv/worker:test", gpu=GpuRequest(id=A5000))
    pod = await api.create(wanted)
    assert pod.created_at is not None
    born_ms = int(pod.created_at.timestamp() * 1000) - api.clock_ahead_ms
    return PodBill("runpod", pod.id, A5000, 260_000, Decimal(0), born_ms, None, now_ms())


async def test_what_is_gone_and_what_is_not_is_asked(api: RunpodApi) -> None:
    lives, ended, stopped = await made(api), await made(api), await made(api)
    await api.terminate(ended.pod_id)
    await api.act(stopped.pod_id, "stop")

    found = await confirmed(provider(api), [lives, ended, stopped])

    assert [pod.billing for pod in found] == [True, False, False]


async def test_records_are_those_of_the_pod_and_to_the_cent_of_the_bill(
    api: RunpodApi, cloud: Cloud
) -> None:
    pod, _other = await made(api), await made(api)
    await api.terminate(pod.pod_id)

    (found,) = await confirmed(provider(api), [pod])

    assert found.recorded > 0
    assert abs(found.recorded - cloud.bill(pod.pod_id)) < Decimal("0.000001")


@pytest.mark.parametrize("mischief", ["forbidden", "unprocessable"])
async def test_a_refusal_leaves_the_bill_as_the_ledger_has_it(
    api: RunpodApi, cloud: Cloud, mischief: str
) -> None:
    pod = await made(api)
    cloud.mischief.arm(mischief, times=None, call="pod_billing")
    cloud.mischief.arm(mischief, times=None, call="get_pod")

    assert await confirmed(provider(api), [pod]) == [pod]


async def test_an_api_that_hangs_is_not_waited_for() -> None:
    pod = PodBill("runpod", "p1", A5000, 260_000, Decimal(0), now_ms(), None, now_ms())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with RunpodApi("k", url=f"http://127.0.0.1:{silent.getsockname()[1]}") as api:
            with anyio.fail_after(4 * 30 - 1):  # its own patience: four tries of 30 s
                found = await confirmed(provider(api), [pod], within_s=0.2)

    assert found == [pod]


async def test_nothing_is_asked_about_no_pods(cloud: Cloud, api: RunpodApi) -> None:
    cloud.history.clear()

    assert await records(provider(api), {}) == {}
    assert await confirmed(provider(api), []) == []
    assert cloud.history == []
