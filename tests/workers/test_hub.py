"""What the hub says of a model before any of its weights are asked for."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from captiv.errors import ModelError, UsageError
from captiv.workers.hub import read_config

ADAPTER = "/x/tuned/resolve/main/adapter_config.json"


class Hub(BaseHTTPRequestHandler):
    """A hub that has one adapter, and nothing else."""

    def do_GET(self) -> None:
        found = self.path == ADAPTER
        body = json.dumps({"base_model_name_or_path": "a/base"}).encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield "x/tuned"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_adapter_on_the_hub_is_refused_with_its_base(hub: str) -> None:
    with pytest.raises(UsageError, match="x/tuned is an adapter for a/base") as error:
        read_config(hub)

    assert "adapter=x/tuned" in str(error.value.hint)


def test_what_the_hub_does_not_have_is_said(hub: str) -> None:
    with pytest.raises(ModelError, match="no model x/nothing"):
        read_config("x/nothing")
