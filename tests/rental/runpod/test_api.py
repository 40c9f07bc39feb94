"""What RunPod's API is asked, and what becomes of its answers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest

from captiv import __version__, errors
from captiv.rental.runpod.values import Cloud, PodStatus, Stock
from tests.rental.runpod.conftest import (
    KEY,
    NO_MACHINE,
    Answer,
    Odd,
    Scene,
    answer,
    gone,
    page,
    pod,
    problem,
    wanted,
)

Make = Callable[..., Scene]


async def test_a_create_sends_what_is_set_and_nothing_else(scene: Make) -> None:
    told = scene(answer(pod(), 201))

    await told.api.create(
        wanted(
            env={"A": "1"},
            ports=("8000/http",),
            disk_gb=20,
            cloud=Cloud.COMMUNITY,
            gpu={"id": "NVIDIA L4", "min_cuda_version": "12.8"},
            entrypoint=("python", "-m"),
            cmd=("guard",),
        )
    )

    assert told.bodies == [
        {
            "name": "captiv-1",
            "image": "worker:1",
            "gpu": {"id": "NVIDIA L4", "count": 1, "minCudaVersion": "12.8"},
            "env": {"A": "1"},
            "ports": ["8000/http"],
            "disk": 20,
            "cloud": "COMMUNITY",
            "entrypoint": ["python", "-m"],
            "cmd": ["guard"],
        }
    ]


async def test_what_a_template_gives_is_not_sent(scene: Make) -> None:
    told = scene(answer(pod(), 201))

    await told.api.create(wanted(image=None, template_id="30zmvf89kd"))

    assert told.bodies[0].keys() == {"name", "gpu", "cloud", "templateId"}


async def test_every_call_says_who_asks_and_carries_the_key(scene: Make) -> None:
    told = scene(answer({"pods": []}))

    await told.api.pods()

    assert told.requests[0].headers["User-Agent"] == f"captiv/{__version__}"
    assert told.requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_a_created_pod_is_returned_as_values(scene: Make) -> None:
    runtime = {
        "uptime": 90,
        "gpus": [{"util": 97, "memoryUtil": 40}],
        "ports": [{"private": 22, "public": 34446, "type": "tcp", "ip": "195.26.233.3"}],
    }
    told = scene(answer(pod(runtime=runtime, startedAt="2026-08-20T06:17:00Z"), 201))

    made = await told.api.create(wanted())

    assert (made.id, made.status, made.cost_per_hour) == ("abc123", PodStatus.RUNNING, 0.43)
    assert made.created_at == datetime(2026, 8, 20, 6, 16, 19, 436000, tzinfo=UTC)
    assert made.gpu and made.gpu.id == "NVIDIA L4"
    assert made.runtime and made.runtime.uptime_s == 90
    assert made.runtime.ports[0].public == 34446
    assert made.runtime.gpus[0].memory_util == 40


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.NoCapacity),
        (401, errors.KeyRefused),
        (402, errors.NoBalance),
        (403, errors.AccessDenied),
        (404, errors.ProviderMismatch),
        (409, errors.PodConflict),
        (410, errors.ProviderEnded),
        (413, errors.ProviderRejected),
        (418, errors.ProviderRejected),
        (422, errors.ProviderRejected),
        (500, errors.PodMayExist),
        (502, errors.PodMayExist),
        (503, errors.PodMayExist),
        (524, errors.PodMayExist),
    ],
)
async def test_a_refused_create_is_captivs_error_and_sent_once(
    scene: Make, status: int, expected: type[errors.ProviderError]
) -> None:
    told = scene(problem(status, "Words of RunPod."))

    with pytest.raises(errors.ProviderError) as caught:
        await told.api.create(wanted())

    assert type(caught.value) is expected
    assert caught.value.detail == "Words of RunPod"
    assert "Words of RunPod" in caught.value.message
    assert not told.slept


async def test_no_capacity_names_what_was_wanted_and_keeps_runpods_words(scene: Make) -> None:
    told = scene(problem(400, NO_MACHINE))

    with pytest.raises(errors.NoCapacity, match="1 x NVIDIA L4 in the secure cloud") as caught:
        await told.api.create(wanted())

    assert caught.value.detail == NO_MACHINE.rstrip(".")


async def test_a_failure_that_says_there_was_no_machine_made_no_pod(scene: Make) -> None:
    words = "create pod: This machine does not have the resources to deploy your pod."
    told = scene(problem(500, words))

    with pytest.raises(errors.NoCapacity):
        await told.api.create(wanted())


async def test_a_pod_that_may_exist_is_named(scene: Make) -> None:
    told = scene(problem(500, "Something went wrong."))

    with pytest.raises(errors.PodMayExist) as caught:
        await told.api.create(wanted(name="captiv-a-b"))

    assert caught.value.name == "captiv-a-b"


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        (problem(500), True),
        (problem(503), True),
        (problem(502), False),
        (problem(504), False),
        (problem(524), False),
        (problem(408), False),
        (page(503), False),
        (Odd(gone()), False),
    ],
)
async def test_a_failure_by_the_service_itself_is_told_from_a_lost_answer(
    scene: Make, given: Any, answered: bool
) -> None:
    with pytest.raises(errors.PodMayExist) as caught:
        await scene(given).api.create(wanted())

    assert caught.value.answered is answered


@pytest.mark.parametrize(
    "odd", [page(201), Odd(answer({}, 201)), Odd(answer([], 201)), Odd(gone())]
)
async def test_a_create_whose_success_cannot_be_read_may_have_made_a_pod(
    scene: Make, odd: Odd
) -> None:
    with pytest.raises(errors.PodMayExist):
        await scene(odd).api.create(wanted())


async def test_an_unknown_template_is_named(scene: Make) -> None:
    told = scene(problem(404, "resource not found"))

    with pytest.raises(errors.ProviderRejected, match="no template t-1") as caught:
        await told.api.create(wanted(template_id="t-1"))

    assert "runpod.template_id" in (caught.value.hint or "")


TEMPLATE = {
    "id": "t-1",
    "name": "mine",
    "image": "worker:1",
    "args": "--model blip",
    "disk": 50,
    "mounts": {},
    "ports": ["22/tcp"],
    "env": {},
    "registry": None,
    "serverless": False,
    "public": False,
    "category": "NVIDIA",
    "startSsh": True,
    "startJupyter": False,
    "allowedCudaVersions": [],
}


async def test_a_template_is_read(scene: Make) -> None:
    told = scene(answer(TEMPLATE))

    found = await told.api.template("t-1")

    assert told.requests[0].url.path == "/v2/templates/t-1"
    assert (found.name, found.args, found.ports) == ("mine", "--model blip", ("22/tcp",))


async def test_a_template_that_runpod_does_not_know_is_named(scene: Make) -> None:
    with pytest.raises(errors.ProviderRejected, match=r"no template t-1.*resource not found"):
        await scene(problem(404, "resource not found")).api.template("t-1")


async def test_a_422_lists_what_is_wrong(scene: Make) -> None:
    wrong = ["$: additional properties 'x' not allowed", "$.disk: minimum: got 0, want 1"]
    told = scene(problem(422, "request validation failed", errors=wrong))

    with pytest.raises(errors.ProviderRejected) as caught:
        await told.api.create(wanted())

    assert all(line in caught.value.message for line in wrong)


@pytest.mark.parametrize("text", ["error code: 1010", "<p>error code: 1010</p>", "<h1>No</h1>", ""])
async def test_a_403_of_cloudflare_is_not_blamed_on_the_key(scene: Make, text: str) -> None:
    told = scene(page(403, text))

    with pytest.raises(errors.ProviderBlocked) as caught:
        await told.api.create(wanted())

    assert "403" in caught.value.message
    assert "<" not in caught.value.message
    assert ("error code: 1010" in caught.value.message) == ("1010" in text)


@pytest.mark.parametrize(
    "said",
    [
        {"errors": ["$: additional properties 'entrypoint', 'cmd' not allowed"]},
        {"detail": "$: additional properties 'cmd' not allowed"},
    ],
)
async def test_a_service_without_entrypoint_is_asked_again_with_args(
    scene: Make, said: dict[str, Any]
) -> None:
    told = scene(problem(422, **said), answer(pod(), 201))

    await told.api.create(wanted(entrypoint=("python", "-u"), cmd=("guard.py",)))

    again = told.bodies[1]
    assert again["args"] == '{"entrypoint": ["python", "-u"], "cmd": ["guard.py"]}'
    assert "entrypoint" not in again
    assert "cmd" not in again


@pytest.mark.parametrize(
    "wrong",
    [
        ["$: additional properties 'other' not allowed"],
        ["$: missing property 'gpu'", "$: additional properties 'cmd' not allowed"],
    ],
)
async def test_another_422_is_not_tried_with_args(scene: Make, wrong: list[str]) -> None:
    told = scene(problem(422, errors=wrong))

    with pytest.raises(errors.ProviderRejected):
        await told.api.create(wanted(cmd=("guard.py",)))


async def test_args_are_tried_once(scene: Make) -> None:
    no = ["$: additional properties 'cmd' not allowed"]
    told = scene(problem(422, errors=no), problem(422, errors=no))

    with pytest.raises(errors.ProviderRejected):
        await told.api.create(wanted(cmd=("guard.py",)))


async def test_pages_are_followed_to_the_last(scene: Make) -> None:
    told = scene(
        answer({"pods": [pod(id="a")], "pagination": {"hasNextPage": True, "nextCursor": "c/1"}}),
        answer({"pods": [pod(id="b")], "pagination": {"nextCursor": "c2"}}),
        answer({"pods": [pod(id="a"), pod(id="c")], "pagination": {"hasNextPage": False}}),
    )

    assert [each.id for each in await told.api.pods()] == ["a", "b", "c"]
    assert [r.url.params.get("cursor") for r in told.requests] == [None, "c/1", "c2"]


NEXT = {"pods": [pod()], "pagination": {"hasNextPage": True, "nextCursor": "again"}}


@pytest.mark.parametrize(
    "answers",
    [
        [answer(NEXT), answer(NEXT)],
        [answer({"pods": [], "pagination": {"hasNextPage": True}})],
        [answer(NEXT), problem(403)],
        [answer(NEXT), page(200)],
        [Odd(answer({}))],
        [Odd(answer({"pods": None}))],
        [Odd(answer([]))],
        [Odd(answer({"pods": [{"name": "no id"}]}))],
        [page(200)],
        [page(302)],
        [page(404)],
    ],
)
async def test_a_list_that_cannot_be_read_to_its_end_is_an_error(
    scene: Make, answers: list[Answer]
) -> None:
    told = scene(*answers)

    with pytest.raises(errors.ProviderError):
        await told.api.pods()


async def test_terminated_pods_are_not_listed(scene: Make) -> None:
    told = scene(answer({"pods": [pod(id="a", status="TERMINATED"), pod(id="b", status="EXITED")]}))

    assert [each.id for each in await told.api.pods()] == ["b"]


async def test_what_a_later_version_adds_is_tolerated(scene: Make) -> None:
    later = pod(status="HIBERNATING", colour="blue", cloud="MOON", cost="dear", env={"A": 1})
    told = scene(Odd(answer({"pods": [later, pod(id="b")], "total": 2})))

    odd, plain = await told.api.pods()

    assert (odd.id, odd.status, odd.cloud) == ("abc123", PodStatus.UNKNOWN, None)
    assert plain.cost_per_hour == 0.43


@pytest.mark.parametrize("runtime", [None, {}])
async def test_running_without_a_runtime_is_not_started(
    scene: Make, runtime: dict[str, Any] | None
) -> None:
    told = scene(answer(pod(runtime=runtime)))

    found = await told.api.pod("abc123")

    assert found and found.runtime is None


@pytest.mark.parametrize("said", [problem(404), answer(pod(status="TERMINATED", cost=0))])
async def test_a_pod_that_is_gone_is_none(scene: Make, said: Answer) -> None:
    assert await scene(said).api.pod("abc123") is None


async def test_a_404_that_is_not_runpods_does_not_make_a_pod_gone(scene: Make) -> None:
    with pytest.raises(errors.ProviderMismatch):
        await scene(page(404)).api.pod("abc123")
    with pytest.raises(errors.ProviderMismatch):
        await scene(page(404)).api.terminate("abc123")


async def test_an_id_cannot_leave_its_place_in_the_path(scene: Make) -> None:
    told = scene(Odd(problem(404)))

    await told.api.terminate("a?b#c")

    assert told.requests[0].url.raw_path == b"/v2/pods/a%3Fb%23c"


@pytest.mark.parametrize("said", [gone(), problem(404, "pod not found to terminate")])
async def test_a_pod_is_terminated_or_gone_already(scene: Make, said: Answer) -> None:
    told = scene(said)

    await told.api.terminate("abc123")

    assert (told.requests[0].method, told.requests[0].url.path) == ("DELETE", "/v2/pods/abc123")


async def test_a_pod_of_a_cluster_is_not_terminated(scene: Make) -> None:
    with pytest.raises(errors.PodConflict):
        await scene(problem(409)).api.terminate("abc123")


async def test_an_action_returns_the_pod_as_it_is_then(scene: Make) -> None:
    told = scene(answer(pod(status="EXITED", cost=0)))

    assert (await told.api.act("abc123", "stop")).status is PodStatus.EXITED
    assert told.bodies == [{"action": "stop"}]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (problem(404), errors.PodGone),
        (problem(409), errors.PodConflict),
        (
            problem(400, "There are not enough free GPUs on the host machine to start this pod."),
            errors.NoCapacity,
        ),
        (problem(503), errors.ProviderUnreachable),
    ],
)
async def test_a_refused_action_is_captivs_error_and_sent_once(
    scene: Make, said: Answer, expected: type[errors.ProviderError]
) -> None:
    with pytest.raises(errors.ProviderError) as caught:
        await scene(said).api.act("abc123", "start")

    assert type(caught.value) is expected


def gpu(**values: Any) -> dict[str, Any]:
    return {
        "id": "NVIDIA L4",
        "name": "L4",
        "pool": None,
        "manufacturer": "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": True,
        "price": {"secure": 0.43, "community": 0.3},
        "maxCount": {"secure": 8, "community": 1},
        "availability": "HIGH",
    } | values


async def test_the_catalog_is_asked_per_cloud_and_merged(scene: Make) -> None:
    cuda = [{"version": "12.8", "available": True}, {"version": "13.0", "available": False}]
    told = scene(
        answer({"gpus": [gpu(cudaVersions=cuda), gpu(id="unknown")]}),
        answer({"gpus": [gpu(availability="NONE"), gpu(id="NVIDIA A40", secure=False)]}),
    )

    l4, a40 = await told.api.gpus()

    assert [dict(request.url.params) for request in told.requests] == [
        {"include": "AVAILABILITY", "product": "POD", "cloud": cloud, "count": "1"}
        for cloud in ("SECURE", "COMMUNITY")
    ]
    secure, community = l4.offer(Cloud.SECURE), l4.offer(Cloud.COMMUNITY)
    assert (l4.id, l4.memory_gb) == ("NVIDIA L4", 24)
    assert secure and secure.price_per_hour == 0.43
    assert (secure.stock, secure.cuda_versions, secure.max_count) == (Stock.HIGH, ("12.8",), 8)
    assert community and (community.price_per_hour, community.stock) == (0.3, Stock.NONE)
    assert a40.offer(Cloud.SECURE) is None


async def test_a_gpu_without_a_price_is_not_on_offer(scene: Make) -> None:
    free = gpu(price={"secure": 0, "community": 0})
    told = scene(answer({"gpus": [free]}), answer({"gpus": [free]}))

    assert await told.api.gpus() == []


def record(pod_id: str, total: float) -> dict[str, Any]:
    return {
        "podId": pod_id,
        "startTime": "2026-11-23T15:00:00Z",
        "endTime": "2026-11-23T16:00:00Z",
        "totalAmount": total,
        "gpuAmount": total,
        "cpuAmount": 0,
        "diskAmount": 0,
    }


def billing(*records: dict[str, Any]) -> Answer:
    totals = {"totalAmount": 1, "gpuAmount": 1, "cpuAmount": 0, "diskAmount": 0}
    query = {
        "startTime": "2026-11-23T15:00:00Z",
        "endTime": "2026-11-23T16:00:00Z",
        "bucketSize": "hour",
    }
    metadata = {
        "query": query,
        "recordCount": len(records),
        "uniquePodCount": 1,
        "totals": totals,
    }
    return answer({"records": list(records), "metadata": metadata})


async def test_bills_are_asked_in_utc_and_of_these_pods_only(scene: Make) -> None:
    told = scene(billing(record("a", 0.5), record("b", 0.25), record("other", 9)))
    start = datetime(2026, 11, 23, 17, 30, tzinfo=timezone(timedelta(hours=2)))

    found = await told.api.billing(["a", "b"], start)

    assert [(each.pod_id, each.total) for each in found] == [("a", 0.5), ("b", 0.25)]
    assert dict(told.requests[0].url.params) == {
        "startTime": "2026-11-23T15:30:00Z",
        "bucketSize": "hour",
    }


async def test_the_bill_of_one_pod_is_asked_by_its_id(scene: Make) -> None:
    told = scene(billing(record("a", 0.5)))

    await told.api.billing(["a"], datetime.now(UTC))

    assert told.requests[0].url.params["podId"] == "a"


async def test_the_bill_of_no_pod_is_not_asked_for(scene: Make) -> None:
    assert await scene().api.billing([], datetime.now(UTC)) == []


async def test_the_balance_is_read(scene: Make) -> None:
    money = {"clientBalance": 435.85, "currentSpendPerHr": 0.001, "spendLimit": 180}
    told = scene(answer({"data": {"myself": money}}))

    found = await told.api.balance()

    assert found and (found.balance, found.spend_limit) == (435.85, 180)


@pytest.mark.parametrize(
    "said",
    [
        problem(410),
        problem(401),
        problem(429),
        problem(500),
        page(403, "error code: 1010"),
        page(200),
        answer({"errors": [{"message": "no"}], "data": None}),
        answer({"data": {"myself": None}}),
        httpx2.ConnectError("not even a network"),
    ],
)
async def test_a_balance_that_cannot_be_had_is_none_at_once(scene: Make, said: Answer) -> None:
    told = scene(said)

    assert await told.api.balance() is None
    assert not told.slept
