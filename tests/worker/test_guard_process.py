"""The real guard over the real worker, and a small server in the place of a provider's API."""

import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from captiv_worker.auth import digest
from captiv_worker.settings import TOKEN_SHA256

from captiv.testing.clock import FastClock
from tests.endings import ANOTHERS_KEY, ELSEWHERE, KEY, POD, Api, api_held
from tests.support import alive

from .conftest import AUTH, DEADLINE_S, SCRIPTED, TOKEN, Hold, environment, picture, until

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "sigtimedwait"), reason="a guard runs in a Linux container"
)


@pytest.fixture
def api() -> Iterator[Api]:
    with api_held() as held:
        yield held


@dataclass
class Pod:
    """A guard with its worker; each life of the worker says where it listens."""

    process: subprocess.Popen[str]
    log: Path
    lives: list[str] = field(default_factory=list)

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lives.append(json.loads(line)["url"])

    def ask(self, method: str, path: str, *, token: bool = True, **given: Any) -> httpx2.Response:
        headers = (AUTH if token else {}) | given.pop("headers", {})
        url = self.lives[-1] + path
        return httpx2.request(method, url, headers=headers, timeout=DEADLINE_S, **given)

    def post(self, colour: str, key: str, *, wait: int = 0) -> httpx2.Response:
        headers = {"Idempotency-Key": key, "Prefer": f"wait={wait}", "Content-Type": "image/png"}
        return self.ask("POST", "/api/caption", content=picture(colour), headers=headers)

    def health(self) -> dict[str, Any]:
        """Return what anybody is told; nothing while no worker answers."""
        with suppress(httpx2.HTTPError):
            return dict(self.ask("GET", "/health", token=False).json())
        return {}

    def lived(self, lives: int = 1, *, status: str = "ready") -> "Pod":
        """Wait for this life of the worker to be as it should."""
        until(lambda: len(self.lives) >= lives and self.health().get("status") == status)
        return self

    @property
    def worker(self) -> int:
        return int(re.findall(r"worker_started pid=(\d+)", self.log.read_text())[-1])


Guarding = Callable[..., Pod]


@pytest.fixture
def guarding(api: Api, tmp_path: Path) -> Iterator[Guarding]:
    with ExitStack() as stack:

        def start(
            *arguments: str,
            idle_s: float = 60,
            startup_s: float = 60,
            deadline: float | None = None,
            script: dict[str, Any] | None = None,
            engine: str = SCRIPTED,
            subreaper: bool = False,
            largest_file: int | None = None,
            **env: str,
        ) -> Pod:
            log = tmp_path / f"log-{time.monotonic_ns()}"
            line = [sys.executable, "-m", "captiv_worker.guard"]
            line += ["--engine", engine, "--engine-options", json.dumps(script or {}), *arguments]
            given = {
                TOKEN_SHA256: digest(TOKEN).hex(),
                "CAPTIV_GUARD_IDLE_S": str(idle_s),
                "CAPTIV_GUARD_STARTUP_S": str(startup_s),
                "CAPTIV_GUARD_RETRY_S": "0.3",
                "CAPTIV_GUARD_DEADLINE": "" if deadline is None else str(deadline),
                "CAPTIV_GUARD_FOLDER": str(tmp_path / "shared"),
            }
            given |= api.runpods()
            with log.open("w") as errors:
                process = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment(**(given | env)),
                    text=True,
                    preexec_fn=partial(_prepare, subreaper, largest_file),
                    start_new_session=True,
                )
            pod = Pod(process, log)
            listener = threading.Thread(target=pod.listen, daemon=True)
            listener.start()
            stack.callback(_end, process, listener)
            return pod

        yield start


def _end(process: subprocess.Popen[str], listener: threading.Thread) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a worker too that would outlive its guard
    process.wait(DEADLINE_S)
    listener.join(DEADLINE_S)
    if process.stdout is not None:
        process.stdout.close()


def _prepare(subreaper: bool, largest_file: int | None) -> None:
    """Give this process the orphans below it, as process 1 of a container has them; limit it."""
    set_child_subreaper = 36
    if subreaper:
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.slow
def test_an_idle_pod_ends_itself_and_its_guard_lives_until_it_is_told(
    guarding: Guarding, api: Api
) -> None:
    api.up()
    pod = guarding(idle_s=0.5).lived()
    worker = pod.worker

    assert KEY not in proc(worker, "environ") + proc(worker, "cmdline")
    assert digest(TOKEN).hex() not in proc(worker, "cmdline") + proc(pod.process.pid, "cmdline")
    assert KEY not in proc(pod.process.pid, "cmdline")
    until(lambda: api.count("POST") >= 3 and api.count("DELETE") >= 3)
    action = next(call for call in api.calls if call.method == "POST")
    delete = next(call for call in api.calls if call.method == "DELETE")
    assert action.path == f"/v2/pods/{POD}/action"
    assert json.loads(action.body) == {"action": "terminate"}
    assert delete.path == f"/v2/pods/{POD}"
    for call in (action, delete):
        assert call.headers["authorization"] == f"Bearer {KEY}"
        assert call.headers["user-agent"].startswith("captiv-guard/")
    assert pod.process.poll() is None
    assert pod.health()["status"] == "ready"

    pod.process.terminate()
    assert pod.process.wait(DEADLINE_S) == 0
    assert not alive(worker)
    assert KEY not in pod.log.read_text()
    assert "pod_due reason=idle" in pod.log.read_text()
    assert "worker_ended code=0" in pod.log.read_text()


def test_the_calls_of_another_cloud_are_made_in_order_with_a_key_that_the_worker_never_sees(
    guarding: Guarding, api: Api
) -> None:
    api.up()
    pod = guarding(idle_s=0.5, CAPTIV_GUARD_RETRY_S="60", **api.anothers()).lived()
    environ = proc(pod.worker, "environ")

    until(lambda: "end_tried" in pod.log.read_text())
    put, get = api.calls
    assert (put.method, get.method) == ("PUT", "GET")
    assert put.path == "/machines/eu%2F7%20%C3%BC?zone=a%26b%3Dc"
    assert put.body == "end eu/7 ü"
    assert (put.headers["x-key"], put.headers["x-account"]) == (ANOTHERS_KEY, "me")
    assert put.headers["content-type"] == "a/b"
    assert get.path == "/goodbye"
    assert "content-type" not in get.headers
    assert get.headers["accept"] == put.headers["accept"] == "application/json"
    assert put.headers["user-agent"].startswith("captiv-guard/")
    assert ANOTHERS_KEY not in environ
    assert "CAPTIV_GUARD_ENDING" not in environ
    assert "MACHINE=eu/7 ü" in environ
    assert "outcome=gone answers=204,204" in pod.log.read_text()
    assert ANOTHERS_KEY not in pod.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("said", ["", "{", '[{"url": "Bearer ${RUNPOD_API_KEY}"}]'])
def test_a_guard_without_calls_unloads_when_the_pod_is_due_and_says_so(
    guarding: Guarding, api: Api, said: str
) -> None:
    api.up()
    pod = guarding(idle_s=0.4, CAPTIV_GUARD_ENDING=said).lived(2, status="failed")

    assert pod.health()["code"] == "guard_refused"
    assert "end_refused reason=no_calls" in pod.log.read_text()
    assert ("setting_refused name=CAPTIV_GUARD_ENDING" in pod.log.read_text()) is bool(said)
    assert KEY not in pod.log.read_text()
    if "RUNPOD_API_KEY" in said:
        assert KEY not in proc(pod.worker, "environ")
    assert api.calls == []


def test_only_requests_with_the_token_keep_a_pod_alive(
    guarding: Guarding, api: Api, tmp_path: Path
) -> None:
    api.up()
    pod = guarding(idle_s=0.5).lived()
    sign = tmp_path / "shared" / "alive"
    before = sign.stat().st_mtime_ns

    def due(times: int) -> bool:
        """Speak without the token; tell whether the pod is found idle for the n-th time."""
        assert pod.health()["status"] == "ready"
        pod.ask("GET", "/api/models", token=False)
        pod.ask("GET", "/api/models", headers={"Authorization": "Bearer wrong"})
        return pod.log.read_text().count("pod_due reason=idle") >= times

    def kept() -> bool:
        assert pod.ask("GET", "/api/models").status_code == 200
        return "pod_due reason=none_any_more" in pod.log.read_text()

    until(lambda: due(1))
    until(lambda: bool(api.calls))
    assert "pod_due reason=none_any_more" not in pod.log.read_text()
    assert sign.stat().st_mtime_ns == before

    until(kept)
    assert sign.stat().st_mtime_ns > before
    until(lambda: due(2))


@pytest.mark.slow
def test_a_deadline_is_the_same_for_a_guard_that_was_started_again(
    guarding: Guarding, api: Api
) -> None:
    api.up()
    deadline = time.time() + 3
    first = guarding(deadline=deadline)
    until(lambda: "worker_started" in first.log.read_text())
    first.process.kill()
    until(lambda: not alive(first.worker))

    again = guarding(deadline=deadline)
    until(lambda: "pod_due reason=deadline" in again.log.read_text())
    until(lambda: bool(api.calls))

    assert api.calls[0].at >= deadline


@pytest.mark.slow
@pytest.mark.parametrize("ahead_s", [86_400, 120, -120, -86_400])
def test_a_deadline_is_by_the_providers_time_whatever_the_pods_clock_says(
    guarding: Guarding, api: Api, ahead_s: int
) -> None:
    api.up()
    deadline = time.time() + 4

    pod = guarding(deadline=deadline, CAPTIV_TEST_CLOCK_AHEAD_S=str(ahead_s)).lived()
    until(lambda: bool(api.calls))

    assert f"clock_wrong ahead_s={ahead_s}" in re.sub(
        r"(?<=ahead_s=)-?\d+", lambda said: str(round(int(said[0]), -1)), pod.log.read_text()
    )
    assert "pod_due reason=deadline" in pod.log.read_text()
    assert api.calls[0].at >= deadline - 1
    assert pod.lives


def test_a_deadline_is_by_the_pods_clock_where_the_provider_tells_no_time(
    guarding: Guarding, api: Api
) -> None:
    deadline = time.time() + 1.5

    pod = guarding(deadline=deadline)
    until(lambda: "pod_due reason=deadline" in pod.log.read_text())

    assert time.time() >= deadline
    assert "time_unanswered" in pod.log.read_text()


@pytest.mark.slow
def test_a_deadline_is_a_time_of_the_calendar_however_fast_that_runs(
    guarding: Guarding, api: Api, tmp_path: Path
) -> None:
    api.up()
    clock = FastClock(tmp_path / "clock", rate=20_000)
    api.clock = clock
    began, deadline = time.time(), clock() + 86_400

    pod = guarding(deadline=deadline, **clock.environment)
    until(lambda: bool(api.calls))

    assert "pod_due reason=deadline" in pod.log.read_text()
    assert 3 < api.calls[0].at - began < 3600
    assert clock() > deadline


def test_limits_are_renewed_by_who_has_the_token(guarding: Guarding, api: Api) -> None:
    api.up()
    pod = guarding(deadline=time.time() + 5).lived()
    renewed = {"idle_s": 50, "deadline": time.time() + 60}

    assert pod.ask("PUT", "/api/guard", json=renewed, token=False).status_code == 401
    assert pod.ask("PUT", "/api/guard", json={"idle_s": 0}).status_code == 422
    assert pod.ask("PUT", "/api/guard", json=renewed).json() == renewed
    until(lambda: "limits_renewed idle_s=50 deadline=" in pod.log.read_text())
    pod.ask("PUT", "/api/guard", json={"idle_s": 0.3, "deadline": None})
    until(lambda: "pod_due reason=idle" in pod.log.read_text())
    until(lambda: bool(api.calls))


@pytest.mark.slow
def test_a_refused_guard_unloads_and_says_so_and_goes_on(guarding: Guarding, api: Api) -> None:
    api.status = 403
    api.up()
    pod = guarding(idle_s=0.4).lived(2, status="failed")

    health = pod.health()
    assert health["code"] == "guard_refused"
    assert "could not end itself" in health["reason"]
    assert "end any other one yourself" in health["reason"]
    assert health["restarts"] == 0
    assert pod.post("red", "k1").json()["code"] == "model_unavailable"
    until(lambda: pod.log.read_text().count("outcome=refused") >= 3)

    api.status = 204
    assert pod.ask("PUT", "/api/guard", json={"idle_s": 60}).status_code == 200
    assert pod.ask("PUT", "/api/model", json={"model": "blip"}).status_code == 202
    pod.lived(2)
    assert pod.post("red", "k1", wait=30).status_code == 200
    assert len(pod.lives) == 2


@pytest.mark.slow
def test_an_api_that_is_down_is_tried_until_it_is_up(guarding: Guarding, api: Api) -> None:
    pod = guarding("--no-such-option", startup_s=0.5)  # a worker that never comes to life
    until(lambda: pod.log.read_text().count("end_unanswered") >= 4)

    api.status = 302
    api.up()
    until(lambda: "outcome=failed answers=302,302" in pod.log.read_text())
    api.status = 503
    until(lambda: "outcome=failed answers=503,503" in pod.log.read_text())
    api.status = 204
    until(lambda: "outcome=gone answers=204,204" in pod.log.read_text())

    assert "pod_due reason=not_ready" in pod.log.read_text()
    assert ELSEWHERE not in {call.path for call in api.calls}, "a redirect was followed"
    assert pod.process.poll() is None


@pytest.mark.slow
def test_a_crashed_worker_comes_back_with_its_model_and_knows_its_suspects(
    guarding: Guarding, hold: Hold
) -> None:
    pod = guarding(script={"exit_on": ["red"], **hold.script}).lived()
    assert pod.ask("PUT", "/api/model", json={"model": "blip-base"}).status_code == 202
    pod.lived()
    with suppress(httpx2.HTTPError):
        pod.post("red", "k1")

    pod.lived(2)
    crashed = pod.ask("GET", "/api/caption/k1").json()
    assert (crashed["suspect"], crashed["killed"]) == (True, False)
    assert pod.health()["restarts"] == 1
    assert pod.health()["variant"] == "blip-base"
    hold.release()
    assert pod.post("blue", "k2", wait=30).status_code == 200
    assert pod.health()["restarts"] == 0

    hold.held.touch()
    hold.started.unlink()
    pod.post("green", "k3")
    hold.wait()
    os.kill(pod.worker, signal.SIGKILL)
    pod.lived(3)
    killed = pod.ask("GET", "/api/caption/k3").json()
    assert (killed["suspect"], killed["killed"]) == (True, True)
    other = pod.ask("GET", "/api/caption/k2").json()
    assert (other["suspect"], other["killed"]) == (False, False)
    assert pod.health()["restarts"] == 1


def test_orphans_are_buried(guarding: Guarding, tmp_path: Path) -> None:
    (tmp_path / "orphaning.py").write_text(
        "import subprocess\n"
        "class Engine:\n"
        "    def __init__(self, note: str) -> None:\n"
        "        line = f'sleep 0.2 & echo $! > {note}.part; mv {note}.part {note}'\n"
        "        subprocess.run(['sh', '-c', line], check=True)\n"
        "    def caption(self, images, prompt, generation):\n"
        "        return ['a caption'] * len(images)\n"
    )
    note = tmp_path / "orphan"
    roots = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    pod = guarding(
        engine="orphaning:Engine", script={"note": str(note)}, subreaper=True, PYTHONPATH=roots
    )

    until(note.exists)
    orphan = int(note.read_text())
    until(lambda: not exists(orphan))
    assert pod.process.poll() is None


SPY = '''
import json, os
from pathlib import Path

class Engine:
    """Looks for a key wherever a worker can, and writes down what it saw."""

    def __init__(self, note, backwards):
        self.note, self.key = Path(note), backwards[::-1].encode()

    def load(self):
        found, refused = [], []
        for process in Path("/proc").glob("[0-9]*"):
            places = [process / "environ", process / "cmdline", *self.opened(process)]
            for place in places:
                try:
                    if self.key in place.read_bytes():
                        found.append(str(place))
                except OSError:
                    refused.append(str(place))
        guard = Path("/proc") / str(os.getppid())
        try:
            found += [str(guard / "mem")] if self.key in self.memory(guard) else []
        except OSError:
            refused.append(str(guard / "mem"))
        part = self.note.with_suffix(".part")
        part.write_text(json.dumps({"found": found, "refused": refused}))
        part.rename(self.note)

    def opened(self, process):
        try:
            return [at for at in (process / "fd").iterdir() if "memfd" in os.readlink(at)]
        except OSError:
            return []

    def memory(self, process):
        whole = b""
        ranges = (process / "maps").read_text().splitlines()
        with open(process / "mem", "rb", buffering=0) as memory:
            for line in ranges:
                start, end = (int(at, 16) for at in line.split()[0].split("-"))
                if "rw" in line:
                    memory.seek(start)
                    whole += memory.read(end - start)
        return whole

    def caption(self, images, prompt, generation):
        return ["a caption"] * len(images)
'''


@dataclass
class Seen:
    """What a worker found that looked for the key, and what it was refused."""

    pod: Pod
    found: list[str]
    refused: list[str]


def seen_by_a_worker(guarding: Guarding, folder: Path, key: str, **given: Any) -> Seen:
    """Start a pod with this key, whose worker looks for it."""
    (folder / "spying.py").write_text(SPY)
    note = folder / "seen.json"
    roots = os.pathsep.join((str(folder), environment()["PYTHONPATH"]))
    script = {"note": str(note), "backwards": key[::-1]}
    pod = guarding(
        engine="spying:Engine", script=script, PYTHONPATH=roots, RUNPOD_API_KEY=key, **given
    )
    until(note.exists)
    told = json.loads(note.read_text())
    return Seen(pod, told["found"], told["refused"])


@pytest.fixture
def key() -> str:
    """Return a key that no other test's processes have."""
    return f"rpa_{uuid.uuid4().hex}"


def test_a_worker_finds_the_key_nowhere_and_the_pod_is_ended_with_it(
    guarding: Guarding, api: Api, tmp_path: Path, key: str
) -> None:
    api.up()

    seen = seen_by_a_worker(guarding, tmp_path, key, idle_s=0.5)

    guard = f"/proc/{seen.pod.process.pid}"
    assert seen.found == []
    assert {f"{guard}/environ", f"{guard}/mem"} <= set(seen.refused)
    until(lambda: api.count("POST") >= 1 and api.count("DELETE") >= 1)
    assert {call.headers["authorization"] for call in api.calls} == {f"Bearer {key}"}
    assert {call.path.split("/")[3] for call in api.calls} == {POD}
    assert "_left_" not in seen.pod.log.read_text()
    assert key not in seen.pod.log.read_text()


def test_a_worker_has_no_capability_that_opens_its_guards_memory(guarding: Guarding) -> None:
    prying = sum(1 << number for number in (16, 17, 19, 21, 38, 39))
    pod = guarding().lived()

    if os.geteuid() == 0:
        before = capabilities(os.getpid())["CapBnd"]
        assert capabilities(pod.worker)["CapBnd"] == before & ~prying
    assert not capabilities(pod.worker)["CapPrm"] & prying


def capabilities(pid: int) -> dict[str, int]:
    """Return the sets of capabilities of a process, by the names that /proc has for them."""
    lines = proc(pid, "status").splitlines()
    return {line[:6]: int(line[7:], 16) for line in lines if line.startswith("Cap")}


def test_a_guard_that_cannot_put_its_keys_away_guards_all_the_same(
    guarding: Guarding, api: Api, tmp_path: Path
) -> None:
    """Its memory for the keys is as full as a disk."""
    api.up()
    calls = api.runpods()["CAPTIV_GUARD_ENDING"] + " " * 100_000
    pod = guarding(idle_s=0.5, largest_file=65_536, CAPTIV_GUARD_ENDING=calls).lived()

    assert "keys_left_in_environment error=OSError" in pod.log.read_text()
    assert KEY not in proc(pod.worker, "environ") + pod.log.read_text()
    until(lambda: api.count("POST") >= 1)
    assert api.calls[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("number", ["", "x", "-1", "987"])
def test_a_descriptor_that_holds_no_keys_hides_and_loses_none(
    guarding: Guarding, api: Api, tmp_path: Path, key: str, number: str
) -> None:
    api.up()

    seen = seen_by_a_worker(guarding, tmp_path, key, idle_s=0.5, CAPTIV_GUARD_KEYS=number)

    assert "keys_not_received" in seen.pod.log.read_text()
    assert seen.found == []
    until(lambda: api.count("POST") >= 1)
    assert api.calls[0].headers["authorization"] == f"Bearer {key}"
