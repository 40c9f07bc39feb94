"""What the hub says of a model that is not here: from a server that has two files, or one."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from captiv.errors import ModelError
from captiv.workers.hub import read_config, read_decoding

MODEL = "owner/a-model-that-nobody-has"


class _Hub(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, tuple[int, bytes]]] = {}

    def do_GET(self) -> None:
        status, content = self.files.get(self.path.rpartition("/")[2], (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, tuple[int, bytes]]]:
    """Return the files that the hub has, each with the status of its answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    _Hub.files = {"config.json": (200, b'{"model_type": "blip"}')}
    yield _Hub.files
    server.shutdown()
    thread.join(60)
    server.server_close()


@pytest.mark.allow_blocking
def test_the_file_that_says_how_a_model_decodes_is_fetched_too(
    hub: dict[str, tuple[int, bytes]],
) -> None:
    hub["generation_config.json"] = (200, b'{"no_repeat_ngram_size": 3}')

    assert read_config(MODEL) == {"model_type": "blip"}
    assert read_decoding(MODEL) == {"no_repeat_ngram_size": 3}


@pytest.mark.allow_blocking
def test_a_model_without_that_file_says_nothing(hub: dict[str, tuple[int, bytes]]) -> None:
    assert read_decoding(MODEL) == {}


@pytest.mark.allow_blocking
@pytest.mark.parametrize("answer", [(503, b""), (200, b"<html>"), (200, b"[]")])
def test_a_hub_that_does_not_say_it_is_not_taken_to_say_nothing(
    hub: dict[str, tuple[int, bytes]], answer: tuple[int, bytes]
) -> None:
    hub["generation_config.json"] = answer

    with pytest.raises(ModelError):
        read_decoding(MODEL)


@pytest.mark.allow_blocking
def test_a_model_of_which_only_the_config_is_here_is_asked_for(
    hub: dict[str, tuple[int, bytes]], tmp_path: Path
) -> None:
    hub["generation_config.json"] = (200, b'{"no_repeat_ngram_size": 3}')
    snapshot = tmp_path / f"models--{MODEL.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "blip"}')

    assert read_decoding(MODEL) == {"no_repeat_ngram_size": 3}
    (snapshot / "model.safetensors").touch()
    assert read_decoding(MODEL) == {}
