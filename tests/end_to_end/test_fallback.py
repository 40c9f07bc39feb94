"""When RunPod cannot be had: this machine goes on, or the run waits, or the images are kept.

What a person has to mend, in the command, the settings or the account, ends the command.
"""

from pathlib import Path
from typing import Any

import pytest

from captiv.core.fleet import MAX_TRIES
from tests.cases import sampled
from tests.support import Ended, Home, finish, until

from .test_rented import calls, generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

TIPS = ("captiv doctor", "--fallback fail")
REASONS = {
    "no_capacity": "RunPod has no capacity for any GPU that fits",
    "no_balance": "The RunPod account has too little credit",
}
ASKED = {"no_capacity": MAX_TRIES, "no_balance": 1}
"""Offers that are tried: no other one mends a lack of money."""
CODES = {"no_capacity": 4, "no_balance": 3}


def without_a_key(home: Home, *arguments: str) -> Ended:
    home.env["CAPTIV_RUNPOD_IMAGE"] = "captiv/worker:test"
    return generate(home, *arguments)


@pytest.mark.parametrize("dry", [False, True])
def test_without_a_key_nothing_is_captioned_here_instead(home: Home, dry: bool) -> None:
    home.scripted().scenes(3)

    ended = without_a_key(home, *(["--dry-run"] if dry else []))

    assert ended.code == 3, ended
    said = ended.out if dry else ended.err
    assert said.count("There is no RunPod API key") == (2 if dry else 1), "as offer and as reason"
    assert "captiv config set runpod.api_key" in said
    assert "--fallback local" in said
    assert home.captions() == {}


def test_without_a_key_this_machine_goes_on_where_that_was_said(home: Home) -> None:
    home.scripted().scenes(3)

    ended = without_a_key(home, "--fallback", "local")

    assert ended.code == 0, ended
    assert len(home.captions()) == 3
    assert ended.err.count("There is no RunPod API key") == 1
    assert "captiv config set runpod.api_key" in ended.err
    assert ended.err.count("Going on with shapes on this machine") == 1
    assert all(ended.err.count(tip) == 1 for tip in TIPS), ended


@pytest.mark.parametrize("fallback", ["fail", "wait"])
def test_without_a_key_the_images_are_kept_for_later(home: Home, fallback: str) -> None:
    """No waiting either: a key does not come while one waits."""
    home.scripted().scenes(3)

    ended = without_a_key(home, "--fallback", fallback)
    again = home.scripted().generate()

    assert ended.code == 3, ended
    assert ended.err.count("There is no RunPod API key") == 1
    assert "unfinished" not in again.err, "a run was left"
    assert again.code == 0, again
    assert len(home.captions()) == 3


def test_a_machine_that_cannot_go_on_says_so_and_keeps_the_images(
    home: Home, tmp_path: Path
) -> None:
    home.scenes(3)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    home.env["CAPTIV_RUNPOD_IMAGE"] = "captiv/worker:test"

    ended = generate(home, "--fallback", "local", PYTHONPATH=str(bare))
    kept = home.captions()
    again = home.scripted().generate()

    assert ended.code == 3, ended
    assert "This machine cannot take over: torch is not installed here" in ended.err
    assert "The images stay for the next run." in ended.err
    assert "Going on with" not in ended.err
    assert not kept
    assert again.code == 0, again
    assert len(home.captions()) == 3


@pytest.mark.parametrize("mischief", REASONS)
def test_where_runpod_refuses_this_machine_goes_on_and_says_why_once(
    home: Home, mischief: str
) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm(mischief, times=None)
        ended = generate(home)

    assert ended.code == 0, ended
    assert len(home.captions()) == 3
    assert ended.err.count(REASONS[mischief]) == 1
    assert ended.err.count("Going on with shapes on this machine") == 1
    assert all(ended.err.count(tip) == 1 for tip in TIPS), ended
    assert cloud.bill() == 0
    assert calls(cloud, "POST") == ASKED[mischief]


@pytest.mark.parametrize("mischief", sampled(*REASONS))
def test_fallback_fail_keeps_the_images_for_later(home: Home, mischief: str) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm(mischief, times=None)
        ended = generate(home, "--fallback", "fail")
        cloud.mischief.disarm()
        again = generate(home, "--fallback", "fail")

    assert ended.code == CODES[mischief], ended
    assert ended.err.count(REASONS[mischief]) == 1
    assert "To resume: " in ended.err
    assert again.code == 0, again
    assert len(home.captions()) == 3


@pytest.mark.parametrize("mischief", sampled(*REASONS))
def test_fallback_wait_asks_again_until_a_pod_can_be_had(home: Home, mischief: str) -> None:
    home.scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm(mischief, times=None)
        process = home.start_generate("--runpod", "--fallback", "wait")
        until(lambda: calls(cloud, "POST") >= ASKED[mischief])
        cloud.mischief.disarm()
        ended = finish(process)
        alive = cloud.pods_alive()

    assert ended.code == 0, ended
    assert "Asking again in 5 s." in ended.err
    assert "on this machine" not in ended.err
    assert len(home.captions()) == 3
    assert alive == []


def test_a_signal_ends_the_waiting(home: Home) -> None:
    home.scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm("no_balance", times=None)
        process = home.start_generate("--runpod", "--fallback", "wait")
        until(lambda: calls(cloud, "POST") > 0)
        process.terminate()
        ended = finish(process)

    assert ended.code == 130, ended
    assert not home.captions()


@pytest.mark.parametrize("fallback", sampled("wait", "local"))
def test_a_misspelt_gpu_type_is_refused_and_no_reason_to_go_on_elsewhere(
    home: Home, fallback: str
) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        ended = generate(home, "--gpu-type", "A50000", "--fallback", fallback, "--pods", "2")
        asked = calls(cloud, "POST")
        again = generate(home, "--gpu-type", "RTX A5000")

    assert ended.code == 2, ended
    assert asked == 0
    assert "Did you mean NVIDIA RTX A5000" in ended.err
    assert "Going on" not in ended.err
    assert again.code == 0, again
    assert len(home.captions()) == 3


def test_a_wrong_key_is_told_of_once_and_in_runpods_own_words(home: Home) -> None:
    home.scripted().scenes(2, nested=False)
    with rented(home):
        assert generate(home).code == 0  # its pod is a reason to look for pods the next time
        home.scenes(3, seed=2)
        wrong: dict[str, Any] = {
            "RUNPOD_API_KEY": "rpa_WRONGWRONG",
            "CAPTIV_RUNPOD_API_KEY": "rpa_WRONGWRONG",
        }
        ended = generate(home, "--overwrite=all", "--fallback", "fail", **wrong)

    assert ended.code == 3, ended
    assert ended.err.count("invalid bearer token") == 1, ended


def test_a_model_that_no_pod_can_load_is_paid_for_once_and_told_in_the_workers_words(
    home: Home,
) -> None:
    home.scripted().scenes(3)
    with rented(home, engine={"fail_load": "The weights are of another model."}) as cloud:
        ended = generate(home, "--pods", "2")
        alive, made = cloud.pods_alive(), calls(cloud, "POST")

    assert ended.code == 4, ended
    assert "The weights are of another model" in ended.err
    assert "Going on" not in ended.err
    assert made <= 2, "another pod was tried"
    assert alive == []
    assert home.captions() == {}


@pytest.mark.parametrize("why", ["image_missing", "image_private"])
def test_an_image_that_no_pod_can_pull_is_tried_once(home: Home, why: str) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm(why, times=None)
        ended = generate(home)
        alive, made = cloud.pods_alive(), calls(cloud, "POST")

    assert ended.code == 3, ended
    assert "its image cannot be pulled" in ended.err
    assert "Going on" not in ended.err
    assert (made, alive) == (1, [])


def test_an_image_that_a_host_cannot_run_is_tried_on_another(home: Home) -> None:
    home.scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm("image_of_another_kind")
        ended = generate(home, "--fallback", "fail")
        made = calls(cloud, "POST")

    assert ended.code == 0, ended
    assert made == 2
    assert len(home.captions()) == 3


def test_a_key_without_the_right_to_make_pods_is_told_after_one_try(home: Home) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        for call in ("create_pod", "delete_pod"):
            cloud.mischief.arm("forbidden", times=None, call=call)
        ended = generate(home)
        made = calls(cloud, "POST")

    assert ended.code == 3, ended
    assert "the key may not make and end pods" in ended.err
    assert made <= 1
    assert home.captions() == {}


def test_hosts_that_an_account_may_not_use_are_tried_three_times(home: Home) -> None:
    home.scripted().scenes(3)
    with rented(home) as cloud:
        cloud.mischief.arm("forbidden", times=None, call="create_pod")
        ended = generate(home)
        made = calls(cloud, "POST")

    assert ended.code == 3, ended
    assert made == 3
