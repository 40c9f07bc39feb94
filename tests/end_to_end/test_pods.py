"""`--pods N` over the simulated cloud: several pods behind one queue."""

import json
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from captiv.core.jobs import RunId
from captiv.store import Store, pods
from captiv.testing.cloud import Cloud
from tests.support import DRAINING, Home, finish, told, until

from .test_rented import by_hand, calls, cost_is_the_bill, generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]


def have_captioned(cloud: Cloud) -> int:
    """Return how many pods have captioned something."""
    return sum("caption key=" in "\n".join(pod.log.texts()) for pod in cloud.pods())


def shares(home: Home, run: int = 1) -> dict[str, int]:
    """Return how many uses the run had of each pod."""
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return dict(Counter(pod.pod_id or "" for pod in store.read(pods.of_run, RunId(run))))


def test_two_pods_caption_a_folder_and_are_gone(home: Home) -> None:
    home.scenes(48)
    with rented(home, engine={"batch_s": 0.3}) as cloud:
        ended = generate(home, "--pods", "2", "--batch-size", "4", "--verbose")
        ended_s, alive = time.time(), cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 48
    assert (calls(cloud, "POST"), alive) == (2, [])
    assert shares(home) == {pod.id: 1 for pod in cloud.pods()}
    cost_is_the_bill(home, cloud, ended_s)
    assert "pod 1: " in ended.err
    assert "pod 2: " in ended.err
    assert ended.err.count("in all; it has ended.") == 2, "each pod stands in the bill"


@pytest.mark.slow
def test_two_pods_read_500_scenes_as_they_are(home: Home) -> None:
    truth = home.scenes(500)
    with rented(home, real=True) as cloud:
        ended = generate(home, "--pods", "2", timeout=280)
        ended_s, alive = time.time(), cloud.pods_alive()

    captions = home.captions()
    right = sum(captions.get(str(home.sidecar(name))) == text for name, text in truth.items())
    assert ended.code == 0, ended
    assert len(captions) == 500
    assert right / 500 >= 0.95
    assert (calls(cloud, "POST"), alive) == (2, [])
    cost_is_the_bill(home, cloud, ended_s)


def test_a_pod_made_by_hand_is_one_of_the_two(home: Home) -> None:
    home.scenes(24)
    hold = home.held()
    with rented(home, engine={"hold": str(hold)}) as cloud:
        hand = by_hand(home)
        process = home.start_generate("--runpod", "--pods", "2", "--batch-size", "4")
        until(lambda: calls(cloud, "POST") == 2, "the second pod")
        hold.unlink()
        ended = finish(process)
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 24
    assert (calls(cloud, "POST"), alive) == (2, [hand])
    assert shares(home) == {pod.id: 1 for pod in cloud.pods()}, "each was had by one lane"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("preempted", {"after": 6}),
        ("killed_mid_batch", {"after": 4, "what": "pod"}),
        ("crash_loop", {}),
        ("no_capacity", {"times": 3}),
    ],
)
def test_a_lost_pod_takes_nothing_from_the_other(
    home: Home, name: str, options: dict[str, Any]
) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.2}) as cloud:
        cloud.mischief.arm(name, **options)
        ended = generate(home, "--pods", "2", "--fallback", "fail", "--batch-size", "4")
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 60
    assert alive == []


@pytest.mark.slow
def test_a_cap_is_of_both_pods_together(home: Home) -> None:
    # More than two images a second on each pod could do within the cap, on whatever machine.
    home.scenes(240)
    cap = "0.0055"
    with rented(home, engine={"batch_s": 1.0}) as cloud:
        given = ("--pods", "2", "--batch-size", "2", "--max-cost", cap)
        ended = generate(home, *given)
        again = generate(home, *given)
        alive = cloud.pods_alive()

    assert (ended.code, again.code) == (1, 1), (ended, again)
    assert alive == []
    assert 2 * Decimal(cap) / min(pod.price for pod in cloud.pods()) * 3600 < 240
    assert 0 < len(home.captions()) < 240
    assert cloud.bill() <= Decimal(cap)
    assert "To resume: " in ended.err


@pytest.mark.slow
def test_both_pods_of_a_killed_run_are_used_by_the_next_start(home: Home) -> None:
    home.scenes(100)
    command = ("--runpod", "--pods", "2", "--batch-size", "4")
    hold = home.held()
    with rented(home, engine={"hold": str(hold), "hold_after": 1}) as cloud:
        process = home.start_generate(*command)
        until(lambda: have_captioned(cloud) == 2, "a caption of each pod")
        process.kill()
        finish(process)
        process = home.start_generate(*command)
        for _ in range(2):
            told(process, "Using pod ")
        hold.unlink()
        again = finish(process)
        ended_s, alive = time.time(), cloud.pods_alive()

    assert again.code == 0, again
    assert len(home.captions()) == 100
    assert (calls(cloud, "POST"), alive) == (2, [])
    assert "Using pod " not in again.err
    cost_is_the_bill(home, cloud, ended_s)


@pytest.mark.slow
def test_the_same_request_goes_on_with_more_pods(home: Home) -> None:
    home.scenes(60)
    hold = home.held()
    with rented(home, engine={"hold": str(hold), "hold_after": 1, "batch_s": 0.3}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4")
        until(lambda: bool(home.captions()))
        process.terminate()
        told(process, DRAINING)
        hold.unlink()
        finish(process)
        ended = generate(home, "--pods", "2", "--batch-size", "4", "--json")
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert ended.lines[-1]["run"] == 1, "it is the same run"
    assert len(home.captions()) == 60
    assert (calls(cloud, "POST"), alive) == (3, [])


@pytest.mark.parametrize(
    "option",
    [
        ("--pods", "2"),
        ("--gpu-type", "NVIDIA L4"),
        ("--max-cost", "1"),
        ("--fallback", "wait"),
        ("--terminate",),
    ],
    ids=lambda option: option[0],
)
def test_what_is_said_of_pods_is_not_passed_over_without_one(
    home: Home, option: tuple[str, ...]
) -> None:
    home.scenes(1)

    ended = home.generate(*option)

    assert ended.code == 2, ended
    assert f"{option[0]} goes with --runpod" in ended.err
    assert json.loads(home.run("queue", "list", "--json").out or "[]") == []
