"""Fetching a checkpoint from a hub of our own, by the real client, in a real child process."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import httpx2
import pytest
from captiv_worker.hub import check_space, explained, wanted
from huggingface_hub import errors

from captiv.errors import ModelError

from .conftest import DEADLINE_S, Child, Spawn, environment, picture, until

REPO = "someone/tiny"
FILES = {
    "config.json": b'{"model_type": "blip"}',
    "tokenizer.json": b"{}",
    "preprocessor_config.json": b"{ }",
    "model.safetensors": bytes(300_000),
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the hub's protocol as its client needs for a download."""

    url: ClassVar[str]
    served: ClassVar[list[str]]
    status = 200
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.status != 200:
            self._answer(b"{}", self.status)
        elif path.startswith(f"/api/models/{REPO}/tree/"):
            self._answer(json.dumps(self._tree()).encode())
        elif path.startswith(f"/api/models/{REPO}"):
            self._answer(json.dumps(self._info()).encode())
        elif path.startswith(f"/{REPO}/resolve/"):
            name = path.rpartition("/")[2]
            if self.command == "GET":
                self.served.append(name)
            self._answer(FILES[name])
        else:
            self._answer(b"{}", 404)

    def _info(self) -> dict[str, object]:
        siblings: list[dict[str, object]] = [
            {"rfilename": name, "size": len(data)} for name, data in FILES.items()
        ]
        siblings.append({"rfilename": "pytorch_model.bin", "size": 10**15})
        return {"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": siblings}

    def _tree(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
            for name, data in FILES.items()
        ]

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def hub() -> Iterator[type[Hub]]:
    class Own(Hub):
        served: ClassVar[list[str]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    Own.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Own
    server.shutdown()
    server.server_close()
    thread.join()


def environ(hub: type[Hub], home: Path, **more: str) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **more}


def settled(child: Child) -> dict[str, object]:
    def health() -> dict[str, object]:
        return dict(child.client.get("/health").json())

    until(lambda: health()["status"] != "loading")
    return health()


_FETCH = """
import json, sys
from captiv_worker.hub import fetch
reports = []
path = fetch(sys.argv[1], lambda *report: reports.append(report))
print(json.dumps([str(path), reports]))
"""


def fetched(env: dict[str, str]) -> tuple[Path, list[list[object]]]:
    """Fetch in a process of its own: the client reads its environment once."""
    done = subprocess.run(
        [sys.executable, "-c", _FETCH, REPO],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    path, reports = json.loads(done.stdout)
    return Path(path), reports


@pytest.mark.slow
def test_a_model_is_fetched_once_and_then_needs_no_network(hub: type[Hub], tmp_path: Path) -> None:
    path, reports = fetched(environ(hub, tmp_path / "hf"))
    asked = len(hub.served)
    again, no_reports = fetched(environ(hub, tmp_path / "hf", HF_HUB_OFFLINE="1"))

    assert {p.name: p.read_bytes() for p in path.iterdir()} == FILES
    size = sum(map(len, FILES.values()))
    assert reports[-1] == ["downloading", size, size]
    assert again == path
    assert no_reports == []
    assert len(hub.served) == asked


@pytest.mark.slow
def test_an_interrupted_download_is_not_taken_for_a_model(hub: type[Hub], tmp_path: Path) -> None:
    path, _ = fetched(environ(hub, tmp_path / "hf"))
    (path / "model.safetensors").unlink()

    path, _ = fetched(environ(hub, tmp_path / "hf"))

    assert (path / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "more", "says"),
    [
        (401, {}, f"https://huggingface.co/{REPO}"),
        (403, {}, "HF_TOKEN"),
        (404, {}, "knows no model"),
        (200, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
        (200, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "--model DIR"),
    ],
)
def test_a_model_that_cannot_be_had_fails_with_what_to_do(
    spawn: Spawn, hub: type[Hub], tmp_path: Path, status: int, more: dict[str, str], says: str
) -> None:
    hub.status = status
    env = {**environ(hub, tmp_path / "hf"), **more}

    child = spawn("--model", REPO, engine=False, env=env)
    health = settled(child)

    assert health["status"] == "failed"
    assert health["code"] == ("host_unfit" if "HF_ENDPOINT" in more else "model_unavailable")
    assert says in str(health["reason"])
    answer = child.client.post("/api/caption", files={"image": ("a.png", picture())})
    assert answer.status_code == 503


def test_a_disk_that_is_too_small_is_said_before_the_download(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 0)

    with pytest.raises(ModelError, match="are free") as caught:
        check_space(tmp_path, 10**18)

    assert str(tmp_path) in caught.value.message
    assert "HF_HOME" in (caught.value.hint or "")


def test_only_what_an_engine_reads_is_downloaded() -> None:
    sizes = {"config.json": 1, "vocab.txt": 2, "README.md": 3, "onnx/config.json": 4}

    both = wanted({**sizes, "model.safetensors": 5, "pytorch_model.bin": 6, "tf_model.h5": 7})
    pickled = wanted({**sizes, "pytorch_model.bin": 6, "flax_model.msgpack": 7})

    assert both == {"config.json": 1, "vocab.txt": 2, "model.safetensors": 5}
    assert pickled == {"config.json": 1, "vocab.txt": 2, "pytorch_model.bin": 6}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx2.ConnectError("no route"), "cannot be reached"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE"),
        (OSError(28, "No space left on device"), "disk filled up"),
        (TimeoutError(), "cannot be reached"),
    ],
)
def test_a_failed_download_is_explained(error: Exception, says: str) -> None:
    assert says in explained(REPO, error).message
