"""The start command that waits for captiv's code: a real process, with a small archive and pip."""

import base64
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from captiv.rental.bootstrap import text
from captiv.rental.bootstrap.door import MAX_BODY, MAX_HEAD
from captiv.rental.bootstrap.pod import PROTOCOL
from captiv.rental.podspec import starting
from captiv.testing.cloud.bare import Layers
from captiv.testing.ports import Port
from captiv.wire import MAX_CARGO_BYTES, Health
from captiv.wire import PROTOCOL as SPOKEN
from tests.endings import KEY, Api, api_held
from tests.support import until

pytestmark = pytest.mark.allow_blocking

TOKEN = "the token of this pod"
HF_TOKEN = "hf_of_the_user"
PYTHON = "{}.{}".format(*sys.version_info)
GUARD = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]), flush=True)"
PIP = """\
import json, os, pathlib, sys
pathlib.Path("pip.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
print("Collecting two==2.0 (from -r a lock)", flush=True)
while not os.path.exists("go"):
    pass
"""
"""A pip that has fetched the first package and fetches the second, until it is let go."""


def archive(locks: dict[str, str] | None = None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as found:
        found.writestr("captiv_worker/__init__.py", "")
        found.writestr("captiv_worker/guard.py", GUARD)
        default = {f"local-{PYTHON}.txt": "# 30\none==1.0\n# 12\ntwo==2.0\n"}
        for name, lines in (default if locks is None else locks).items():
            found.writestr(f"locks/{name}", lines)
    return packed.getvalue()


@dataclass
class Waiting:
    """A pod that waits for its code."""

    process: "subprocess.Popen[str]"
    port: int
    folder: Path
    content: bytes
    log: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        assert answer.getheader("Captiv-Worker", "").startswith("bootstrap-")
        said = json.loads(answer.read())
        connection.close()
        return answer.status, said

    def health(self) -> Health:
        status, said = self.ask("GET", "/health")
        assert status == 503
        return Health.model_validate(said)

    def carry(self, content: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        authorised = {"Authorization": f"Bearer {TOKEN}"} | headers
        return self.ask("PUT", f"/carry/{self.sha256}", content or self.content, **authorised)

    def raw(self, request: bytes, *, more: bytes = b"") -> str:
        """Send bytes as they are; return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            if more:
                connection.sendall(more)
            return connection.makefile("rb").readline().decode()

    def rest(self) -> str:
        """Return what it says until it ends."""
        out, _ = self.process.communicate(timeout=60)
        return out


Wait = Callable[..., Waiting]


@pytest.fixture
def wait(tmp_path: Path) -> Iterator[Wait]:
    """Start pods; `pip` is the text of a module in pip's place, None for none."""
    layers = Layers.made(tmp_path / "layers")
    with ExitStack() as stack:

        def start(content: bytes | None = None, *, pip: str | None = PIP, **env: str) -> Waiting:
            python, folder = tmp_path / "python", tmp_path / "folder"
            folder.mkdir()
            layers.give_python(python, "an/image:no-pip")
            (packages,) = python.glob("lib/*/site-packages")
            if pip is not None:
                (packages / "pip.py").write_text(pip)
            carried = archive() if content is None else content
            port = Port()
            stack.callback(port.close)
            given = {
                "PATH": os.defpath,
                "HOME": str(tmp_path / "home"),
                "CAPTIV_CARRY_SHA256": hashlib.sha256(carried).hexdigest(),
                "CAPTIV_WORKER_TOKEN_SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
            }
            arguments = ["--host", "127.0.0.1", "--port", str(port.number), "--name", "pod-1"]
            process = subprocess.Popen(
                [str(python / "bin" / "python"), "-I", "-c", text(), *arguments],
                env=given | env,
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Waiting(process, port.number, folder, carried)

        yield start


@pytest.fixture
def api() -> Iterator[Api]:
    with api_held() as held:
        held.up()
        yield held


def awaited(pod: Waiting) -> Health:
    """Wait until the door is open; return what the pod says of itself."""
    found: list[Health] = []

    def open_() -> bool:
        try:
            found.append(pod.health())
        except OSError:
            return False
        return True

    until(open_, "the door", within_s=60)
    return found[0]


def test_the_limits_are_those_of_the_protocol() -> None:
    assert (PROTOCOL, MAX_BODY) == (SPOKEN, MAX_CARGO_BYTES)


def test_it_takes_the_code_installs_what_that_needs_and_becomes_the_guard(wait: Wait) -> None:
    pod = wait(RUNPOD_API_KEY=KEY, CAPTIV_GUARD_STARTUP_S="500", PYTHONPATH="/elsewhere")
    before = awaited(pod)
    secrets = base64.b64encode(json.dumps({"HF_TOKEN": HF_TOKEN, "PATH": "/evil"}).encode())
    status, _ = pod.carry(Captiv_Secrets=secrets.decode())
    until(lambda: (pod.folder / "pip.json").exists(), "pip")
    until(lambda: {"done_bytes": 30}.items() <= (pod.ask("GET", "/health")[1]["loading"]).items())
    meanwhile = pod.health()
    again, _ = pod.carry()
    (pod.folder / "go").touch()
    log = pod.rest()

    assert (before.worker, before.status, before.carry) == ("pod-1", "loading", pod.sha256)
    assert before.loading and before.loading.phase == "waiting"
    assert (status, again) == (201, 200)
    assert meanwhile.loading and meanwhile.loading.phase == "installing"
    assert (meanwhile.loading.total_bytes, meanwhile.carry) == (42, None)
    arguments, guards = json.loads(log.splitlines()[-1])
    command, pips = json.loads((pod.folder / "pip.json").read_text())
    assert arguments[4:] == ["--name", "pod-1"]
    assert guards["HF_TOKEN"] == HF_TOKEN
    assert guards["PATH"] == os.defpath
    assert guards["RUNPOD_API_KEY"] == KEY
    assert "code-" in guards["PYTHONPATH"]
    assert 100 < float(guards["CAPTIV_GUARD_STARTUP_S"]) < 500
    assert HF_TOKEN not in json.dumps(pips)
    assert HF_TOKEN not in log.rsplit("\n", 2)[0]
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(command)


def test_whoever_does_not_bring_the_code_that_is_awaited_is_refused(wait: Wait) -> None:
    pod = wait()
    awaited(pod)
    put = f"PUT /carry/{pod.sha256} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    huge = b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    refused = {
        "wrong token": pod.carry(Authorization="Bearer of bad news")[0],
        "no token": pod.ask("PUT", f"/carry/{pod.sha256}", b"x")[0],
        "not a bearer": pod.carry(Authorization=f"Basic {TOKEN}")[0],
        "other code": pod.ask("PUT", "/carry/" + 64 * "0", b"x", Authorization=f"Bearer {TOKEN}"),
        "broken": pod.carry(pod.content[:-1] + b"!")[0],
        "no secrets": pod.carry(Captiv_Secrets="*")[0],
        "elsewhere": pod.ask("POST", "/api/caption", b"x")[0],
    }
    raw = {
        "no length": pod.raw(put + b"\r\n"),
        "chunked": pod.raw(put + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
        "two lengths": pod.raw(put + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        "negative": pod.raw(put + b"Content-Length: -3\r\n\r\nabc"),
        "too large": pod.raw(put + f"Content-Length: {MAX_BODY + 1}\r\n\r\n".encode()),
        "long head": pod.raw(b"GET /health HTTP/1.1\r\n", more=huge),
        "no HTTP": pod.raw(b"\x00\x01\r\n\r\n"),
    }

    assert refused["other code"][0] == 409  # type: ignore[index]
    assert "another captiv" in refused.pop("other code")[1]["detail"]  # type: ignore[index]
    assert refused == {
        "wrong token": 401,
        "no token": 401,
        "not a bearer": 401,
        "broken": 422,
        "no secrets": 422,
        "elsewhere": 503,
    }
    assert {name: line.split()[1] for name, line in raw.items()} == {
        "no length": "411",
        "chunked": "411",
        "two lengths": "411",
        "negative": "411",
        "too large": "413",
        "long head": "431",
        "no HTTP": "503",
    }
    assert pod.carry()[0] == 201, "all of this keeps nobody from bringing it"


def test_of_whom_the_token_does_not_let_in_no_body_is_awaited(wait: Wait) -> None:
    pod = wait()
    awaited(pod)
    head = f"PUT /carry/{pod.sha256} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"

    assert pod.raw(head.encode()).split()[1] == "401", "it answers though no body ever comes"


def test_an_upload_that_is_cut_is_brought_again(wait: Wait) -> None:
    pod = wait()
    awaited(pod)
    size = len(pod.content)
    head = f"PUT /carry/{pod.sha256} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", pod.port)) as connection:
        connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + pod.content[:99])

    assert pod.health().carry == pod.sha256
    assert pod.carry()[0] == 201


def test_a_client_that_asks_first_is_told_to_go_on(wait: Wait) -> None:
    pod = wait()
    awaited(pod)
    head = f"PUT /carry/{pod.sha256} HTTP/1.1\r\nAuthorization: bearer {TOKEN}\r\n"
    announced = f"{head}Content-Length: {len(pod.content)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", pod.port), timeout=30) as connection:
        connection.sendall(announced.encode())
        answer = connection.makefile("rb")
        first = answer.readline()
        connection.sendall(pod.content)
        rest = answer.read()

    assert first.startswith(b"HTTP/1.1 100")
    assert b"HTTP/1.1 201" in rest


@pytest.mark.slow
def test_a_head_that_does_not_come_in_time_holds_the_door_no_longer(wait: Wait) -> None:
    pod = wait()
    awaited(pod)

    assert pod.raw(b"GET /health HTTP/1.1\r\n").split()[1] == "408"
    assert pod.health().carry == pod.sha256


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CAPTIV_GUARD_STARTUP_S": "0.3"}, "captiv did not bring its code within 0 s"),
        ({"CAPTIV_GUARD_DEADLINE": "1"}, "captiv did not bring its code within"),
        ({"CAPTIV_CARRY_BORN": "897 s ago"}, "captiv did not bring its code within"),
        (
            {"CAPTIV_CARRY_BORN": "1000000000", "CAPTIV_GUARD_IDLE_S": "0.5"},
            "captiv did not bring its code within 0 s",
        ),
    ],
)
def test_a_pod_to_which_nobody_comes_is_ended(
    wait: Wait, api: Api, env: dict[str, str], words: str
) -> None:
    born = {name: f"{time.time() - 897:.0f}" for name, said in env.items() if " ago" in said}
    pod = wait(**api.runpods(), **env | born)
    until(lambda: api.count("DELETE") == 1, "its end", within_s=60)
    failed = pod.health()
    pod.process.send_signal(signal.SIGTERM)

    assert failed.status == "failed"
    assert words in (failed.reason or "")
    assert KEY not in pod.rest()


def test_a_pod_that_is_started_again_in_the_midst_of_a_run_has_all_its_time_for_the_model(
    wait: Wait,
) -> None:
    limits = {"CAPTIV_GUARD_STARTUP_S": "2000", "CAPTIV_GUARD_IDLE_S": "300"}
    pod = wait(CAPTIV_CARRY_BORN="1000000000", **limits)
    awaited(pod)
    assert pod.carry()[0] == 201
    (pod.folder / "go").touch()

    _, guards = json.loads(pod.rest().splitlines()[-1])
    assert 1500 < float(guards["CAPTIV_GUARD_STARTUP_S"]) <= 2000


def test_its_limits_are_reckoned_by_the_providers_clock(wait: Wait, api: Api) -> None:
    day_s = 86_400
    api.clock = lambda: time.time() + day_s
    born = f"{time.time() + day_s:.0f}"
    pod = wait(CAPTIV_CARRY_BORN=born, CAPTIV_GUARD_DEADLINE=born + "0", **api.runpods())

    assert awaited(pod).carry == pod.sha256
    assert pod.carry()[0] == 201
    (pod.folder / "go").touch()
    _, guards = json.loads(pod.rest().splitlines()[-1])
    assert 0 < float(guards["CAPTIV_GUARD_STARTUP_S"]) <= 900


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "pip", "words"),
    [
        (None, None, "No module named pip in the image's Python"),
        (archive({}), PIP, f"the image has Python {PYTHON}, for which captiv has no lock"),
        (None, "raise SystemExit('ERROR: No space left on device')", "No space left on device"),
    ],
)
def test_what_the_image_lacks_is_said_and_the_pod_is_ended(
    wait: Wait, api: Api, content: bytes | None, pip: str | None, words: str
) -> None:
    pod = wait(content, pip=pip, **api.runpods())
    if pip is not None:
        awaited(pod)
        pod.carry()
    until(lambda: api.count("DELETE") == 1, "its end", within_s=90)
    failed = pod.health()
    pod.process.send_signal(signal.SIGTERM)

    assert f"captiv cannot be installed in it: {words}" == failed.reason
    assert f"bootstrap install_failed {words}" in pod.rest()


def test_an_image_without_python_says_so(tmp_path: Path) -> None:
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    entrypoint, command = starting(("--port", "8000"))
    done = subprocess.run(
        ["/bin/sh", *entrypoint[1:], *command],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "bootstrap install_failed the image has no Python" in done.stdout


def test_an_image_that_calls_it_python3_only_runs_it(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    entrypoint, _ = starting(())
    told = ["/bin/sh", *entrypoint[1:4], "import sys; print(sys.argv[1:], sys.flags.isolated)"]
    done = subprocess.run(
        [*told, "--port", "1"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "['--port', '1'] 1\n"
