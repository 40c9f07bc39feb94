"""The pods of the simulated cloud: their lives, and the host's part in them.

A pod is PROVISIONING, STARTING, RUNNING (or RUNNING from the beginning, with `runtime` null),
EXITED when stopped or preempted, TERMINATED when ended. It bills from its creation until it is
stopped or its end is accepted. Where the account has no credit left, every pod is stopped or ended,
as `Conditions.without_credit` says; one with a network volume is stopped. While it is RUNNING its
container is a real process; one that exits is started again after a moment, and nothing in the
pod's status tells.
"""

import secrets
import shutil
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from captiv.testing.cloud.bill import Bill
from captiv.testing.cloud.bodies import CreatePod
from captiv.testing.cloud.conditions import Conditions
from captiv.testing.cloud.credit import Credit
from captiv.testing.cloud.image import (
    Recipe,
    command,
    environment,
    make_disk,
    on_this_machine,
)
from captiv.testing.cloud.mischief import KNOWN, Armed, Mischief
from captiv.testing.cloud.podlog import PodLog
from captiv.testing.cloud.runner import Container
from captiv.testing.ports import Port

Status = Literal["PROVISIONING", "STARTING", "RUNNING", "EXITED", "ERROR", "TERMINATED"]

_BEATS = 20
"""In how many steps a pull tells how far it is."""

_LOOK_S = 0.05
"""How soon a pull learns that whoever made it slow has changed how long it takes."""

_COLLECTED_S = 0.2
"""How often the account's balance is looked at."""

_CRASH = (
    "sh",
    "-c",
    'echo "[$(date +%s) $$] ImportError: this container ends at once (scripted)" >&2; exit 1',
)
"""Its last words have a time and a number of their own, as a logger's do."""


@dataclass(slots=True)
class Pod:
    """One pod, its settings and how it is."""

    id: str
    key: str
    asked: CreatePod
    price: Decimal
    """Dollars an hour while it is not stopped."""
    data_center: str
    created_at: float
    disk: Path
    log: PodLog
    traits: dict[str, Armed] = field(default_factory=dict)
    status: Status = "PROVISIONING"
    locked: bool = False
    started_at: float | None = None
    """When it was last started, by creation or by `start`."""
    container: Container | None = None
    container_since: float | None = None
    lives: int = 0
    """How many containers it has had."""
    held: dict[int, Port] = field(default_factory=dict)
    """Which port here stands for which of its own, until it is terminated."""
    life: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    living: anyio.Lock = field(default_factory=anyio.Lock)
    grace_s: float = 0.0
    ended_at: float | None = None
    """When it was gone for good."""

    @property
    def name(self) -> str:
        """Its name, which another pod may have too."""
        return self.asked.name

    @property
    def declared(self) -> list[str]:
        """The ports it exposes, as create named them."""
        return self.asked.ports or []

    @property
    def ports(self) -> dict[int, int]:
        """The number of the port here that stands for each of its own."""
        return {private: port.number for private, port in self.held.copy().items()}

    @property
    def terminated(self) -> bool:
        """Whether it is gone for good."""
        return self.status == "TERMINATED"

    @property
    def exposed(self) -> bool:
        """Whether the proxy knows it."""
        return self.status in ("PROVISIONING", "STARTING", "RUNNING")

    @property
    def actions(self) -> list[str]:
        """What may be done to it now."""
        if self.status == "RUNNING":
            return ["stop", "restart", "terminate"]
        if self.status in ("EXITED", "ERROR"):
            return ["start", "terminate"]
        return [] if self.terminated else ["stop", "terminate"]

    def recipe(self) -> Recipe:
        """Return what its container is made of."""
        asked = self.asked
        return Recipe(
            image=asked.image or "",
            args=asked.args or "",
            entrypoint=None if asked.entrypoint is None else tuple(asked.entrypoint),
            cmd=None if asked.cmd is None else tuple(asked.cmd),
            env=asked.env or {},
            volume=(asked.volume.volumeId, asked.volume.path) if asked.volume else None,
        )


class Pods:
    """All pods ever created, and what can be done to them."""

    def __init__(
        self,
        conditions: Conditions,
        bill: Bill,
        credit: Credit,
        mischief: Mischief,
        *,
        clock: Callable[[], float],
        folder: Path,
    ) -> None:
        self._conditions = conditions
        self._bill = bill
        self._credit = credit
        self._mischief = mischief
        self._clock = clock
        self._folder = folder
        self._pods: dict[str, Pod] = {}
        self._tasks: TaskGroup | None = None
        self._over: set[anyio.CancelScope] = set()
        """What waits until the cloud ends."""

    def start_in(self, tasks: TaskGroup) -> None:
        """Let pods live as tasks of this group."""
        self._tasks = tasks
        tasks.start_soon(self._collect)

    def all(self) -> list[Pod]:
        """Return every pod ever created, the oldest first."""
        return list(self._pods.values())

    def find(self, pod_id: str) -> Pod | None:
        """Return a pod, ended or not."""
        return self._pods.get(pod_id)

    def with_key(self, key: str) -> Pod | None:
        """Return the pod into which this key was injected."""
        return next((pod for pod in self._pods.values() if pod.key == key), None)

    def create(self, asked: CreatePod, price: Decimal, data_center: str) -> Pod:
        """Create a pod, which begins to live and to bill."""
        traits = self._mischief.take_traits()
        for name in ("dearer", "price_moves"):
            if (dearer := traits.get(name)) is not None:
                price *= Decimal(str(dearer.options["factor"]))
        pod_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(14))
        pod = Pod(
            id=pod_id,
            key=f"rpa_{secrets.token_hex(20).upper()}",
            asked=asked,
            price=price,
            data_center=data_center,
            created_at=self._clock(),
            disk=self._folder / pod_id,
            log=PodLog(self._clock),
            traits=traits,
        )
        self._pods[pod_id] = pod
        self._begin(pod)
        return pod

    def start(self, pod: Pod) -> None:
        """Start a stopped pod."""
        self._begin(pod)

    def stop(self, pod: Pod) -> None:
        """Stop a pod: its disk is wiped at its next start, and it bills no longer."""
        self._interrupt(pod, "EXITED", self._conditions.stop_grace_s)

    def restart(self, pod: Pod) -> None:
        """Replace the container by a new one."""
        pod.grace_s = self._conditions.stop_grace_s
        pod.life.cancel()
        self._spawn(pod)

    def order_end(self, pod: Pod) -> None:
        """Accept that a pod is to end, and end it when the lag of that is over."""
        if not self._conditions.delete_lag_s:
            self.terminate(pod)
            return
        self._bill.close(pod.id)
        self._later(self._conditions.delete_lag_s, self.terminate, pod)

    def terminate(self, pod: Pod) -> None:
        """End a pod for good."""
        if pod.terminated:
            return
        self._interrupt(pod, "TERMINATED", 0.0)
        pod.ended_at = self._clock()
        pod.log.close()
        for port in pod.held.values():
            port.close()

    def strike(self, pod: Pod, armed: Armed) -> None:
        """Let a misfortune befall a pod now."""
        if armed.name == "preempted":
            pod.log.system("pod was preempted by its host")
            self._interrupt(pod, "EXITED", 0.0)
        elif armed.name == "credit_gone":
            self._take_credit(armed.options["seconds"])
        elif armed.name == "key_revoked":
            self._mischief.arm("key_refused", times=None, for_s=armed.options["seconds"])
        elif pod.container is not None and self._tasks is not None:
            self._tasks.start_soon(pod.container.kill, armed.options["what"])

    def captioned(self, pod: Pod) -> None:
        """Note that a caption request has reached the pod, which may be its misfortune."""
        for armed in self._mischief.take_strikes(pod.id):
            self.strike(pod, armed)

    def befall(self, armed: Armed) -> None:
        """Apply what was just armed to a pod that it names, if it does not wait for anything."""
        pod = None if armed.pod is None else self._pods.get(armed.pod)
        if pod is None:
            return
        kind = KNOWN[armed.name].kind
        if kind == "strike" and armed.options["after"] == 0:
            armed.used += 1
            self.strike(pod, armed)
        elif kind == "trait":
            armed.used += 1
            pod.traits[armed.name] = armed
            if armed.name in ("crash_loop", "running_with_null_runtime"):
                self.restart(pod)

    async def end_all(self) -> None:
        """End every pod, and return when no process of any is left."""
        for scope in list(self._over):
            scope.cancel()
        for pod in self.all():
            if not pod.terminated:
                self.terminate(pod)
        for pod in self.all():
            async with pod.living:
                pass

    async def _collect(self) -> None:
        """Leave no pod running that the account cannot pay for. Runs until the cloud ends."""
        with self._until_over():
            while True:
                await anyio.sleep(_COLLECTED_S)
                if self._credit.left <= 0:
                    self._leave_unpaid()

    @contextmanager
    def _until_over(self) -> Iterator[None]:
        with anyio.CancelScope() as scope:
            self._over.add(scope)
            try:
                yield
            finally:
                self._over.discard(scope)

    def _leave_unpaid(self) -> None:
        for pod in self.all():
            if pod.exposed:
                pod.log.system("the account has no credit left")
                ends = self._conditions.without_credit == "terminate"
                if ends and pod.asked.volume is None:
                    self.terminate(pod)
                else:
                    self.stop(pod)

    def _take_credit(self, for_s: float | None) -> None:
        """Take all the account's money, and have somebody add as much later."""
        taken = self._credit.left
        self._credit.add(-taken)
        if for_s is not None:
            self._later(for_s, self._credit.add, taken)

    def _later(self, after_s: float, function: Callable[..., None], *args: Any) -> None:
        async def wait() -> None:
            with self._until_over():
                await anyio.sleep(after_s)
                function(*args)

        assert self._tasks is not None
        self._tasks.start_soon(wait)

    def _begin(self, pod: Pod) -> None:
        pod.started_at = self._clock()
        pod.status = "RUNNING" if self._conditions.running_at_once else "PROVISIONING"
        self._bill.open(pod.id, pod.price)
        self._spawn(pod)

    def _interrupt(self, pod: Pod, status: Status, grace_s: float) -> None:
        pod.status = status
        pod.grace_s = grace_s
        self._bill.close(pod.id)
        pod.life.cancel()

    def _spawn(self, pod: Pod) -> None:
        assert self._tasks is not None
        pod.life = anyio.CancelScope()
        self._tasks.start_soon(self._live, pod, pod.life)

    async def _live(self, pod: Pod, life: anyio.CancelScope) -> None:
        """Run containers until the pod is stopped; what an earlier life left has ended before."""
        with anyio.CancelScope(shield=True):
            async with pod.living:
                with life:
                    await self._pull(pod)
                    while True:
                        await self._run(pod)
                        pod.log.system("container exited; it is started again")
                        await anyio.sleep(self._conditions.restart_s)
                        if self._conditions.wipes_on_restart:
                            await self._make_disk(pod)
                if pod.terminated:
                    await anyio.to_thread.run_sync(_wipe, pod.disk)

    async def _pull(self, pod: Pod) -> None:
        """Go from PROVISIONING to RUNNING, telling the system log how the pull goes."""
        image, conditions = pod.asked.image or "", self._conditions
        await anyio.sleep(conditions.provisioning_s)
        _advance(pod, "STARTING")
        pod.log.system(f"create container {image}")
        if "running_with_null_runtime" in pod.traits:
            _advance(pod, "RUNNING")
            await anyio.sleep_forever()
        while (why := _not_pulled(pod, image)) is not None:
            pod.log.system(f"error pulling image: {why}")
            await anyio.sleep(1.0)
        slow = pod.traits.get("slow_start")
        pull = slow.options if slow else {"seconds": conditions.pulling_s}
        pod.log.system(f"{image} Pulling from registry")
        begun_s = anyio.current_time()
        for beat in range(1, _BEATS + 1):
            await _passed(begun_s, beat / _BEATS, pull)
            if not (slow and slow.options["silent"]):
                pod.log.system(f"a3ed95caeb02 Downloading {beat * 115}MB/{_BEATS * 115}MB")
        pod.log.system(f"Status: Downloaded newer image for {image}")
        await self._make_disk(pod)
        _advance(pod, "RUNNING")

    async def _make_disk(self, pod: Pod) -> None:
        full = "disk_full" in pod.traits
        make = partial(make_disk, pod.disk, pod.recipe(), self._conditions, full=full)
        await anyio.to_thread.run_sync(make)
        await anyio.lowlevel.checkpoint()  # the thread was not interrupted; the pod may be

    async def _run(self, pod: Pod) -> None:
        pod.log.system(f"start container for {pod.asked.image}: begin")
        argv = _CRASH if "crash_loop" in pod.traits else self._argv(pod)
        with anyio.CancelScope(shield=True):  # what is started is also ended below
            container = await Container.start(argv, self._environment(pod), pod.disk)
        try:
            pod.container, pod.container_since = container, self._clock()
            pod.lives += 1
            async for line in container.lines():
                pod.log.add("container", line)
            code = await container.wait()
            pod.log.system(f"container ended with code {code}")
        finally:
            pod.container_since = None
            await container.end(pod.grace_s)
            pod.container = None

    def _argv(self, pod: Pod) -> list[str]:
        def port_for(private: int) -> int:
            if private not in pod.held:
                pod.held[private] = Port()
            return pod.held[private].number

        return on_this_machine(command(pod.recipe(), self._conditions), port_for)

    def _environment(self, pod: Pod) -> Mapping[str, str]:
        own = environment(pod.disk, pod.recipe(), self._conditions)
        gpu = pod.asked.gpu
        injected: dict[str, Any] = {
            "RUNPOD_POD_ID": pod.id,
            "RUNPOD_API_KEY": pod.key,
            "RUNPOD_DC_ID": pod.data_center,
            "RUNPOD_POD_HOSTNAME": f"{pod.id}-64410001",
            "RUNPOD_GPU_COUNT": str(gpu.count if gpu else 0),
            "RUNPOD_CPU_COUNT": "8",
        }
        if self._conditions.pod_clock_ahead_s:
            injected["CAPTIV_TEST_CLOCK_AHEAD_S"] = str(self._conditions.pod_clock_ahead_s)
        return own | injected


async def _passed(begun_s: float, share: float, pull: Mapping[str, Any]) -> None:
    """Return when this share of a pull is over; how many seconds it takes may change meanwhile."""
    await anyio.lowlevel.checkpoint()
    while (  # noqa: ASYNC110 - nothing tells of a change
        left_s := begun_s + share * pull["seconds"] - anyio.current_time()
    ) > 0:
        await anyio.sleep(min(left_s, _LOOK_S))


def _not_pulled(pod: Pod, image: str) -> str | None:
    """Return what Docker says of an image that this pod's host never gets, if so."""
    if "image_missing" in pod.traits:
        return f"manifest for {image} not found: manifest unknown"
    if "image_private" in pod.traits and pod.asked.registry is None:
        return f"pull access denied for {image}, repository does not exist or may require login"
    if "host_disk_full" in pod.traits:
        return "failed to register layer: write /opt/weights.bin: no space left on device"
    if "image_of_another_kind" in pod.traits:
        return "no matching manifest for linux/arm64/v8 in the manifest list entries"
    return None


def _advance(pod: Pod, status: Status) -> None:
    """Let a pod that is coming up come further; one that was stopped or ended stays so."""
    if pod.status in ("PROVISIONING", "STARTING"):
        pod.status = status


def _wipe(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
