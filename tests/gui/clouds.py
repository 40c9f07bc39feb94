"""A page whose RunPod is the simulated cloud."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import anyio

from captiv.core.jobs import RunId
from captiv.core.pods import pod_name
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.settings import installation_secret
from captiv.testing.cloud import Cloud, running
from tests.support import SCRIPTED, Home


@contextmanager
def rented(home: Home, *, engine: dict[str, Any] | None = None, **times: Any) -> Iterator[Cloud]:
    """Point an installation at a cloud of its own, whose pods run the torch-free engine."""
    arguments = ("--engine", SCRIPTED, "--engine-options", json.dumps(engine or {}))
    with running(worker_args=arguments, **times) as cloud:
        home.env |= dict(cloud.environment) | {
            "CAPTIV_RUNPOD_IMAGE": "captiv/worker:test",
            "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "180",
        }
        yield cloud


def orphan(home: Home, cloud: Cloud) -> str:
    """Make a pod of a run that is not there any more, behind captiv's back; return its id."""
    installation = installation_secret(home.data / "data" / "secret.json").id

    async def made() -> str:
        async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
            name = pod_name("runpod", installation, RunId(77), "t")
            gpu = GpuRequest(id="NVIDIA RTX A5000")
            return (await api.create(CreatePod(name=name, image="captiv/worker:test", gpu=gpu))).id

    # Playwright's synchronous API keeps an event loop of its own in the thread of a test.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, made).result()
