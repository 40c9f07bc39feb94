"""Waiting for a pod: what is shown, how long it may take, and what ends the wait at once."""

import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from rich.console import Console
from starlette.requests import Request
from starlette.responses import Response

from captiv.cli.progress import Display
from captiv.core.jobs import Counts, Run, RunId, RunState
from captiv.core.phase import Phase, Step
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.core.startup import GivenUp
from captiv.rental.runpod import RunpodProvider
from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.values import CreatePod, GpuRequest
from captiv.rental.startup import come_up
from captiv.settings.schema import RunpodSettings
from captiv.testing.cloud import Cloud, running
from captiv.testing.cloud.conditions import GUARDED
from captiv.wire import PROTOCOL
from captiv.workers import WorkerClient
from tests.support import SCRIPTED
from tests.workers.conftest import answering, reply
from tests.world import until

A5000 = "NVIDIA RTX A5000"
WHEN_LET_GO = 'while test -e "$HELD"; do sleep 0.05; done; exec "$0" "$@"'


@dataclass
class Holds:
    """Files that hold the pods of a cloud where they are."""

    starting: Path
    loading: Path


@pytest.fixture(scope="module")
def holds(tmp_path_factory: pytest.TempPathFactory) -> Holds:
    folder = tmp_path_factory.mktemp("holds")
    return Holds(folder / "starting", folder / "loading")


@pytest.fixture(scope="module")
def cloud(holds: Holds) -> Iterator[Cloud]:
    options = json.dumps({"hold_load": str(holds.loading)})
    with running(
        entrypoint=("sh", "-c", WHEN_LET_GO, *GUARDED),
        env={"HELD": str(holds.starting)},
        worker_args=("--engine", SCRIPTED, "--engine-options", options, "--no-token"),
        running_at_once=False,
        restart_s=0.1,
    ) as opened:
        yield opened


@dataclass
class Pods:
    """Pods that are made and waited for."""

    api: RunpodApi
    cloud: Cloud
    phases: list[Step] = field(default_factory=list)
    at: dict[Step, Callable[[], object]] = field(default_factory=dict)
    """What is done when a phase is shown."""

    def shown(self, phase: Phase | None) -> None:
        assert phase is not None
        self.phases.append(phase.name)
        self.at.get(phase.name, lambda: None)()

    async def come_up(self, timeout_s: float = 50, **more: Any) -> str:
        wanted = CreatePod(
            name="p", image="captiv/worker:test", gpu=GpuRequest(id=A5000), ports=("8000/http",)
        )
        pod = await self.api.create(wanted)
        client = WorkerClient(self.cloud.url(pod.id), "any-token")
        try:
            failed = await come_up(
                RunpodProvider(self.api, RunpodSettings()),
                client,
                pod.id,
                timeout_s=timeout_s,
                on_phase=self.shown,
                look_s=0.1,
                **more,
            )
            return failed.reason if failed else ""
        finally:
            await client.aclose()
            await self.api.terminate(pod.id)


@pytest.fixture
async def pods(cloud: Cloud) -> AsyncIterator[Pods]:
    async with RunpodApi(cloud.account_key, url=cloud.api_url) as api:
        yield Pods(api, cloud)
    cloud.mischief.disarm()


def waited_s(reason: str) -> int:
    """Return how long was waited, as the reason says."""
    found = re.match(r"it was not ready after (\d+) s \(last seen: pulling the image\)$", reason)
    assert found, reason
    return int(found[1])


@pytest.mark.allow_blocking
async def test_each_phase_is_shown_as_it_begins(pods: Pods, holds: Holds) -> None:
    slow = pods.cloud.mischief.arm("slow_start", seconds=1000.0)
    for hold in (holds.starting, holds.loading):
        hold.touch()
    pods.at = {
        Step.PULLING: lambda: slow.options.update(seconds=0.0),
        Step.STARTING: holds.starting.unlink,
        Step.LOADING: holds.loading.unlink,
    }

    assert await pods.come_up() == ""

    shown = [
        phase for phase in pods.phases if phase is not Step.RENTING
    ]  # over before the first look?
    assert shown == [Step.PULLING, Step.STARTING, Step.LOADING, Step.READY]


@pytest.mark.slow
async def test_a_pull_that_advances_is_waited_for_twice_as_long(pods: Pods) -> None:
    slow = pods.cloud.mischief.arm("slow_start", seconds=20.0)  # it advances each second
    made = len(pods.cloud.pods())

    def advances() -> bool:
        logs = [pod.log.texts("system") for pod in pods.cloud.pods()[made:]]
        return any("Downloading" in text for texts in logs for text in texts)

    async def never_end() -> None:
        await until(advances)
        slow.options["seconds"] = 1000.0

    async with anyio.create_task_group() as tg:
        tg.start_soon(never_end)
        reason = await pods.come_up(timeout_s=5)

    assert waited_s(reason) >= 10


@pytest.mark.slow
async def test_a_pull_that_says_nothing_is_not(pods: Pods) -> None:
    pods.cloud.mischief.arm("slow_start", seconds=1000.0, silent=True)

    reason = await pods.come_up(timeout_s=103, waited_s=100)

    assert waited_s(reason) < 2 * 103


async def test_a_download_in_a_pod_has_its_line_with_its_size(pods: Pods) -> None:
    shown, out = io.StringIO(), io.StringIO()
    display = Display(err=Console(file=shown, soft_wrap=True), out=out)
    spec = RunSpec(
        selection=Selection(roots=("/x",)),
        captioning=Captioning(model="m", variant="v", source="s"),
        placement=Placement(kind="rented", provider="runpod"),
    )
    run = Run(RunId(7), RunState.ACTIVE, spec, "f", True, 0, None, Counts())
    display.opened(run, resumed=False)
    sizes = [1_490_000_000, 14_900_000_000]

    def health(_request: Request) -> Response:
        said = {"worker": "w", "boot_id": "b", "protocol": PROTOCOL}
        if not sizes:
            return reply(status="ready", **said)
        loading = {
            "phase": "downloading",
            "done_bytes": sizes.pop(0),
            "total_bytes": 14_900_000_000,
        }
        return reply(status="loading", loading=loading, **said)

    serving = answering(health)
    client = WorkerClient(await to_thread.run_sync(serving.__enter__), "any-token")

    wanted = CreatePod(name="p", image="captiv/worker:test", gpu=GpuRequest(id=A5000))
    pod = await pods.api.create(wanted)
    provider = RunpodProvider(pods.api, RunpodSettings())
    reason = await come_up(
        provider, client, pod.id, timeout_s=50, on_phase=display.phase, look_s=0.01
    )

    await client.aclose()
    await pods.api.terminate(pod.id)
    await to_thread.run_sync(serving.__exit__, None, None, None)
    assert reason is None
    assert shown.getvalue() == "The pod downloads the model first: 14.9 GB.\n"


async def test_a_crash_loop_ends_the_wait_at_once_with_its_last_words(pods: Pods) -> None:
    pods.cloud.mischief.arm("crash_loop")

    reason = await pods.come_up(timeout_s=1000)

    crashed = r"it crashed (\d+) times while starting \(.* ImportError: this container"
    found = re.match(crashed, reason)
    assert found, reason
    assert int(found[1]) >= 3


async def test_what_went_wrong_in_an_old_pod_long_ago_does_not_count(pods: Pods) -> None:
    pods.cloud.mischief.arm("crash_loop")
    wanted = CreatePod(name="old", image="captiv/worker:test", gpu=GpuRequest(id=A5000))
    old = await pods.api.create(wanted)
    pod = pods.cloud.pod(old.id)
    while pod.lives < 5:
        await anyio.sleep(0.01)
    pods.cloud.mischief.arm("preempted", after=0, pod=old.id)
    client = WorkerClient(pods.cloud.url(old.id), "any-token")

    provider = RunpodProvider(pods.api, RunpodSettings())
    reason = await come_up(
        provider, client, old.id, timeout_s=1000, fresh=False, on_phase=print, look_s=0.1
    )

    await client.aclose()
    assert reason == GivenUp("the pod ended while it was starting (stopped)")


async def test_an_image_that_is_not_there_ends_the_wait(pods: Pods) -> None:
    pods.cloud.mischief.arm("image_missing")

    reason = await pods.come_up(timeout_s=1000)

    assert reason == (
        "its image cannot be pulled: manifest for captiv/worker:test not found: manifest unknown"
    )


async def test_without_a_log_the_pod_comes_up_too(pods: Pods) -> None:
    pods.cloud.mischief.arm("forbidden", times=None, call="pod_logs")

    assert await pods.come_up() == ""

    assert pods.phases[-1] is Step.READY


@pytest.mark.slow
async def test_a_pod_that_was_taken_away_ends_the_wait(pods: Pods) -> None:
    pods.cloud.mischief.arm("slow_start", seconds=1000.0, silent=True)
    asked = len(pods.cloud.history)

    async def preempt() -> None:
        while len(pods.cloud.history) < asked + 2:
            await anyio.sleep(0.01)
        pods.cloud.mischief.arm("preempted", after=0, pod=pods.cloud.pods()[-1].id)

    async with anyio.create_task_group() as tg:
        tg.start_soon(preempt)
        reason = await pods.come_up(timeout_s=1000)

    assert reason == "the pod ended while it was starting (stopped)"
