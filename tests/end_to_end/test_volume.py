"""A network volume keeps the model for the next pod; a private image needs its credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from captiv.testing.cloud import Cloud, Pod
from captiv.testing.cloud.image import volume_folder
from captiv.testing.engine import WEIGHTS
from tests.support import Home

from .test_rented import calls, generate, rented

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.allow_blocking]

PLACE = "CA-MTL-3"
"""It has no RTX A4000, which captiv would take first."""
DOWNLOAD_S = 2.0


@contextmanager
def beside(home: Home, **more: Any) -> Iterator[Cloud]:
    """Point an installation at a cloud with a volume, on which its pods are to keep models."""
    engine = {"download": True, "download_s": DOWNLOAD_S} | more.pop("engine", {})
    with rented(home, engine=engine, volumes={"v1": PLACE}, **more) as cloud:
        home.env["CAPTIV_RUNPOD_NETWORK_VOLUME"] = "v1"
        yield cloud


def weights(pod: Pod) -> Path:
    return volume_folder(pod.disk, "v1") / "huggingface" / WEIGHTS


def test_the_second_pod_finds_the_model_that_the_first_has_downloaded(home: Home) -> None:
    home.scenes(4)
    with beside(home) as cloud:
        first = generate(home, "--fallback", "fail")
        written_ns = weights(cloud.pods()[0]).stat().st_mtime_ns
        second = generate(home, "--fallback", "fail", "--overwrite")
        pods = cloud.pods()
        found_ns = weights(pods[1]).stat().st_mtime_ns
        alive = cloud.pods_alive()

    assert (first.code, second.code) == (0, 0), (first, second)
    assert (len(pods), alive) == (2, [])
    assert found_ns == written_ns, "the second pod has downloaded it again"
    assert {pod.data_center for pod in pods} == {PLACE}
    assert {pod.asked.cloud for pod in pods} == {"SECURE"}
    assert "NVIDIA RTX A4000 is not rented, for CA-MTL-3, where runpod.network_volume" in first.err


def test_a_pod_that_is_stopped_for_want_of_credit_is_terminated_though_its_volume_stays(
    home: Home,
) -> None:
    home.scripted().scenes(40)
    with beside(home, engine={"batch_s": 0.2}, without_credit="terminate") as cloud:
        cloud.mischief.arm("credit_gone", after=9)
        ended = generate(home, "--batch-size", "2", "--fallback", "fail")
        (pod,) = cloud.pods()
        kept, alive = weights(pod).exists(), cloud.pods_alive()

    assert ended.code == 3, ended
    assert "the account has no credit left" in pod.log.texts("system")
    assert alive == []
    assert kept


@pytest.mark.parametrize(
    ("setting", "denied", "words"),
    [
        ("network_volume", (), "RunPod knows no network volume gone of this account"),
        ("network_volume", ("get_network_volume",), "may not read the network volume gone"),
        ("registry", (), "RunPod knows no registry credentials gone of this account"),
    ],
)
def test_what_the_account_does_not_have_is_said_before_anything_is_rented(
    home: Home, setting: str, denied: tuple[str, ...], words: str
) -> None:
    home.scenes(2)
    with rented(home, denied=frozenset(denied)) as cloud:
        home.env[f"CAPTIV_RUNPOD_{setting.upper()}"] = "gone"
        ended = generate(home)
        dry = generate(home, "--dry-run")

    assert ended.code == 3, ended
    assert words in ended.err
    assert f"runpod.{setting}" in ended.err
    assert words in dry.out
    assert calls(cloud, "POST") == 0


def test_a_private_image_is_pulled_with_the_credentials_that_the_settings_name(home: Home) -> None:
    home.scenes(3)
    with rented(home, registries={"r1": "hub"}) as cloud:
        cloud.mischief.arm("image_private", times=None)
        refused = generate(home)
        home.env["CAPTIV_RUNPOD_REGISTRY"] = "hub"
        pulled = generate(home)
        pods = cloud.pods()

    assert refused.code == 3, refused
    assert "set runpod.registry" in refused.err
    assert pulled.code == 0, pulled
    assert [pod.asked.registry for pod in pods] == [None, "r1"]


def test_the_price_says_that_weights_may_be_there(home: Home) -> None:
    home.scenes(3)
    with beside(home):
        ended = generate(home, "--model", "blip", "--dry-run")

    assert "of weights, unless they are on the network volume" in ended.out, ended
