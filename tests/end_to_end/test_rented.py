"""`--runpod` over the simulated cloud: from renting to the last cent, and when RunPod fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from captiv.core.cost import total
from captiv.core.jobs import RunId
from captiv.store import Store, pods
from captiv.testing.cloud import Cloud, running
from tests.support import SCRIPTED, Ended, Home, finish, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.allow_blocking]


@contextmanager
def rented(
    home: Home, *, engine: dict[str, Any] | None = None, **conditions: Any
) -> Iterator[Cloud]:
    """Point an installation at a cloud of its own, whose pods run the torch-free engine."""
    arguments = ("--engine", SCRIPTED, "--engine-options", json.dumps(engine or {}))
    with running(worker_args=arguments, **conditions) as cloud:
        home.env |= dict(cloud.environment) | {
            "CAPTIV_RUNPOD_IMAGE": "captiv/worker:test",
            "CAPTIV_RUNPOD_LOST_AFTER": "5",
            "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "60",
        }
        yield cloud


def generate(home: Home, *arguments: str) -> Ended:
    return home.generate("--runpod", *arguments)


def paid(home: Home, run: int = 1) -> Decimal:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return total(store.read(pods.share, RunId(run), 2**53))


def calls(cloud: Cloud, method: str) -> int:
    return sum(call.method == method and call.path == "/v2/pods" for call in cloud.history)


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_a_pod_is_rented_captions_and_is_gone(home: Home, count: int) -> None:
    truth = home.scenes(count)
    with rented(home) as cloud:
        ended = generate(home)
        bill, alive = cloud.bill(), cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == len(truth) == count
    assert alive == []
    assert calls(cloud, "POST") == 1
    cent = Decimal("0.01")
    assert paid(home).quantize(cent, ROUND_HALF_UP) == bill.quantize(cent, ROUND_HALF_UP)
    assert paid(home) > 0
    assert "This run's share of its pods cost $" in ended.err
    assert cloud.account_key not in ended.err + ended.out


@pytest.mark.slow
def test_the_real_model_in_a_pod_reads_the_scenes(home: Home) -> None:
    truth = home.scenes(40)
    with running() as cloud:
        home.env |= dict(cloud.environment) | {"CAPTIV_RUNPOD_IMAGE": "captiv/worker:test"}
        ended = generate(home)

    captions = home.captions()
    right = sum(captions[str(home.sidecar(name))] == text for name, text in truth.items())
    assert ended.code == 0, ended
    assert right / len(truth) >= 0.95


def test_without_a_key_this_machine_goes_on_and_says_why(home: Home) -> None:
    home.scripted().scenes(3)

    home.env["CAPTIV_RUNPOD_IMAGE"] = "captiv/worker:test"

    ended = generate(home)

    assert ended.code == 0, ended
    assert len(home.captions()) == 3
    assert "There is no RunPod API key" in ended.err
    assert "Going on with shapes on this machine" in ended.err


def test_fallback_fail_keeps_the_images_for_later(home: Home) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm("no_balance", times=None)
        ended = generate(home, "--fallback", "fail")

    assert ended.code == 4, ended
    assert not home.captions()
    assert "To go on: " in ended.err
    assert cloud.bill() == 0


def test_an_answer_that_never_comes_is_settled_by_name(home: Home) -> None:
    home.scenes(5)
    with rented(home) as cloud:
        cloud.mischief.arm("created_then_timed_out", status=504)
        ended = generate(home)
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert alive == []
    assert len(cloud.pods()) == 1, "the pod that was made was not found by its name"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("preempted", {"after": 8}),
        ("killed_mid_batch", {"after": 5, "what": "worker"}),
        ("crash_loop", {}),
        ("no_capacity", {"times": 2}),
        ("proxy_down", {"times": 6}),
    ],
)
def test_a_failing_pod_costs_time_and_no_image(
    home: Home, name: str, options: dict[str, Any]
) -> None:
    home.scenes(40)
    with rented(home, engine={"batch_s": 0.1}) as cloud:
        cloud.mischief.arm(name, **options)
        ended = generate(home, "--fallback", "fail", "--batch-size", "4")
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 40
    assert alive == []


@pytest.mark.slow
def test_a_signal_ends_the_pod(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.3}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4")
        until(lambda: len(home.captions()) > 3)
        process.terminate()
        ended = finish(process)
        alive = cloud.pods_alive()

    assert ended.code == 130, ended
    assert alive == []


@pytest.mark.slow
def test_the_guard_ends_the_pod_of_a_captiv_that_never_comes_back(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.3}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4", CAPTIV_RUNPOD_GUARD_IDLE="2")
        until(lambda: len(home.captions()) > 3)
        process.kill()
        finish(process)
        until(lambda: cloud.pods_alive() == [], "the guard ended the pod")


@pytest.mark.slow
def test_the_next_start_uses_the_pod_of_a_run_that_was_killed(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.2}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4")
        until(lambda: len(home.captions()) > 3)
        process.kill()
        finish(process)
        again = generate(home, "--batch-size", "4")
        alive = cloud.pods_alive()

    assert again.code == 0, again
    assert len(home.captions()) == 60
    assert alive == []


@pytest.mark.slow
def test_a_cap_on_the_cost_ends_the_pod_and_keeps_the_rest(home: Home) -> None:
    home.scripted().scenes(60)
    with rented(home, engine={"batch_s": 0.4}) as cloud:
        ended = generate(home, "--batch-size", "2", "--max-cost", "0.0019")
        for _ in range(3):  # the cap is the run's, however often its command is given again
            again = generate(home, "--batch-size", "2", "--max-cost", "0.0019")
        alive = cloud.pods_alive()

    assert (ended.code, again.code) == (1, 1), (ended, again)
    assert alive == []
    assert 0 < len(home.captions()) < 60
    assert cloud.bill() <= Decimal("0.0019")
    assert "To go on: " in ended.err
