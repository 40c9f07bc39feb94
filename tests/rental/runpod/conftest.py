"""RunPod's API as a test lays it down: every request and answer is held against the contract."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpcore2  # noqa: F401 - else the first client imports it on the event loop
import httpx2
import pytest

from captiv.rental.runpod.api import RunpodApi
from captiv.rental.runpod.exchange import CallLimits
from captiv.rental.runpod.values import CreatePod, GpuRequest
from tests.contract.contract import check_request, check_response

KEY = "rpa_0123456789ABCDEFGHIJ"
NO_MACHINE = (
    "There are no longer any instances available with the requested specifications. "
    "Please refresh and try again."
)


def wanted(**values: Any) -> CreatePod:
    """Return a pod to ask for."""
    given: dict[str, Any] = {
        "name": "captiv-1",
        "image": "worker:1",
        "gpu": GpuRequest(id="NVIDIA L4"),
    }
    return CreatePod(**given | values)


def pod(**values: Any) -> dict[str, Any]:
    """Return a pod as RunPod describes it, whole."""
    return {
        "id": "abc123",
        "name": "captiv-1",
        "status": "RUNNING",
        "actions": ["stop", "restart", "terminate"],
        "image": "worker:1",
        "args": "",
        "disk": 20,
        "mounts": {},
        "ports": ["8000/http"],
        "env": {},
        "registry": None,
        "gpu": {"id": "NVIDIA L4", "count": 1},
        "cloud": "SECURE",
        "dataCenterId": "EU-RO-1",
        "cudaVersion": "12.8",
        "ssh": {"proxy": None, "direct": None},
        "template": None,
        "cost": 0.43,
        "locked": False,
        "globalNetworking": {"enabled": False},
        "runtime": None,
        "createdAt": "2026-08-20T06:16:19.436Z",
        "startedAt": None,
    } | values


def answer(body: Any, status: int = 200, **headers: str) -> httpx2.Response:
    """Return a success with a JSON body."""
    return httpx2.Response(status, json=body, headers={"x-request-id": "req-1"} | headers)


def gone() -> httpx2.Response:
    """Return a 204."""
    return httpx2.Response(204, headers={"x-request-id": "req-1"})


def problem(
    status: int, detail: str = "the reason", *, headers: dict[str, str] | None = None, **more: Any
) -> httpx2.Response:
    """Return a problem as RunPod tells it."""
    body = {"title": "Problem", "status": status, "detail": detail} | more
    return httpx2.Response(
        status,
        content=json.dumps(body).encode(),
        headers={"content-type": "application/problem+json", "x-request-id": "req-9"}
        | ({"Retry-After": "1"} if status == 429 else {})
        | (headers or {}),
    )


@dataclass
class Odd:
    """An answer that breaks the contract, as some do."""

    response: httpx2.Response


def page(status: int, text: str = "<html>hello</html>") -> Odd:
    """Return a page of something that is not RunPod's API."""
    return Odd(httpx2.Response(status, html=text))


Answer = httpx2.Response | Odd | Exception


@dataclass
class Scene:
    """A client, what it was answered, what it sent, and how long it would have slept."""

    answers: list[Answer]
    requests: list[httpx2.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = RunpodApi(
            KEY, sleep=self._sleep, chance=lambda: 0.0, transport=httpx2.MockTransport(self._reply)
        )

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]

    def _reply(self, request: httpx2.Request) -> httpx2.Response:
        url, method = request.url, request.method
        check_request(
            method, url.path, url.params.multi_items(), dict(request.headers), request.content
        )
        self.requests.append(request)
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Odd):
            return reply.response
        check_response(method, url.path, reply.status_code, dict(reply.headers), reply.content)
        return reply

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def scene() -> AsyncIterator[Callable[..., Scene]]:
    """Make scenes of laid-down answers; each must be asked for in the end."""
    made: list[Scene] = []

    def make(*answers: Answer) -> Scene:
        made.append(Scene(list(answers)))
        return made[-1]

    yield make
    for one in made:
        await one.api.aclose()
        assert not one.answers, "answers that were never asked for"


class Connect(Protocol):
    """Makes clients of a real server, with deadlines of a test's own."""

    def __call__(self, url: str, **limits: float) -> RunpodApi: ...


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients of a real server that never pause between tries."""
    made: list[RunpodApi] = []

    async def at_once(_: float) -> None:
        return

    def make(url: str, **limits: float) -> RunpodApi:
        given: dict[str, Any] = {"tries": 3} | limits
        made.append(RunpodApi(KEY, url=url, limits=CallLimits(**given), sleep=at_once))
        return made[-1]

    yield make
    for api in made:
        await api.aclose()


class Dropper:
    """Accepts, reads, says what it is told to, and hangs up (or with `hold`, says no more)."""

    def __init__(self, says: bytes = b"", *, hold: bool = False) -> None:
        self.heard: list[bytes] = []
        self._says, self._hold = says, hold
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Dropper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.heard.append(connection.recv(65_536))
            connection.sendall(self._says)
            if self._hold:
                self._open.append(connection)
            else:
                connection.close()
