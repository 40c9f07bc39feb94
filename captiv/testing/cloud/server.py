"""The cloud switched on: API and proxy on loopback, pods as child processes, until it ends."""

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context, copy_context
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from anyio.from_thread import start_blocking_portal
from filelock import FileLock, Timeout
from starlette.types import ASGIApp

from captiv.testing.cloud.app import create_app
from captiv.testing.cloud.bill import Bill
from captiv.testing.cloud.blackout import Blackout
from captiv.testing.cloud.catalog import Catalog
from captiv.testing.cloud.conditions import Conditions
from captiv.testing.cloud.container import descendants
from captiv.testing.cloud.control import routes
from captiv.testing.cloud.credit import Credit
from captiv.testing.cloud.history import Call
from captiv.testing.cloud.link import Link, Way
from captiv.testing.cloud.mischief import Mischief
from captiv.testing.cloud.parts import Parts
from captiv.testing.cloud.pods import Pod, Pods
from captiv.testing.cloud.proxy import proxying

HOST = "127.0.0.1"

_PREFIX = "captiv-cloud-"
_SETTLED_S = 60.0
"""By then whoever made a folder holds its lock."""


class Cloud:
    """A running cloud, as a test holds it. What it tells may be read from any thread."""

    def __init__(self, parts: Parts, api_url: str, proxy_url: str) -> None:
        self._parts = parts
        self.api_url = api_url
        self.proxy_url = proxy_url
        """A template of `{pod}` and `{port}`, as the setting `runpod.proxy_url` takes it."""

    @property
    def account_key(self) -> str:
        """The account's API key."""
        return self._parts.conditions.account_key

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes captiv use this cloud."""
        return {
            "RUNPOD_API_KEY": self.account_key,
            "CAPTIV_RUNPOD_API_URL": self.api_url,
            "CAPTIV_RUNPOD_PROXY_URL": self.proxy_url,
        }

    @property
    def mischief(self) -> Mischief:
        """What may go wrong."""
        return self._parts.mischief

    @property
    def catalog(self) -> Catalog:
        """GPU types and their stock."""
        return self._parts.catalog

    @property
    def link(self) -> Link:
        """The line to the pods, and how much it has carried."""
        return self._parts.link

    @property
    def history(self) -> list[Call]:
        """Every call of the API with its answer, in order."""
        return self._parts.history

    def pods(self) -> list[Pod]:
        """Return every pod ever created, the oldest first."""
        return self._parts.pods.all()

    def pod(self, pod_id: str) -> Pod:
        """Return one pod, ended or not."""
        return next(pod for pod in self.pods() if pod.id == pod_id)

    def pods_alive(self) -> list[str]:
        """Return the ids of the pods that were not terminated, stopped ones among them."""
        return [pod.id for pod in self.pods() if not pod.terminated]

    def bill(self, pod_id: str | None = None) -> Decimal:
        """Return the dollars that one pod, or all, cost so far: exact, by the begun second."""
        return self._parts.bill.dollars(pod_id)

    def seconds(self, pod_id: str | None = None) -> int:
        """Return the seconds billed so far."""
        return self._parts.bill.seconds(pod_id)

    def balance(self) -> Decimal:
        """Return what is left of the account's money."""
        return self._parts.balance()

    def add_credit(self, dollars: Decimal) -> None:
        """Add to the account's money, or take some away."""
        self._parts.credit.add(dollars)

    def url(self, pod_id: str, port: int = 8000) -> str:
        """Return the public address of a pod's port."""
        return self.proxy_url.format(pod=pod_id, port=port)

    def processes(self, pod_id: str | None = None) -> list[int]:
        """Return the process ids of one pod, or of all, that exist now; blocks a moment."""
        running = [pod.container for pod in self.pods() if pod_id in (None, pod.id)]
        holders = [container.pid for container in running if container]
        return holders + [pid for holder in holders for pid in descendants(holder)]


@asynccontextmanager
async def serve(
    conditions: Conditions,
    *,
    port: int = 0,
    proxy_port: int = 0,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Cloud]:
    """Run a cloud in this event loop; no pod is left when it ends."""
    folder, lock = await anyio.to_thread.run_sync(_make_folder)
    api_socket, proxy_socket = _listen(port), _listen(proxy_port)
    parts = _parts(conditions, folder, clock)
    cloud = Cloud(parts, _address(api_socket), _address(proxy_socket) + "/{pod}/{port}")
    loop, within = asyncio.get_running_loop(), copy_context()
    parts.mischief.on_armed = lambda armed: _soon(loop, within, parts.pods.befall, armed)
    failed: Exception | None = None
    try:
        async with proxying(parts) as proxy, anyio.create_task_group() as tasks:
            parts.pods.start_in(tasks)
            app = create_app(parts, routes(parts))
            api = _Server(_config(Blackout(app, parts.mischief)))
            edge = _Server(_config(Blackout(proxy, parts.mischief)))
            servers = (api, edge)
            for server, listener in zip(servers, (api_socket, proxy_socket), strict=True):
                tasks.start_soon(server.serve, [listener])
            try:
                yield cloud
            except Exception as error:  # the user's own: handed back as it is, in no group
                failed = error
            finally:
                with anyio.CancelScope(shield=True):
                    parts.closing.set()
                    await parts.pods.end_all()
                    for server in servers:
                        server.should_exit = True
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, folder, lock)
        api_socket.close()
        proxy_socket.close()
    if failed is not None:
        raise failed


@contextmanager
def running(
    *,
    port: int = 0,
    proxy_port: int = 0,
    clock: Callable[[], float] = time.time,
    **conditions: Any,
) -> Iterator[Cloud]:
    """Run a cloud in a thread of its own.

    Args:
        port: of the API; 0 takes a free one.
        proxy_port: of the proxy; 0 takes a free one.
        clock: by which is billed and dated, in seconds since 1970.
        conditions: see `Conditions`.
    """
    with start_blocking_portal() as portal:
        cloud = serve(Conditions(**conditions), port=port, proxy_port=proxy_port, clock=clock)
        with portal.wrap_async_context_manager(cloud) as handle:
            yield handle


def _make_folder() -> tuple[Path, FileLock]:
    """Make the folder for the pods' disks, and remove those of clouds that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            if time.time() - left.stat().st_mtime > _SETTLED_S:
                with _lock(left).acquire(blocking=False):
                    shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = _lock(folder)
    lock.acquire()
    return folder, lock


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / "alive.lock", thread_local=False)


class _Server(uvicorn.Server):
    """uvicorn, that leaves signals to whoever runs the cloud."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _parts(conditions: Conditions, folder: Path, clock: Callable[[], float]) -> Parts:
    bill, mischief = Bill(clock), Mischief(conditions.seed)
    credit = Credit(conditions.balance, bill)
    return Parts(
        conditions=conditions,
        clock=clock,
        pods=Pods(conditions, bill, credit, mischief, clock=clock, folder=folder),
        bill=bill,
        credit=credit,
        mischief=mischief,
        link=Link(
            conditions.rtt_s,
            Way(conditions.up_mbit),
            Way(conditions.down_mbit),
            late_share=conditions.late_share,
            seed=conditions.seed,
        ),
    )


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # the API has the cloud's own time, a worker's answers have theirs
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


def _soon(
    loop: asyncio.AbstractEventLoop,
    within: Context,
    function: Callable[[Any], None],
    argument: Any,
) -> None:
    """Call a function in the cloud's own thread and context: at once if this is it.

    Without its context anyio may not know its event loop there: sniffio keeps it in a variable.
    """
    try:
        if asyncio.get_running_loop() is loop:
            function(argument)
            return
    except RuntimeError:
        pass
    loop.call_soon_threadsafe(function, argument, context=within)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(1024)
    return listener


def _address(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"
