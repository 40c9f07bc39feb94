"""`--runpod` over the simulated cloud: from renting to the last cent, and when RunPod fails."""

import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from captiv.core.cost import total
from captiv.core.jobs import RunId
from captiv.settings import installation_secret, worker_token
from captiv.store import Store, pods
from captiv.testing.cloud import Cloud, running
from tests.cases import sampled
from tests.support import DRAINING, SCRIPTED, Ended, Home, finish, told, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]


@contextmanager
def rented(
    home: Home, *, engine: dict[str, Any] | None = None, real: bool = False, **conditions: Any
) -> Iterator[Cloud]:
    """Point an installation at a cloud of its own, whose pods run the torch-free engine.

    Or, if they are to be `real`, the one of the model.
    """
    scripted = ("--engine", SCRIPTED, "--engine-options", json.dumps(engine or {}))
    arguments = () if real else scripted
    with running(worker_args=arguments, **conditions) as cloud:
        home.env |= dict(cloud.environment) | {
            "CAPTIV_RUNPOD_IMAGE": "captiv/worker:test",
            "CAPTIV_RUNPOD_LOST_AFTER": "20",
            "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "200",
        }
        yield cloud


def generate(home: Home, *arguments: str, timeout: float = 120, **env: str) -> Ended:
    return home.generate("--runpod", *arguments, timeout=timeout, **env)


def paid(home: Home, run: int = 1) -> Decimal:
    with Store.open(home.data / "data" / "captiv.db", read_only=True) as store:
        return total(store.read(pods.share, RunId(run), 2**53))


def cost_is_the_bill(home: Home, cloud: Cloud, ended_s: float) -> None:
    """The run's share is the simulator's bill to the cent; what is more is the time until an end
    is confirmed.

    That is later than a pod's last second, and before the command ends. Seconds that were begun
    count as whole ones. Not compared as rounded: the two may lie on either side of an edge.
    """
    until_then = [
        Decimal(str(pod.price)) * (math.ceil(ended_s - pod.created_at) + 1) / 3600
        for pod in cloud.pods()
    ]
    bill = cloud.bill()
    assert bill <= paid(home) <= min(sum(until_then), bill + Decimal("0.005"))


def calls(cloud: Cloud, method: str) -> int:
    return sum(call.method == method and call.path == "/v2/pods" for call in cloud.history)


@pytest.mark.parametrize("count", sampled(30, 500))
def test_a_pod_is_rented_captions_and_is_gone(home: Home, count: int) -> None:
    truth = home.scenes(count)
    with rented(home) as cloud:
        ended = generate(home)
        ended_s, alive = time.time(), cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == len(truth) == count
    assert alive == []
    assert calls(cloud, "POST") == 1
    cost_is_the_bill(home, cloud, ended_s)
    assert paid(home) > 0
    assert "This run's share of its pods cost $" in ended.err
    assert f"Pod {cloud.pods()[0].id} (NVIDIA RTX A4000, $0.17/h): $" in ended.err
    assert "in all; it has ended." in ended.err, "records that are not there yet were shown"
    assert cloud.account_key not in ended.err + ended.out


def test_the_bill_shows_runpods_own_records_once_they_have_caught_up(home: Home) -> None:
    home.scenes(6)
    with rented(home, billing_lag_s=0) as cloud:
        ended = generate(home, "--json")
        (pod,) = cloud.pods()
        bill = cloud.bill(pod.id)

    assert ended.code == 0, ended
    (billed,) = ended.lines[-1]["pods"]
    assert (billed["pod"], billed["still_bills"]) == (pod.id, False)
    assert billed["share_usd"] == billed["total_usd"]
    assert abs(Decimal(billed["billed_by_provider_usd"]) - bill) < Decimal("0.000001")


def test_a_pod_that_is_left_to_its_guard_still_bills_and_says_so(home: Home) -> None:
    home.scenes(6)
    with rented(home) as cloud:
        home.env["CAPTIV_RUNPOD_AUTO_TERMINATE"] = "false"
        ended = generate(home)
        (pod,) = cloud.pods_alive()

    assert ended.code == 0, ended
    assert "in all so far; it still bills, until its guard or " in ended.err
    assert f"`captiv runpod terminate {pod}` ends it." in ended.err


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


def by_hand(home: Home, *arguments: str, model: str = "blip") -> str:
    """Make a pod by hand; return its id."""
    made = home.run("runpod", "create", "--model", model, "--json", *arguments)
    assert made.code == 0, made
    return str(json.loads(made.out)["pod"])


def test_a_pod_made_by_hand_serves_a_run_with_another_model_and_stays(home: Home) -> None:
    home.scenes(12)
    with rented(home) as cloud:
        pod = by_hand(home)
        ended = generate(home)
        alive = cloud.pods_alive()
        status = json.loads(home.run("runpod", "status", pod, "--json").out)

    assert ended.code == 0, ended
    assert len(home.captions()) == 12
    assert (alive, calls(cloud, "POST")) == ([pod], 1)
    assert f"Using pod {pod}" in ended.err
    assert status["worker"]["model"] == "shapes", "it was made for blip"
    assert 0 < paid(home) < cloud.bill(), "the run pays for its own time only"


def test_a_pod_made_by_hand_is_ended_by_a_run_that_is_asked_to(home: Home) -> None:
    home.scenes(3)
    with rented(home) as cloud:
        by_hand(home, model="shapes")
        ended = generate(home, "--terminate")
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert (alive, calls(cloud, "POST")) == ([], 1)


def test_a_pod_that_captions_for_somebody_else_is_waited_for(home: Home) -> None:
    hold = home.held()
    home.scenes(3)
    with rented(home, engine={"hold": str(hold)}) as cloud:
        pod = by_hand(home)
        occupy(home, cloud, pod, next(home.pictures.rglob("*.png")))
        process = home.start_generate("--runpod", "--verbose")
        assert process.stderr is not None
        assert any("waiting for other captions" in line for line in process.stderr)
        hold.unlink()
        ended = finish(process)

    assert ended.code == 0, ended
    assert len(home.captions()) == 3
    assert calls(cloud, "POST") == 1


def occupy(home: Home, cloud: Cloud, pod: str, picture: Path) -> None:
    """Have the worker of a pod caption for another command, which does not wait for it."""
    secret = installation_secret(home.data / "data" / "secret.json")
    answer = httpx2.post(
        f"{cloud.url(pod)}/api/caption",
        content=picture.read_bytes(),
        headers={
            "Authorization": f"Bearer {worker_token(secret, cloud.pod(pod).name)}",
            "Content-Type": "image/png",
            "Idempotency-Key": "somebody-else",
            "Prefer": "wait=0",
        },
    )
    assert answer.status_code == 202, answer.text


def test_a_pod_whose_gpu_is_too_small_is_left_alone(home: Home) -> None:
    home.scenes(3)
    with rented(home) as cloud:
        pod = by_hand(home, "--gpu-type", "RTX 3080", model="shapes")
        ended = generate(home, "--model", "blip", "--variant", "blip-large", "--batch-size", "1000")
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert (alive, calls(cloud, "POST")) == ([pod], 2)
    assert f"Pod {pod} is not used" in ended.err


def test_a_pod_that_cannot_load_the_model_is_given_back(home: Home, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    home.scenes(3)
    with rented(home, engine={"fail_while": str(broken)}) as cloud:
        pod = by_hand(home)
        broken.touch()
        ended = generate(home, "--fallback", "fail", CAPTIV_RUNPOD_AUTO_CREATE="false")
        kept = cloud.pods_alive()
        broken.unlink()
        again = generate(home, CAPTIV_RUNPOD_AUTO_CREATE="false")

    assert (ended.code, kept) == (4, [pod]), ended
    assert f"Pod {pod} is not used: The model does not load" in ended.err
    assert again.code == 0, again
    assert len(home.captions()) == 3


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
    sampled(
        ("preempted", {"after": 8}),
        ("killed_mid_batch", {"after": 5, "what": "worker"}),
        ("no_capacity", {"times": 2}),
        ("crash_loop", {}),
        ("proxy_down", {"times": 6}),
        keep=3,
    ),
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
def test_a_proxy_that_lags_behind_a_pod_that_is_ready_costs_no_pod(home: Home) -> None:
    home.scenes(20)
    with rented(home) as cloud:
        cloud.mischief.arm("edge_lags", seconds=12)
        ended = generate(home)
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 20
    assert (calls(cloud, "POST"), alive) == (1, [])


@pytest.mark.slow
@pytest.mark.parametrize("ahead_s", sampled(-3 * 86_400, 3 * 86_400, 600))
def test_a_machine_whose_clock_is_wrong_rents_and_pays_as_any_other(
    home: Home, ahead_s: int
) -> None:
    home.scenes(30)
    with rented(home) as cloud:
        ended = generate(home, CAPTIV_TEST_CLOCK_AHEAD_S=str(ahead_s))
        ended_s, alive = time.time(), cloud.pods_alive()

    assert ended.code == 0, ended
    assert len(home.captions()) == 30
    assert calls(cloud, "POST") == 1, "a pod ended itself"
    assert alive == []
    cost_is_the_bill(home, cloud, ended_s)
    assert paid(home) > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_pod_is_kept_while_this_network_is_down(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.2}) as cloud:
        process = home.start_generate(
            "--runpod", "--batch-size", "4", CAPTIV_RUNPOD_LOST_AFTER="20"
        )
        until(lambda: len(home.captions()) > 4)
        cloud.mischief.arm("blackout", times=None, for_s=50)
        ended = finish(process, timeout=200)
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert "network seems to be down" in ended.err
    assert len(home.captions()) == 60
    assert calls(cloud, "POST") == 1, "a healthy pod was thrown away"
    assert alive == []


@pytest.mark.slow
def test_a_signal_ends_the_pod(home: Home) -> None:
    home.scenes(60)
    hold = home.held()
    with rented(home, engine={"hold": str(hold), "hold_after": 1}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4")
        until(lambda: bool(home.captions()))
        process.terminate()
        told(process, DRAINING)
        hold.unlink()
        ended = finish(process)
        alive = cloud.pods_alive()

    assert ended.code == 130, ended
    assert alive == []


@pytest.mark.slow
def test_the_guard_ends_the_pod_of_a_captiv_that_never_comes_back(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"batch_s": 0.3}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4", CAPTIV_RUNPOD_GUARD_IDLE="8")
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
def test_a_sweep_right_after_a_kill_ends_the_pod(home: Home) -> None:
    home.scenes(60)
    with rented(home, engine={"hold": str(home.held()), "hold_after": 1}) as cloud:
        process = home.start_generate("--runpod", "--batch-size", "4")
        until(lambda: bool(home.captions()))
        (pod,) = cloud.pods_alive()
        used = home.run("runpod", "sweep")
        process.kill()
        finish(process)
        swept = home.run("runpod", "sweep")
        alive = cloud.pods_alive()

    assert f"left: {pod}: the command of run 1 was heard" in used.out
    assert f"terminated: {pod}: run 1 rented it" in swept.out
    assert alive == []


@pytest.mark.slow
def test_a_cap_on_the_cost_ends_the_pod_and_keeps_the_rest(home: Home) -> None:
    # Of the 59 s that the cap pays for, 30 are kept for the end; a pod may start for most of them.
    home.scripted().scenes(160)
    cap = "0.0028"
    with rented(home, engine={"batch_s": 0.4}) as cloud:
        ended = generate(home, "--batch-size", "2", "--max-cost", cap)
        for _ in range(3):  # the cap is the run's, however often its command is given again
            again = generate(home, "--batch-size", "2", "--max-cost", cap)
        alive = cloud.pods_alive()

    assert (ended.code, again.code) == (1, 1), (ended, again)
    assert alive == []
    assert 0 < len(home.captions()) < 160
    assert cloud.bill() <= Decimal(cap)
    assert "To resume: " in ended.err


def test_a_pod_that_answers_and_gives_no_caption_is_replaced(home: Home) -> None:
    hold = home.held()
    home.scenes(8)
    with rented(home, engine={"hold": str(hold)}) as cloud:
        home.env["CAPTIV_RUNPOD_REQUEST_TIMEOUT"] = "5"
        process = home.start_generate("--runpod", "--fallback", "fail")
        until(lambda: calls(cloud, "POST") >= 2, "the second pod")
        hold.unlink()
        ended = finish(process)
        first, *_ = cloud.pods()
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert "no caption came for" in ended.err
    assert len(home.captions()) == 8
    assert first.terminated
    assert alive == []


def test_nothing_is_rented_for_images_that_cannot_be_read(home: Home) -> None:
    for number in range(3):
        (home.pictures / f"{number}.png").write_bytes(b"no image")
    with rented(home) as cloud:
        ended = generate(home)

    assert ended.code == 1, ended
    assert "failed, image_unreadable (3)" in ended.err
    assert calls(cloud, "POST") == 0


@pytest.fixture
def sealed(home: Home) -> Iterator[Path]:
    """A folder of pictures in which nothing can be made."""
    home.scenes(3, nested=False)
    if subprocess.run(["chattr", "+i", home.pictures], capture_output=True).returncode:
        home.pictures.chmod(0o500)
    if os.access(home.pictures, os.W_OK) and not _refuses(home.pictures):
        pytest.skip("nothing can be sealed here")
    yield home.pictures
    subprocess.run(["chattr", "-i", home.pictures], capture_output=True)
    home.pictures.chmod(0o700)


def _refuses(folder: Path) -> bool:
    try:
        (folder / "probe").touch()
    except OSError:
        return True
    return False


def test_nothing_is_rented_where_no_caption_can_be_written(home: Home, sealed: Path) -> None:
    with rented(home) as cloud:
        ended = generate(home)

    assert ended.code == 1, ended
    assert f"cannot write in {sealed}" in ended.err
    assert "on this machine" not in ended.err
    assert json.loads(home.run("queue", "status", "--json").out) == []
    assert calls(cloud, "POST") == 0
