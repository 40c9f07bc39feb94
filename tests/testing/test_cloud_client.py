"""captiv's own client and the simulated cloud speak the same contract."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import anyio
import httpx2
import pytest

from captiv.errors import NoBalance, NoCapacity
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.testing.cloud import Cloud
from tests.contract.contract import check_request

from .conftest import A5000, IMAGE, Account, switched_on


def wanted(name: str, **fields: object) -> CreatePod:
    asked = {"name": name, "image": IMAGE, "gpu": GpuRequest(id=A5000), "ports": ("8000/http",)}
    return CreatePod.model_validate(asked | fields)


def check_requests(cloud: Cloud) -> None:
    for call in cloud.history:
        query = dict(httpx2.QueryParams(call.query))
        check_request(call.method, call.path, query, call.headers, call.body)


@pytest.mark.slow
async def test_a_pods_whole_life(account: Account, cloud: Cloud) -> None:
    cloud.mischief.arm("paging", times=None, call="list_pods")
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
        balance = await api.balance()
        types = await api.gpus()
        pod = await api.create(wanted("captiv-a"))
        await api.create(wanted("captiv-b"))
        names = [pod.name for pod in await api.pods()]
        async with aclosing(api.logs(pod.id, follow=True)) as lines:
            with anyio.fail_after(20):
                line = await anext(lines)
        stopped = await api.act(pod.id, "stop")
        billed = await api.billing([pod.id], datetime.now(UTC) - timedelta(hours=1))
        await api.terminate(pod.id)
        gone = await api.pod(pod.id)

    assert balance is not None
    assert A5000 in {gpu.id for gpu in types}
    assert names == ["captiv-a", "captiv-b"]
    assert "serving as" in line.text
    assert stopped.status == "EXITED"
    assert {record.pod_id for record in billed} <= {pod.id}
    assert gone is None
    check_requests(cloud)


async def test_refusals_are_understood(account: Account, cloud: Cloud) -> None:
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
        cloud.mischief.arm("no_capacity")
        with pytest.raises(NoCapacity):
            await api.create(wanted("captiv-a"))
        cloud.mischief.arm("no_balance")
        with pytest.raises(NoBalance):
            await api.create(wanted("captiv-a"))


@pytest.mark.allow_blocking
async def test_a_service_without_exec_form_is_asked_with_args() -> None:
    with switched_on(exec_form=False) as account:
        cloud = account.cloud
        async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
            pod = await api.create(wanted("captiv-a", entrypoint=("sh", "-c"), cmd=("echo I run",)))
        log = cloud.pod(pod.id).log
        with anyio.fail_after(20):
            while "I run" not in log.texts("container"):
                await anyio.sleep(0.01)

    assert [call.status for call in cloud.history] == [422, 201]
    check_requests(cloud)
