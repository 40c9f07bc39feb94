"""What is armed happens to whom it is armed for, so often, and never else."""

import json
import threading
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from captiv.testing.cloud import KNOWN, Cloud, Mischief
from tests.support import alive, until

from .conftest import Account, switched_on

pytestmark = pytest.mark.allow_blocking


@pytest.mark.parametrize(
    ("name", "options", "status", "says"),
    [
        ("no_capacity", {}, 400, "no longer any instances available"),
        ("no_balance", {}, 402, "insufficient balance"),
        ("forbidden", {}, 403, "access denied"),
        ("cloudflare_1010", {}, 403, "error code: 1010"),
        ("unprocessable", {}, 422, "additional properties 'bogus' not allowed"),
        ("rate_limited", {"retry_after_s": 7}, 429, "rate limit exceeded"),
        ("server_error", {"status": 503}, 503, "Something went wrong."),
    ],
)
def test_a_create_is_refused_and_no_pod_is_made(
    account: Account, cloud: Cloud, name: str, options: dict[str, Any], status: int, says: str
) -> None:
    cloud.mischief.arm(name, **options)

    answer = account.create()

    assert (answer.status_code, says in answer.text) == (status, True)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert cloud.history[-1].mischief == name
    assert cloud.pods_alive() == []
    assert account.create().status_code == 201


def test_it_strikes_so_often_and_only_the_call_it_is_armed_for(
    account: Account, cloud: Cloud
) -> None:
    cloud.mischief.arm("server_error", times=2, call="list_pods")

    assert account.create().status_code == 201
    statuses = [account.api.get("/v2/pods").status_code for _ in range(3)]

    assert statuses == [500, 500, 200]


def test_a_pod_exists_though_its_creation_was_never_answered(
    account: Account, cloud: Cloud
) -> None:
    cloud.mischief.arm("created_then_timed_out")

    body = json.dumps({"name": "lost", "image": "i", "gpu": {"id": "NVIDIA L4"}})
    with closing(HTTPConnection(urlsplit(cloud.api_url).netloc, timeout=60)) as connection:
        connection.request("POST", "/v2/pods", body, dict(account.api.headers))
        until(lambda: bool(cloud.pods_alive()), "the pod was made")
        connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.getresponse()
    cloud.mischief.arm("created_then_timed_out", status=504)

    assert account.create().status_code == 504
    assert [pod.name for pod in cloud.pods() if not pod.terminated] == ["lost", "captiv-test"]


def test_a_pod_is_gone_though_its_end_was_not_told(account: Account, cloud: Cloud) -> None:
    pod = account.pod()
    cloud.mischief.arm("terminated_then_timed_out", status=504)

    assert account.api.delete(f"/v2/pods/{pod}").status_code == 504
    assert cloud.pods_alive() == []


def test_a_pod_is_ended_only_at_the_third_try(account: Account, cloud: Cloud) -> None:
    pod = account.pod()
    cloud.mischief.arm("terminate_fails", times=2, pod=pod)

    deleted = account.api.delete(f"/v2/pods/{pod}").status_code
    acted = [account.act(pod, "terminate").status_code for _ in range(2)]

    assert (deleted, acted) == (500, [500, 204])


def test_a_list_comes_in_pages(account: Account, cloud: Cloud) -> None:
    pods = [account.pod() for _ in range(3)]
    cloud.mischief.arm("paging", size=2)

    first = account.api.get("/v2/pods").json()
    cursor = {"cursor": first["pagination"]["nextCursor"]}
    second = account.api.get("/v2/pods", params=cursor).json()

    assert first["pagination"]["hasNextPage"]
    assert not second["pagination"]["hasNextPage"]
    assert [pod["id"] for pod in first["pods"] + second["pods"]] == pods
    assert "pagination" not in account.api.get("/v2/pods").json()


def test_a_pod_vanishes_from_the_list_for_a_while_and_lives_on(
    account: Account, cloud: Cloud
) -> None:
    one, other = account.pod(), account.pod()
    cloud.mischief.arm("vanished_from_list", times=2, pod=one)

    assert [account.listed() for _ in range(3)] == [[other], [other], [one, other]]
    cloud.mischief.arm("vanished_from_list")
    assert account.get(one)["status"] == "RUNNING"
    assert [account.listed() for _ in range(2)] == [[], [one, other]]


def test_a_new_pod_is_listed_late() -> None:
    now = [1_800_000_000.0]
    with switched_on(clock=lambda: now[0]) as account:
        account.cloud.mischief.arm("late_in_list", seconds=2)
        pod = account.pod()
        now[0] += 1.9
        early = account.listed()
        now[0] += 0.2
        late = account.listed()

    assert (early, late) == ([], [pod])


def test_a_pod_runs_for_ever_without_a_runtime(account: Account, cloud: Cloud) -> None:
    cloud.mischief.arm("running_with_null_runtime")
    pod = account.pod()
    healthy = account.serving()

    assert (account.get(pod)["status"], account.get(pod)["runtime"]) == ("RUNNING", None)
    assert account.reach(pod).status_code == 502
    assert account.get(healthy)["runtime"]


@pytest.mark.parametrize("armed_later", [False, True])
def test_a_crash_loop_looks_like_running(account: Account, cloud: Cloud, armed_later: bool) -> None:
    if armed_later:
        pod = account.serving()
        cloud.mischief.arm("crash_loop", pod=pod)
    else:
        cloud.mischief.arm("crash_loop")
        pod = account.pod()

    until(lambda: cloud.pod(pod).log.texts("system").count("container ended with code 1") > 1)
    assert account.get(pod)["status"] == "RUNNING"
    assert account.reach(pod).status_code == 502
    assert "ImportError" in " ".join(cloud.pod(pod).log.texts("container"))


def test_a_slow_pull_tells_how_far_it_is(account: Account, cloud: Cloud) -> None:
    slow = cloud.mischief.arm("slow_start", seconds=100)  # it tells of each twentieth
    pod = account.pod()

    slow.options["seconds"] = 40
    until(lambda: any("Downloading" in line for line in cloud.pod(pod).log.texts("system")))
    assert account.get(pod)["runtime"] is None
    slow.options["seconds"] = 0
    account.until_serving(pod)


def test_an_image_that_is_not_there_never_starts(account: Account, cloud: Cloud) -> None:
    cloud.mischief.arm("image_missing")
    pod = account.pod()

    until(lambda: any("manifest" in line for line in cloud.pod(pod).log.texts("system")))
    assert account.get(pod)["runtime"] is None


def test_the_injected_key_is_refused(account: Account, cloud: Cloud) -> None:
    cloud.mischief.arm("injected_key_refused")
    pod = account.pod()
    within = Account(cloud, cloud.pod(pod).key)

    assert within.act(pod, "terminate").status_code == 403
    assert within.api.delete(f"/v2/pods/{pod}").status_code == 403
    within.close()


@pytest.mark.parametrize("what", ["worker", "pod"])
def test_a_worker_is_killed_while_it_works(account: Account, cloud: Cloud, what: str) -> None:
    pod = account.pod(
        entrypoint=["sh", "-c"],
        cmd=["sleep 1000 & echo $! > here; exec python -S -m http.server --bind 127.0.0.1 0"],
    )
    here = cloud.pod(pod).disk / "here"
    until(lambda: here.exists() and bool(here.read_text().strip()))
    worker, first = int(here.read_text()), cloud.processes(pod)
    cloud.mischief.arm("killed_mid_batch", pod=pod, after=0, what=what)

    until(lambda: not alive(worker))
    if what == "pod":
        until(lambda: not any(alive(pid) for pid in first))
        until(lambda: cloud.pod(pod).lives == 2)


def test_a_pod_is_preempted_when_the_second_request_reaches_it(
    account: Account, cloud: Cloud
) -> None:
    pod = account.serving()
    cloud.mischief.arm("preempted", after=2)

    first = account.web.post(cloud.url(pod), content=b"1")
    account.reach(pod)
    assert account.get(pod)["status"] == "RUNNING"
    with suppress(httpx2.HTTPError):
        account.web.post(cloud.url(pod), content=b"2")

    assert first.status_code == 200
    until(lambda: account.get(pod)["status"] == "EXITED")
    assert account.reach(pod).status_code == 404


def test_the_proxy_is_down_or_slow_or_cut(account: Account, cloud: Cloud) -> None:
    pod = account.serving()
    cloud.mischief.arm("proxy_down", times=2, status=503)

    assert [account.reach(pod).status_code for _ in range(3)] == [503, 503, 200]
    cloud.mischief.arm("proxy_slow", delay_s=60)
    with pytest.raises(httpx2.ReadTimeout):
        account.web.get(cloud.url(pod), timeout=httpx2.Timeout(60, read=0.3))
    until(lambda: not cloud.mischief.armed(), "it has met the request")
    cloud.mischief.arm("proxy_down", status=0)
    with pytest.raises(httpx2.RemoteProtocolError):
        account.reach(pod)


def test_it_is_armed_over_http_too(account: Account, cloud: Cloud) -> None:
    control = httpx2.Client(base_url=f"{cloud.api_url}/_sim", timeout=60)
    armed = control.post("/mischief", json={"name": "no_capacity", "times": 1}).json()
    pod = account.pod(name="second") if account.create().status_code == 400 else ""

    state = control.get("/state").json()
    calls = control.get("/calls").json()

    assert armed == {"name": "no_capacity", "times": 1, "used": 0} | dict.fromkeys(
        ("pod", "call")
    ) | {"chance": 1.0}
    assert control.post("/mischief", json={"name": "nonsense"}).status_code == 422
    assert state["alive"] == [pod]
    assert [call["status"] for call in calls] == [400, 201]
    assert calls[0]["mischief"] == "no_capacity"
    assert control.post("/link", json={"rtt_s": 0.0}).json()["rtt_s"] == 0.0
    control.delete("/mischief")
    control.close()


def test_unknown_names_and_options_are_refused() -> None:
    mischief = Mischief()

    with pytest.raises(ValueError, match="known: no_capacity"):
        mischief.arm("nonsense")
    with pytest.raises(ValueError, match="no option status"):
        mischief.arm("no_capacity", status=3)
    with pytest.raises(ValueError, match="needs the pod's id"):
        mischief.arm("preempted", after=0)


def test_a_storm_is_the_same_for_the_same_seed() -> None:
    def storm(seed: int) -> list[dict[str, Any]]:
        return [armed.describe() for armed in Mischief().storm(seed, 4)]

    assert storm(3) == storm(3)
    assert len({str(storm(seed)) for seed in range(20)}) > 15
    assert {armed["name"] for seed in range(100) for armed in storm(seed)} == KNOWN.keys()


def test_a_chance_is_drawn_from_the_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        mischief = Mischief(seed)
        mischief.arm("no_capacity", times=None, chance=0.5)
        return [mischief.take("no_capacity") is not None for _ in range(40)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 8 < sum(drawn(1)) < 32


def test_arming_from_many_threads_loses_nothing(cloud: Cloud, account: Account) -> None:
    pod = account.pod()

    def arm() -> None:
        cloud.mischief.arm("forbidden", pod=pod, call="get_pod")

    threads = [threading.Thread(target=arm) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statuses = [account.api.get(f"/v2/pods/{pod}").status_code for _ in range(9)]
    assert statuses == [403] * 8 + [200]
    assert Path(cloud.pod(pod).disk).is_absolute()
