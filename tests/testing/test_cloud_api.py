"""The simulated cloud's API answers as RunPod's contract says, and checks what it is asked."""

import json
from typing import Any

import httpx2
import pytest

from captiv.testing.cloud import Cloud
from tests.support import until

from .conftest import A5000, IMAGE, Account, check_answers, switched_on


def test_every_operation_is_answered_as_the_contract_says(account: Account) -> None:
    pod = account.serving()
    api, cloud = account.api, account.cloud
    account.get(pod)
    account.listed()
    account.act(pod, "restart")
    account.act(pod, "stop")
    account.act(pod, "start")
    stock = {"include": "AVAILABILITY", "product": "POD", "cloud": "SECURE"}
    api.get("/v2/catalog/gpus", params=stock)
    api.get("/v2/catalog/datacenters", params={"include": "GPU_AVAILABILITY"})
    api.get("/v2/billing/pods", params={"podId": pod, "bucketSize": "hour", "lastN": 2})
    api.post("/graphql", json={"query": "query { myself { clientBalance } }"})
    account.act(pod, "terminate")

    assert len({call.operation for call in cloud.history}) == 11
    check_answers(cloud)


def test_answers_have_the_time_of_the_clock_that_bills() -> None:
    with switched_on(clock=lambda: 1_800_000_000.5) as account:
        answers = [account.api.get("/v2/pods"), account.api.get("/v2/nothing")]

    assert {answer.headers["Date"] for answer in answers} == {"Fri, 15 Jan 2027 08:00:00 GMT"}


def test_a_created_pod_runs_at_once_and_has_no_runtime_yet(account: Account) -> None:
    created = account.create(env={"A": "b"}, disk=30, cloud="COMMUNITY").json()

    assert (created["status"], created["runtime"]) == ("RUNNING", None)
    assert (created["cost"], created["env"], created["disk"]) == (0.16, {"A": "b"}, 30)
    assert created["actions"] == ["stop", "restart", "terminate"]
    until(lambda: account.get(created["id"])["runtime"] is not None)


def test_statuses_can_pass_as_the_contract_says() -> None:
    def seen_until(account: Account, status: str) -> list[str]:
        pod, seen = account.pod(), [""]

        def reached() -> bool:
            seen.append(str(account.get(pod)["status"]))
            return seen[-1] == status

        until(reached, status)
        return list(dict.fromkeys(seen[1:]))

    order = ["PROVISIONING", "STARTING", "RUNNING"]
    with switched_on(running_at_once=False, provisioning_s=1000) as account:
        assert seen_until(account, "PROVISIONING") == order[:1]
    with switched_on(running_at_once=False, provisioning_s=0.2, pulling_s=0.2) as account:
        account.cloud.mischief.arm("slow_start", seconds=1000)
        begun, whole = seen_until(account, "STARTING"), seen_until(account, "RUNNING")

    assert begun == [status for status in order[:2] if status in begun]
    assert whole == [status for status in order if status in whole]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"bogus": 1}, 422, "$: additional properties 'bogus' not allowed"),
        ({"gpu": {"id": A5000, "vram": 3}}, 422, "$.gpu: additional properties 'vram' not allowed"),
        ({"image": ""}, 422, "$: missing property 'image'"),
        ({"disk": 0}, 422, "$.disk: input should be greater than or equal to 1"),
        ({"disk": None}, 422, "$.disk: must not be null"),
        ({"ports": ["8000"]}, 422, "$.ports[0]"),
        ({"env": {"A": 1}}, 422, "$.env.A"),
        ({"gpu": {"id": A5000, "minCudaVersion": "12"}}, 422, "$.gpu.minCudaVersion"),
        ({"cpu": {"id": "cpu3c", "vcpuCount": 2}}, 400, "exactly one of gpu or cpu"),
        ({"args": "a", "cmd": ["b"]}, 400, "contradict"),
        ({"templateId": "none"}, 404, "template not found"),
        ({"env": {"A": "x" * 103_000}}, 413, "exceeds 102400 bytes"),
        ({"gpu": {"id": "NVIDIA RTX 9999"}}, 400, "does not exist"),
        ({"dataCenterIds": ["EU-XX-9"]}, 400, "no longer any instances available"),
        ({"gpu": {"id": A5000, "minCudaVersion": "99.1"}}, 400, "no longer any instances"),
        ({"gpu": {"id": "NVIDIA L4"}, "cloud": "COMMUNITY"}, 400, "no longer any instances"),
    ],
)
def test_a_wrong_create_is_refused_in_words(
    account: Account, body: dict[str, Any], status: int, says: str
) -> None:
    answer = account.create(**body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in json.dumps(answer.json())
    assert account.cloud.pods_alive() == []


def test_fields_that_came_later_can_be_unknown() -> None:
    with switched_on(exec_form=False) as account:
        answer = account.create(cmd=["a"])

    assert answer.json()["errors"] == ["$: additional properties 'cmd' not allowed"]


def test_a_template_gives_what_the_body_does_not() -> None:
    template = {"image": "their/worker:1", "disk": 77, "env": {"A": "1", "B": "2"}}
    with switched_on(templates={"t1": template}) as account:
        body = {"name": "n", "templateId": "t1", "gpu": {"id": A5000}, "env": {"B": "3"}}
        created = account.api.post("/v2/pods", json=body).json()
        shown = account.api.get("/v2/templates/t1").json()
        unknown = account.api.get("/v2/templates/t2")

    assert (created["image"], created["disk"]) == ("their/worker:1", 77)
    assert created["env"] == {"A": "1", "B": "3"}
    assert created["template"] is None
    assert (shown["image"], shown["disk"], shown["env"]) == ("their/worker:1", 77, template["env"])
    assert unknown.status_code == 404


def test_a_serverless_template_makes_no_pod() -> None:
    with switched_on(templates={"t1": {"image": "a", "serverless": True}}) as account:
        body = {"name": "n", "templateId": "t1", "gpu": {"id": A5000}}
        refused = account.api.post("/v2/pods", json=body)

    assert refused.status_code == 422


@pytest.mark.parametrize("key", [None, "rpa_wrong"])
def test_nobody_calls_without_the_key(account: Account, cloud: Cloud, key: str | None) -> None:
    headers = {"User-Agent": "captiv/test"}
    if key:
        headers["Authorization"] = f"Bearer {key}"

    answer = account.web.get(f"{cloud.api_url}/v2/pods", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["title"] == "Unauthorized"
    assert "ratelimit" not in answer.headers


@pytest.mark.parametrize("agent", ["", "Python-urllib/3.11"])
def test_cloudflare_refuses_whoever_does_not_say_who_asks(
    account: Account, cloud: Cloud, agent: str
) -> None:
    headers = {"Authorization": f"Bearer {cloud.account_key}", "User-Agent": agent}

    answer = account.web.get(f"{cloud.api_url}/v2/pods", headers=headers)

    assert answer.status_code == 403
    assert "error code: 1010" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_pods_key_ends_that_pod_and_does_nothing_else(cloud: Cloud, account: Account) -> None:
    mine, other = account.pod(), account.pod()
    within = Account(cloud, cloud.pod(mine).key)

    assert within.api.get("/v2/pods").status_code == 403
    assert within.create().status_code == 403
    assert within.api.get(f"/v2/pods/{mine}").status_code == 403
    assert within.act(other, "terminate").status_code == 403
    assert within.act(mine, "terminate").status_code == 204
    assert within.act(mine, "terminate").status_code == 401
    assert cloud.pods_alive() == [other]
    assert cloud.history[-2].caller == mine
    within.close()


def test_a_terminated_pod_is_gone_and_the_answer_has_no_body(account: Account) -> None:
    pod = account.pod()

    deleted = account.api.delete(f"/v2/pods/{pod}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert account.api.delete(f"/v2/pods/{pod}").status_code == 404
    assert account.api.get(f"/v2/pods/{pod}").status_code == 404
    assert account.listed() == []


def test_an_action_out_of_turn_is_refused(account: Account) -> None:
    pod = account.pod()

    assert account.act(pod, "start").status_code == 409
    assert account.act(pod, "explode").status_code == 422
    assert account.act(pod, "stop").json()["status"] == "EXITED"
    assert account.get(pod)["cost"] == 0.0
    assert account.act(pod, "restart").status_code == 409


def test_a_pod_can_be_renamed_and_locked(account: Account) -> None:
    pod = account.pod()

    patched = account.api.patch(f"/v2/pods/{pod}", json={"name": "new", "locked": True})

    assert (patched.json()["name"], patched.json()["locked"]) == ("new", True)
    assert account.act(pod, "stop").status_code == 409


def test_other_versions_and_paths_are_refused(account: Account) -> None:
    assert account.api.get("/v1/pods").status_code == 410
    assert account.api.get("/v2/nothing").json()["status"] == 404
    assert account.api.put("/v2/pods").json()["status"] == 405


def test_the_catalog_tells_stock_only_when_asked_rightly(account: Account) -> None:
    def gpus(**query: str) -> httpx2.Response:
        return account.api.get("/v2/catalog/gpus", params=query)

    plain = {gpu["id"]: gpu for gpu in gpus().json()["gpus"]}
    stock = gpus(include="AVAILABILITY", product="POD", cloud="COMMUNITY").json()["gpus"]
    levels = {gpu["id"]: gpu["availability"] for gpu in stock}

    assert plain[A5000]["price"] == {"secure": 0.26, "community": 0.16}
    assert (plain[A5000]["memory"], plain[A5000].get("availability")) == (24, None)
    assert (levels[A5000], levels["NVIDIA L4"]) == ("HIGH", "NONE")
    assert gpus(include="AVAILABILITY").status_code == 400
    assert gpus(product="POD").status_code == 400
    assert gpus(cloud="SECURE").status_code == 400


def test_what_is_sold_out_cannot_be_created() -> None:
    with switched_on() as account:
        account.cloud.catalog.sell_out("SECURE")

        assert account.create().status_code == 400
        assert account.create(cloud="COMMUNITY").status_code == 201


def test_the_log_is_streamed_and_taken_up_again(account: Account) -> None:
    pod = account.serving()
    path = f"/v2/pods/{pod}/logs"

    with account.api.stream("GET", path, params={"source": "container"}) as stream:
        lines = stream.iter_lines()
        first_id, first = next(lines), json.loads(next(lines).removeprefix("data: "))
    account.act(pod, "restart")
    account.until_serving(pod)
    last_id = {"Last-Event-ID": first_id.removeprefix("id: ")}
    params = {"source": "container", "tail": "0"}
    with account.api.stream("GET", path, params=params, headers=last_id) as stream:
        lines = stream.iter_lines()
        second = (next(lines), next(lines))

    assert first["source"] == "container"
    assert first["line"].startswith("serving as --host 127.0.0.1 --port ")
    assert second[0] > first_id
    assert "serving as" in second[1]


def test_the_log_ends_with_the_pod(account: Account) -> None:
    pod = account.serving()

    with account.api.stream("GET", f"/v2/pods/{pod}/logs", params={"source": "system"}) as stream:
        account.act(pod, "terminate")
        text = "".join(stream.iter_text())

    assert f"create container {IMAGE}" in text
    assert "Downloading" in text
    assert "serving as" not in text
    assert account.api.get(f"/v2/pods/{pod}/logs").status_code == 404


def test_the_quota_is_told_and_held() -> None:
    with switched_on(quota_per_minute=2) as account:
        left = [account.api.get("/v2/pods").headers["ratelimit"] for _ in range(2)]
        over = account.api.get("/v2/pods")

    assert [text.split(";")[1] for text in left] == ["r=1", "r=0"]
    assert over.status_code == 429
    assert 0 < int(over.headers["retry-after"]) <= 60
