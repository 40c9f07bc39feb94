"""docs/openapi.json describes what the real worker answers: every path, every status.

Each answer that stands there is had from a worker and held against it. tests/worker/conftest.py
holds every other answer that the tests of the worker get against it, too.
"""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate

from captiv.wire import MAX_IMAGE_BYTES, MAX_REQUEST_HEADER_BYTES, MAX_VALUE_BYTES
from tests.contract.contract import ContractError

from .conftest import AUTH, DEADLINE_S, Hold, Serve, Served, picture, until
from .described import DESCRIBED, hold

pytestmark = pytest.mark.slow

RAW = {"Content-Type": "image/png"}
ONE, AGAIN, MODELS = "POST /api/caption", "GET /api/caption/{key}", "GET /api/models"
MODES, MODEL, GUARD = "GET /api/modes/{model}", "PUT /api/model", "PUT /api/guard"


class Scene:
    """A worker of each kind, started when a case asks for it."""

    def __init__(self, serve: Serve, held: Hold, folder: Path) -> None:
        self._serve, self._held, self._folder = serve, held, folder

    def ready(self, **given: Any) -> Served:
        return self._serve(**given)

    def loading(self) -> Served:
        return self._serve(script=self._held.load, ready=False)

    def guarded(self) -> Served:
        return self._serve(guard_folder=self._folder)

    def captioning(self, **given: Any) -> Served:
        """Return a worker in the middle of a batch: of the key `k`."""
        served = self._serve(script=self._held.script, **given)
        served.caption(picture(), key="k", wait=0)
        self._held.wait()
        return served

    def lost(self) -> Served:
        """Return a worker without its device, before its process ends."""
        served = self._serve(script={"die_on": ["red"]})
        served.caption(picture("red"))
        until(lambda: bool(served.deaths))
        return served


Case = Callable[[Scene], httpx2.Response]


def stranger(method: str, path: str) -> Case:
    return lambda s: httpx2.request(method, s.ready().url + path, timeout=DEADLINE_S)


def value(path: str, body: bytes, *, guarded: bool = False) -> Case:
    """Put these bytes there."""
    return lambda s: (s.guarded() if guarded else s.ready()).client.put(path, content=body)


def body(content: bytes, **headers: str) -> Case:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda s: s.ready().client.post("/api/caption", content=content, headers=RAW | named)


def again_after(colour: str, **script: Any) -> Case:
    def case(s: Scene) -> httpx2.Response:
        served = s.ready(script=script)
        served.caption(picture(colour), key="k")
        return served.again("k")

    return case


LONG = b"x" * (MAX_VALUE_BYTES + 1)

CASES: dict[tuple[str, int], Case] = {
    ("GET /health", 200): stranger("GET", "/health"),
    ("GET /health", 503): lambda s: s.ready(script={"fail_load": "No."}).client.get("/health"),
    (ONE, 200): lambda s: s.ready().caption(picture(), wait=30),
    (ONE, 202): lambda s: s.captioning().caption(picture("blue"), wait=0),
    (ONE, 400): body(picture(), Captiv_Request="{"),
    (ONE, 401): stranger("POST", "/api/caption"),
    (ONE, 409): lambda s: s.ready().caption(picture(), model="shapes"),
    (ONE, 413): body(b"x" * (MAX_IMAGE_BYTES + 1)),
    (ONE, 415): body(b"hello", Content_Type="text/plain"),
    (ONE, 422): body(b"no image"),
    (ONE, 429): lambda s: s.captioning(permits=1).caption(picture("blue")),
    (ONE, 431): body(picture(), Captiv_Request="x" * (MAX_REQUEST_HEADER_BYTES + 1)),
    (ONE, 500): lambda s: s.ready(script={"fail_on": ["red"]}).caption(picture("red")),
    (ONE, 503): lambda s: s.loading().caption(picture()),
    (AGAIN, 200): again_after("red"),
    (AGAIN, 202): lambda s: s.captioning().again("k", wait=0),
    (AGAIN, 401): stranger("GET", "/api/caption/k"),
    (AGAIN, 404): lambda s: s.ready().again("k"),
    (AGAIN, 422): again_after("red", refuse_on=["red"]),
    (AGAIN, 500): again_after("red", fail_on=["red"]),
    (MODELS, 200): lambda s: s.ready().client.get("/api/models"),
    (MODELS, 401): stranger("GET", "/api/models"),
    (MODES, 200): lambda s: s.ready().client.get("/api/modes/joycaption"),
    (MODES, 401): stranger("GET", "/api/modes/joycaption"),
    (MODES, 404): lambda s: s.ready().client.get("/api/modes/none"),
    (MODEL, 200): value("/api/model", b'{"model": "blip"}'),
    (MODEL, 202): value("/api/model", b'{"model": "git"}'),
    (MODEL, 400): value("/api/model", b"{"),
    (MODEL, 401): stranger("PUT", "/api/model"),
    (MODEL, 409): lambda s: s.captioning().client.put("/api/model", json={"model": "git"}),
    (MODEL, 413): value("/api/model", LONG),
    (MODEL, 422): value("/api/model", b'{"model": "blip", "variant": "huge"}'),
    (MODEL, 503): lambda s: s.lost().client.put("/api/model", json={"model": "git"}),
    (GUARD, 200): value("/api/guard", b'{"idle_s": 600}', guarded=True),
    (GUARD, 400): value("/api/guard", b"{", guarded=True),
    (GUARD, 401): stranger("PUT", "/api/guard"),
    (GUARD, 404): value("/api/guard", b'{"idle_s": 600}'),
    (GUARD, 413): value("/api/guard", LONG, guarded=True),
    (GUARD, 422): value("/api/guard", b'{"idle_s": -1}', guarded=True),
}
STALLED = {(ONE, 408), (MODEL, 408), (GUARD, 408)}
"""Half a minute each: test_a_body_that_stands_still_is_given_up has them."""


def described() -> set[tuple[str, int]]:
    return {
        (f"{method.upper()} {path}", int(status))
        for path, item in DESCRIBED.document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
    }


@pytest.fixture
def scene(serve: Serve, hold: Hold, tmp_path: Path) -> Scene:
    return Scene(serve, hold, tmp_path)


def test_it_is_an_openapi_document() -> None:
    validate(DESCRIBED.document)


def test_every_answer_that_is_described_is_had_from_a_worker() -> None:
    assert described() == set(CASES) | STALLED


@pytest.mark.parametrize(
    ("operation", "status"), CASES, ids=[f"{name} {status}" for name, status in CASES]
)
def test_a_worker_answers_as_described(scene: Scene, operation: str, status: int) -> None:
    answer = CASES[operation, status](scene)

    assert answer.status_code == status, answer.text
    method, template = operation.split(" ")
    path = re.sub(r"\{\w+\}", "[^/]+", template)
    assert answer.request.method == method
    assert re.fullmatch(path, answer.request.url.path)
    hold(answer)


@pytest.mark.slow
def test_a_body_that_stands_still_is_given_up(scene: Scene) -> None:
    served = scene.guarded()
    waiting = {
        name: stalled(served, *name.split(" "), body=begun)
        for name, begun in ((ONE, b"\x89PNG"), (MODEL, b"{"), (GUARD, b"{"))
    }

    for name, connection in waiting.items():
        with connection, connection.makefile("rb") as coming:
            head = coming.readline()
            headers = dict(
                line.decode().rstrip().split(": ", 1) for line in iter(coming.readline, b"\r\n")
            )
            told = coming.read(int(headers["content-length"]))
        assert head.startswith(b"HTTP/1.1 408")
        assert json.loads(told)["code"] == "invalid_request"
        method, path = name.split(" ")
        DESCRIBED.check_answer(method, path, 408, headers, told)
    assert served.worker.permits.taken == 0


def stalled(served: Served, method: str, path: str, *, body: bytes) -> socket.socket:
    """Say that a hundred bytes come, and send these."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Length: 100"]
    lines += [f"{name}: {text}" for name, text in AUTH.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def test_a_route_that_is_not_described_is_noticed(serve: Serve) -> None:
    from starlette.applications import Starlette

    ring: Any = serve().app
    while not isinstance(ring, Starlette):
        ring = ring._app
    routes: Any = ring.routes
    routed = {
        (method, re.sub(r":path\}", "}", route.path))
        for route in routes
        for method in route.methods - {"HEAD"}
    }

    assert routed == {
        (method.upper(), path)
        for path, item in DESCRIBED.document["paths"].items()
        for method in item
    }


def test_what_is_not_described_is_refused(serve: Serve) -> None:
    answer = serve().client.get("/health")
    without = httpx2.Response(200, json=answer.json(), request=answer.request)
    wrong = httpx2.Response(
        200, json=answer.json() | {"status": "fine"}, headers=answer.headers, request=answer.request
    )
    other = httpx2.Response(404, json={}, headers=answer.headers, request=answer.request)

    for bad, says in ((without, "Captiv-Worker"), (wrong, "fine"), (other, "404")):
        with pytest.raises(ContractError, match=says):
            hold(bad)
