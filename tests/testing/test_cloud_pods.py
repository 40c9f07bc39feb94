"""A simulated pod is a real process behind a proxy, and leaves none behind."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from captiv.rental.podspec import starting
from captiv.rental.provider import ending_as_json
from captiv.rental.runpod.ending import ending
from captiv.testing.cloud import Cloud, Conditions, running
from captiv.testing.cloud.bill import Bill
from captiv.testing.cloud.conditions import GUARDED
from captiv.testing.cloud.container import descendants
from captiv.testing.cloud.image import Recipe, command, make_disk, on_this_machine
from captiv.testing.engine import scripted_caption
from tests.support import SCRIPTED, alive, until

from .conftest import A5000, Account, switched_on

pytestmark = pytest.mark.allow_blocking

WORKER: dict[str, Any] = {
    "entrypoint": GUARDED,
    "worker_args": ("--engine", SCRIPTED),
}


@pytest.mark.slow
def test_a_guarded_worker_captions_in_a_pod(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    options = ("--engine-options", json.dumps({"hold": str(hold)}))
    digest = hashlib.sha256(b"a token of the tests").hexdigest()
    red = Image.new("RGB", (40, 30), (250, 4, 4))
    picture = io.BytesIO()
    red.save(picture, "PNG")
    with switched_on(**WORKER | {"worker_args": (*WORKER["worker_args"], *options)}) as account:
        env = {"CAPTIV_WORKER_TOKEN_SHA256": digest}
        pod = account.serving(env=env, args="--model shapes")
        url = account.cloud.url(pod) + "/api/caption"
        token = {"Authorization": "Bearer a token of the tests", "Content-Type": "image/png"}

        refused = account.web.post(url, content=picture.getvalue())
        answer = account.web.post(url, content=picture.getvalue(), headers=token)

        first_boot = answer.headers["Captiv-Worker"]
        assert refused.status_code == 401
        assert answer.json()["caption"] == scripted_caption(red)

        hold.touch()
        account.cloud.mischief.arm("killed_mid_batch", pod=pod)
        broken = account.web.post(url, content=picture.getvalue(), headers=token)

        assert broken.status_code == 502
        account.until_serving(pod)
        assert account.reach(pod, "/health").headers["Captiv-Worker"] != first_boot
        assert account.cloud.pod(pod).lives == 1


def test_a_pod_that_ends_while_it_comes_up_stays_ended(account: Account, cloud: Cloud) -> None:
    pod = cloud.pod(account.pod(image="runpod/pytorch:1.0.2-cu1281"))
    until(lambda: any("Downloaded" in line for line in pod.log.texts("system")))

    account.act(pod.id, "terminate")

    until(lambda: not pod.living.locked())
    assert cloud.pods_alive() == []
    until(lambda: cloud.processes(pod.id) == [])


def test_an_abandoned_pod_ends_itself_with_its_own_key() -> None:
    env = {"CAPTIV_WORKER_TOKEN_SHA256": "0" * 64, "CAPTIV_GUARD_STARTUP_S": "0.1"}
    with switched_on(**WORKER) as account:
        cloud = account.cloud
        env["CAPTIV_GUARD_ENDING"] = ending_as_json(ending(cloud.api_url))
        pod = account.pod(env=env)

        until(lambda: cloud.pods_alive() == [])
        call = next(call for call in cloud.history if call.caller == pod)
        until(lambda: call.status is not None)

        assert (call.operation, call.status) == ("terminate_pod", 204)
        until(lambda: cloud.processes() == [])


def test_a_pod_sees_its_own_variables_and_nothing_of_ours(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIV_HOME", "/nowhere")
    monkeypatch.setenv("RUNPOD_API_KEY", "ours")
    pod = account.serving(env={"MINE": "1"})

    found = dict(line.split("=", 1) for line in account.reach(pod, "/env").text.splitlines())

    assert (found["MINE"], found["RUNPOD_POD_ID"]) == ("1", pod)
    assert found["RUNPOD_API_KEY"] == account.cloud.pod(pod).key
    assert found["PATH"].startswith(str(Path(sys.executable).parent))
    assert account.cloud.account_key not in found.values()
    assert "CAPTIV_HOME" not in found


def test_two_pods_have_the_same_port_and_are_apart(account: Account) -> None:
    pods = [account.serving(), account.serving()]

    ports = [account.cloud.pod(pod).ports[8000] for pod in pods]

    assert len({*ports}) == 2
    assert [account.reach(pod, "/who").text for pod in pods] == ["/who", "/who"]


def test_a_container_that_exits_is_started_again_and_the_pod_bills_on(
    account: Account, cloud: Cloud
) -> None:
    pod = account.serving()

    assert account.reach(pod, "/die").status_code == 502
    assert account.get(pod)["status"] == "RUNNING"
    account.until_serving(pod)

    assert cloud.pod(pod).lives == 2
    assert "container ended with code 3" in cloud.pod(pod).log.texts("system")


def test_terminate_leaves_no_process_of_a_pod(account: Account, cloud: Cloud) -> None:
    hides = "setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM; sleep 1000 & wait' &) ; sleep 1000"
    pod = account.pod(entrypoint=["sh"], cmd=["-c", hides])
    until(lambda: len(cloud.processes(pod)) == 6)
    pids = cloud.processes(pod)

    account.act(pod, "terminate")

    until(lambda: not any(alive(pid) for pid in pids))
    assert cloud.pods_alive() == []


def test_a_stopped_pod_costs_nothing_and_starts_anew(account: Account, cloud: Cloud) -> None:
    pod = account.serving()
    account.act(pod, "stop")
    until(lambda: cloud.processes(pod) == [])
    seconds = cloud.seconds(pod)

    assert account.reach(pod).status_code == 404
    time.sleep(0.01)
    assert cloud.seconds(pod) == seconds
    account.act(pod, "start")
    account.until_serving(pod)
    assert cloud.pods_alive() == [pod]


def test_the_proxy_tells_what_it_cannot_reach(account: Account) -> None:
    pod = account.serving(ports=["8000/http", "9000/http", "22/tcp"])

    assert account.reach(pod, port=9000).status_code == 502  # nothing listens
    assert account.reach(pod, port=22).status_code == 404  # not http
    assert account.reach("nopod").status_code == 404
    account.act(pod, "terminate")
    gone = account.reach(pod)
    assert (gone.status_code, gone.content) == (404, b"")


@pytest.mark.slow
def test_the_proxy_ends_what_takes_too_long_but_not_what_goes_on() -> None:
    with switched_on(proxy_limit_s=1) as account:
        pod = account.serving()

        def drip(query: str) -> str:
            """Return the bytes that came one at a time; or that the answer was cut."""
            try:
                return account.reach(pod, f"/drip?every_s=0.1&{query}").text
            except httpx2.RemoteProtocolError:
                return "cut"

        assert account.reach(pod, "/slow?wait_s=1000").status_code == 524
        # If this machine stalls, what goes on may be cut, and what stops may never have begun.
        until(lambda: drip("count=2&stops=1") == "cut", "what stops is cut")
        until(lambda: drip("count=15") == 15 * ".", "what goes on comes whole")


def test_the_proxy_carries_both_ways_unchanged(account: Account, cloud: Cloud) -> None:
    pod = account.serving()
    before = cloud.link.up.bytes
    headers = {"Captiv-Request": '{"a": 1}'}

    answer = account.web.post(cloud.url(pod) + "/x", content=b"\x00" * 300_000, headers=headers)

    assert answer.text == f"300000 {bytes(4)!r} " + '{"a": 1}'
    assert account.reach(pod, "/a%2Fb/c?d=%20e").text == "/a%2Fb/c?d=%20e"
    assert 300_000 < cloud.link.up.bytes - before < 302_000


def test_the_line_can_be_long_and_thin(account: Account, cloud: Cloud) -> None:
    pod = account.serving()
    cloud.link.rtt_s, cloud.link.up.mbit = 0.2, 4.0
    try:
        round_trip = shortest_s(lambda: account.reach(pod), below=1)
        upload = shortest_s(
            lambda: account.web.post(cloud.url(pod), content=bytes(100_000)), below=1.5
        )
    finally:
        cloud.link.rtt_s, cloud.link.up.mbit = 0.0, None

    assert round_trip >= 0.2
    assert upload >= 0.4


def shortest_s(call: Callable[[], object], *, below: float) -> float:
    """Return how long a call takes at least, called until nothing but the line held it up."""
    took_s: list[float] = []

    def is_below() -> bool:
        begun = time.monotonic()
        call()
        took_s.append(time.monotonic() - begun)
        return took_s[-1] < below

    until(is_below, f"a call of less than {below} s")
    return min(took_s)


def test_every_begun_second_is_billed_until_a_pod_ends() -> None:
    now = [1_800_000_000.0]
    with switched_on(clock=lambda: now[0], billing_lag_s=0) as account:
        cloud = account.cloud
        pod, other = account.pod(), account.pod(gpu={"id": A5000, "count": 2})
        now[0] += 99.2
        account.act(pod, "terminate")
        now[0] += 3500.8
        rows = account.api.get("/v2/billing/pods", params={"bucketSize": "hour"}).json()
        billed = sum(row["totalAmount"] for row in rows["records"] if row["podId"] == pod)

        assert cloud.seconds(pod) == 100
        assert cloud.bill(pod) == Decimal("0.26") * 100 / 3600
        assert cloud.bill(other) == Decimal("0.52")
        assert cloud.bill() == cloud.bill(pod) + cloud.bill(other)
        assert cloud.balance() == 100 - cloud.bill()
        assert billed == pytest.approx(float(cloud.bill(pod)), abs=1e-8)
        assert rows["metadata"]["totals"]["totalAmount"] == pytest.approx(float(cloud.bill()))


def test_records_come_late_also_of_a_pod_that_has_ended() -> None:
    now = [1_800_000_000.0]
    with switched_on(clock=lambda: now[0]) as account:
        pod, query = account.pod(), {"bucketSize": "hour"}
        now[0] += 100
        account.act(pod, "terminate")
        at_once = account.api.get("/v2/billing/pods", params=query).json()["records"]
        now[0] += 300
        later = account.api.get("/v2/billing/pods", params=query).json()["records"]

    assert at_once == []
    assert [row["podId"] for row in later] == [pod]
    assert later[0]["totalAmount"] == pytest.approx(0.26 * 100 / 3600)


def test_a_bill_is_divided_into_buckets_without_loss() -> None:
    now = [1_800_000_000.0]
    bill = Bill(lambda: now[0])
    bill.open("a", Decimal("0.36"))
    now[0] += 40 * 86_400 + 0.5

    for bucket in ("hour", "day", "week", "month", "year"):
        rows = bill.records(1_800_000_000, now[0], bucket, None, 0)
        assert sum(row["totalAmount"] for row in rows) == pytest.approx(float(bill.dollars("a")))
    assert bill.records(1_800_000_000, now[0], "year", "a", lag_s=86_400 * 41) == []


def test_an_empty_account_rents_nothing() -> None:
    with switched_on(balance=Decimal("0.20")) as account:
        assert account.create().status_code == 402


def test_a_start_command_is_put_together_as_docker_does() -> None:
    conditions = Conditions(entrypoint=("guard", "--port", "8000"), worker_args=("--engine", "e"))
    ours = ("guard", "--port", "8000", "--engine", "e")

    def argv(image: str, **fields: object) -> tuple[str, ...]:
        return command(Recipe(image=image, **fields), conditions)  # type: ignore[arg-type]

    assert argv("captiv/worker:1", args="--model 'a b'") == (*ours, "--model", "a b")
    assert argv("captiv/worker:1", cmd=("x",)) == (*ours, "x")
    assert argv("captiv/worker:1", entrypoint=("sh",), args="-c id") == ("sh", "-c", "id")
    assert argv("runpod/pytorch:2", args="bash -c 'id'") == ("bash", "-c", "id")
    both = json.dumps({"entrypoint": ["sh", "-c"], "cmd": ["id"]})
    assert argv("runpod/pytorch:2", args=both) == ("sh", "-c", "id")


def test_more_arguments_follow_a_start_command_that_installs_captiv() -> None:
    conditions = Conditions(entrypoint=("guard",), worker_args=("--engine", "e"))
    entrypoint, cmd = starting(("--model", "m"), "captiv")
    recipe = Recipe("runpod/pytorch:2", entrypoint=entrypoint, cmd=cmd)

    assert command(recipe, conditions) == (*entrypoint, "captiv", "--model", "m", "--engine", "e")


@pytest.mark.slow
def test_the_layers_of_images_are_made_once_and_no_pod_changes_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    make_disk(first, Recipe("runpod/pytorch:2"), Conditions())
    layers = tmp_path / "layers"
    made = sorted((path, path.lstat().st_mtime_ns) for path in layers.rglob("*"))
    pip = [str(first / "python" / "bin" / "pip"), "install", "-q", "--no-index"]
    subprocess.run(
        [*pip, "--ignore-installed", str(stand_in(tmp_path))], check=True, env={"PATH": os.defpath}
    )
    make_disk(second, Recipe("runpod/pytorch:2"), Conditions())

    assert made == sorted((path, path.lstat().st_mtime_ns) for path in layers.rglob("*"))
    assert list(first.rglob("captiv_stand_in.py"))
    assert not list(second.rglob("captiv_stand_in.py"))


def test_pods_that_start_at_once_share_whole_layers(tmp_path: Path) -> None:
    disks = [tmp_path / str(number) for number in range(16)]
    make = partial(make_disk, recipe=Recipe("runpod/pytorch:2"), conditions=Conditions())
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(make, disks))

    assert {path.name for path in tmp_path.iterdir()} == {"layers", *(disk.name for disk in disks)}
    assert all((disk / "python" / "bin" / "python").exists() for disk in disks)


def test_ports_and_hosts_are_those_of_this_machine() -> None:
    script = "pip install x && exec guard --host 0.0.0.0 --port 8000 --permits 8000"

    local = on_this_machine(["sh", "-c", script, "--port", "8000"], lambda port: port + 1)

    changed = "pip install x && exec guard --host 127.0.0.1 --port 8001 --permits 8000"
    assert local == ["sh", "-c", changed, "--port", "8001"]


def stand_in(folder: Path) -> Path:
    """Write the smallest wheel there is."""
    wheel, info = folder / "captiv_stand_in-1-py3-none-any.whl", "captiv_stand_in-1.dist-info"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as parts:
        parts.writestr("captiv_stand_in.py", "where = __file__\n")
        parts.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: captiv-stand-in\nVersion: 1\n"
        )
        parts.writestr(f"{info}/WHEEL", tags)
        parts.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.mark.slow
def test_pip_in_a_pod_installs_into_the_pod(account: Account, tmp_path: Path) -> None:
    wheel = stand_in(tmp_path)
    script = (
        f"pip install -q --no-index {wheel} && python -c 'import captiv_stand_in, starlette; "
        "print(captiv_stand_in.where)' && python -c 'import captiv'; echo done; sleep 1000"
    )
    pod = account.pod(image="runpod/pytorch:1.0.2-cu1281", args=f"bash -c {json.dumps(script)}")

    until(lambda: "done" in account.cloud.pod(pod).log.texts("container"))

    log = account.cloud.pod(pod).log.texts("container")
    where = next(Path(line) for line in log if line.endswith("captiv_stand_in.py"))
    assert pod in where.parts
    assert any("No module named 'captiv'" in line for line in log)
    account.act(pod, "terminate")
    until(lambda: not where.exists())


def test_ending_the_cloud_ends_every_pod() -> None:
    with running() as cloud:
        account = Account(cloud)
        account.pod(entrypoint=["sleep"], cmd=["1000"])
        until(lambda: len(cloud.processes()) == 2)
        pids = cloud.processes()
        account.close()

    assert cloud.pods_alive() == []
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_pod_outlives_the_cloud_however_it_dies(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "captiv.testing.cloud", "--pulling-s", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {said['account_key']}", "User-Agent": "captiv/test"}
        body = {"name": "n", "image": "i", "gpu": {"id": A5000}}
        body |= {"entrypoint": ["sh", "-c"], "cmd": ["setsid sleep 1000 & sleep 1000"]}
        with httpx2.Client(base_url=said["api_url"], headers=headers, timeout=60) as api:
            api.post("/v2/pods", json=body).raise_for_status()

            def state() -> dict[str, object]:
                return dict(api.get("/_sim/state").json()["pods"][0])

            until(lambda: bool(state()["pid"]))
            holder = int(str(state()["pid"]))
            until(lambda: len(descendants(holder)) == 3)
            pids = [holder, *descendants(holder)]
        os.kill(process.pid, number)
        process.wait(60)

    assert said["environment"]["RUNPOD_API_KEY"] == said["account_key"]
    until(lambda: not any(alive(pid) for pid in pids))
