"""Pods on hosts and under accounts that behave as the worst of RunPod's do, one thing at a time."""

from decimal import Decimal

import pytest

from captiv.testing.cloud import Cloud
from tests.cases import sampled
from tests.support import Ended, Home

from .test_rented import generate, paid, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

PICTURES = 12
SLOW = {"batch_s": 0.2}


def captions(home: Home, *arguments: str) -> Ended:
    return generate(home, "--batch-size", "2", "--fallback", "fail", *arguments)


def made(cloud: Cloud) -> int:
    return len(cloud.pods())


def test_a_host_without_room_for_the_image_is_left_for_another(home: Home) -> None:
    home.scenes(PICTURES)
    with rented(home) as cloud:
        cloud.mischief.arm("host_disk_full")
        ended = captions(home)

        assert ended.code == 0, ended
        assert "no space left on device" in ended.err
        assert "Trying another host" in ended.err
        assert made(cloud) == 2
        assert cloud.pods_alive() == []


def test_a_container_without_room_for_the_model_is_left_for_another(home: Home) -> None:
    home.scenes(PICTURES)
    with rented(home, engine={"download": True}) as cloud:
        cloud.mischief.arm("disk_full")
        ended = captions(home)

        assert ended.code == 0, ended
        assert "The disk filled up" in ended.err
        assert made(cloud) == 2


def test_a_disk_that_is_too_small_everywhere_is_paid_for_twice_and_no_more(home: Home) -> None:
    home.scenes(PICTURES)
    with rented(home, engine={"download": True}) as cloud:
        cloud.mischief.arm("disk_full", times=None)
        ended = captions(home)

        assert ended.code == 4, ended
        assert "larger container disk" in ended.err
        assert made(cloud) == 2
        assert cloud.pods_alive() == []


def test_a_pod_whose_end_lags_is_no_pod_that_still_bills(home: Home) -> None:
    home.scenes(PICTURES)
    with rented(home, delete_lag_s=4.0, ended_listed_s=5.0) as cloud:
        ended = captions(home)
        alive = cloud.pods_alive()
        again = home.run("runpod", "sweep")

        assert ended.code == 0, ended
        assert alive == [], "the command ended before its pod was seen to"
        assert abs(paid(home) - cloud.bill()) < Decimal("0.005")
        assert again.code == 0, again
        assert "still bill" not in ended.err + again.err


def test_a_container_that_begins_again_on_an_empty_disk_goes_on(home: Home) -> None:
    home.scenes(PICTURES)
    with rented(home, engine=SLOW | {"download": True}, wipes_on_restart=True) as cloud:
        cloud.mischief.arm("killed_mid_batch", after=3, what="pod")
        ended = captions(home, "--max-cost", "5")
        (pod,) = cloud.pods()

        assert ended.code == 0, ended
        assert pod.lives == 2
        assert len(home.captions()) == PICTURES
        assert cloud.pods_alive() == []


@pytest.mark.parametrize(
    ("denied", "right"),
    sampled(
        ({"create_pod"}, "make pods"),
        ({"list_gpus"}, "read the catalog of GPUs"),
        ({"delete_pod", "terminate_pod"}, "make and end pods"),
    ),
)
def test_a_key_without_a_right_is_told_which_before_a_pod_bills(
    home: Home, denied: set[str], right: str
) -> None:
    home.scenes(PICTURES)
    with rented(home, denied=frozenset(denied)) as cloud:
        ended = captions(home)
        doctor = home.run("doctor")

        assert ended.code == 3, ended
        assert f"the key may not {right}" in ended.err
        if "create_pod" not in denied:  # which nothing but making a pod tells
            assert f"the key may not {right}" in doctor.out + doctor.err
        assert cloud.pods_alive() == []


def test_a_key_that_is_revoked_in_mid_run_is_said_and_the_next_command_ends_the_pod(
    home: Home,
) -> None:
    home.scenes(PICTURES)
    with rented(home, engine=SLOW) as cloud:
        cloud.mischief.arm("key_revoked", after=2, seconds=3600.0)
        ended = captions(home)
        (pod,) = cloud.pods_alive()

        assert ended.code == 5, ended
        assert f"captiv did not see pod {pod} end: it may still bill." in ended.err
        assert len(home.captions()) == PICTURES
        cloud.mischief.disarm("key_refused")
        again = captions(home)

        assert again.code in (0, 1), again
        assert cloud.pods_alive() == []
