"""A proxy that wants to know who asks (407) is named, and what to do about it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest

from captiv.errors import ModelError, ProviderBlocked, WorkerUnreachable
from captiv.rental.runpod.exchange import CallLimits, Exchange
from captiv.workers.client import WorkerClient
from captiv.workers.hub import read_config

SAID = "asks for a user and a password (HTTP 407)"


class _Refusing(BaseHTTPRequestHandler):
    def _refuse(self) -> None:
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET = _refuse

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield
    server.shutdown()
    thread.join(60)
    server.server_close()


@pytest.mark.allow_blocking
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_on_the_way_to_a_worker(scheme: str) -> None:
    client = WorkerClient(f"{scheme}://worker.example", "token")

    with pytest.raises(WorkerUnreachable) as raised, anyio.fail_after(60):
        await client.health()
    await client.aclose()

    assert SAID in raised.value.message
    assert "HTTPS_PROXY" in (raised.value.hint or "")


@pytest.mark.allow_blocking
async def test_on_the_way_to_runpod_it_is_not_tried_again() -> None:
    exchange = Exchange("key", "https://api.example", limits=CallLimits(backoff_s=1000.0))

    with pytest.raises(ProviderBlocked, match="HTTP 407"), anyio.fail_after(60):
        await exchange.ask("GET", "/pods")
    await exchange.aclose()


@pytest.mark.allow_blocking
def test_on_the_way_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")

    with pytest.raises(ModelError, match="HTTP 407"):
        read_config("owner/name-that-nobody-has")
