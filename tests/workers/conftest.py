"""Servers that misbehave, on a real port; and the worker as a real child process."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpcore2  # noqa: F401 - else the first client imports it on the event loop
import pytest
from starlette.requests import Request
from starlette.responses import Response

from captiv.wire import WORKER_HEADER
from captiv.workers import LocalWorker, WorkerClient
from captiv.workers.local import LocalSettings
from tests.serving import serving
from tests.support import SCRIPTED

Answering = Callable[[Request], Response]


def problem(status: int, code: str, *, worker: bool = True, **more: Any) -> Response:
    """Return a problem as a worker tells it; without `worker`, as something in between would."""
    body = {"title": "x", "status": status, "detail": f"the reason of {code}", "code": code}
    headers = {WORKER_HEADER: "boot"} if worker else {}
    headers |= more.pop("headers", {})
    return Response(json.dumps(body | more), status, headers, "application/problem+json")


def reply(**values: Any) -> Response:
    """Return an answer of a worker."""
    boot_id = values.get("boot_id", "boot")
    return Response(json.dumps(values), 200, {WORKER_HEADER: boot_id}, "application/json")


def captioned(key: str = "key", *, of: str = "boot", **values: Any) -> Response:
    """Return a caption for the work under `key`, in an answer of the worker `of`."""
    told = {"caption": "a dog", "model": "m", "variant": "v", "key": key, "boot_id": of} | values
    return Response(json.dumps(told), 200, {WORKER_HEADER: of}, "application/json")


def working(key: str = "key") -> Response:
    """Return what a worker says of work that is under way."""
    told = {"key": key, "status": "running"}
    return Response(json.dumps(told), 202, {WORKER_HEADER: "boot"}, "application/json")


@contextmanager
def answering(answer: Answering) -> Iterator[str]:
    """Serve whatever `answer` says to any request; yield the URL."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        return answer(request)

    with serving(endpoint) as url:
        yield url


@contextmanager
def dropping(first: bytes = b"") -> Iterator[str]:
    """Accept, read a little, say `first`, and hang up; yield the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.sendall(first)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


@pytest.fixture
async def talk() -> AsyncIterator[Callable[[str], WorkerClient]]:
    """Make clients, and close them at the end."""
    made: list[WorkerClient] = []

    def to(url: str) -> WorkerClient:
        made.append(WorkerClient(url, "token"))
        return made[-1]

    yield to
    for client in made:
        await client.aclose()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[..., LocalWorker]]:
    """Make local workers with the torch-free engine."""
    with ExitStack():

        def make(**script: Any) -> LocalWorker:
            settings = LocalSettings(
                model="shapes",
                variant="shapes",
                source="builtin:shapes",
                device=script.pop("device", "auto"),
                batch_size=script.pop("batch_size", None),
                engine=script.pop("engine", SCRIPTED),
                engine_options=json.dumps(script),
            )
            return LocalWorker(settings, folder=tmp_path, log=tmp_path / "log" / "worker.log")

        yield make
