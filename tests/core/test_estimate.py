"""How long a pod takes to start: assumed at first, within a fifth once pods were seen to start."""

from dataclasses import replace
from random import Random

import pytest

from captiv.catalog.engines import Engine
from captiv.core.estimate import FACTS, Facts, Started, Startup, is_kept, startup
from captiv.core.phase import Step
from captiv.core.timing import Timing

JOYCAPTION = 17_000_000_000


def started(
    host_s: float = 100,
    download_s: float = 100,
    load_s: float = 40,
    *,
    gpu: str = "A",
    cloud: str = "secure",
    model: str = "joy",
    size: int | None = JOYCAPTION,
    engine: Engine = "transformers",
) -> Started:
    took = Startup(host_s, download_s, load_s, measured=True)
    return Started(took, gpu, cloud, model, "auto", size, engine)


def test_without_a_pod_that_was_seen_the_facts_tell() -> None:
    assumed = startup(JOYCAPTION)

    assert assumed.host_s == 45 + 120
    assert assumed.download_s == pytest.approx(113, abs=1)
    assert assumed.load_s == 20 + 17
    assert not assumed.measured
    assert 4 * 60 <= assumed.total_s <= 7 * 60, "docs/cost.md: the first caption after 4 to 7 min"


def test_a_model_without_weights_takes_what_the_host_takes() -> None:
    assert startup(0).total_s == startup(None).total_s == 165


def test_the_same_model_on_the_same_gpu_and_cloud_tells_all_of_it() -> None:
    before = [
        started(300, gpu="B"),
        started(10, cloud="community"),
        started(80, 50, 30),
        started(90, 60, 40),
        started(100, 70, 50),
    ]

    assert startup(JOYCAPTION, before, gpu="A", cloud="secure", model="joy") == Startup(
        90, 60, 40, measured=True
    )
    assert startup(JOYCAPTION, before, gpu="C", cloud="community", model="joy").host_s == 10


def test_vllm_compiles_the_model_besides_and_has_an_image_of_its_own() -> None:
    before = [started(300, 80, 30), started(100, 80, 300, model="other", engine="vllm")]

    def by_vllm(*seen: Started) -> Startup:
        return startup(JOYCAPTION, seen, gpu="A", cloud="secure", model="joy", engine="vllm")

    assert by_vllm().load_s == startup(JOYCAPTION).load_s + FACTS.vllm_s
    assert by_vllm(*before).host_s == 100, "the same image, with another model"
    assert by_vllm(before[0]).host_s == 300, "another image tells more than none"
    assert by_vllm(before[0]).load_s == by_vllm().load_s
    assert by_vllm(started(1, 2, 3, engine="vllm")) == Startup(1, 2, 3, measured=True)


def test_what_an_earlier_pod_left_on_the_volume_is_not_fetched_again() -> None:
    left = replace(started(90, 60, 40), volume="v1")

    def with_volume(volume: str | None, model: str = "joy") -> Startup:
        return startup(JOYCAPTION, [left], gpu="A", cloud="secure", model=model, volume=volume)

    assert with_volume("v1") == Startup(90, 0, 40, measured=True)
    assert with_volume("v2").download_s == with_volume(None).download_s == 60
    assert with_volume("v1", "other").download_s == pytest.approx(60), "at the measured rate"
    assert is_kept([left], "joy", "v1")
    assert not is_kept([left], "joy", None)


def test_pods_that_found_the_model_on_a_volume_tell_no_download_without_it() -> None:
    first = replace(started(90, 60, 40), volume="v1")
    found = [replace(started(90, 0, 40), volume="v1")] * 4

    def without(*before: Started) -> Startup:
        return startup(JOYCAPTION, before, gpu="A", cloud="secure", model="joy")

    assert without(*found, first).download_s == 60, "the one that has fetched it"
    assert without(*found).download_s == startup(JOYCAPTION).download_s, "at the assumed rate"
    other = started(200, 170, 999, model="other")
    assert without(*found, other).download_s == pytest.approx(170), "at the measured rate"
    assert without(*found).host_s == 90


def test_another_model_tells_of_the_host_and_of_the_line() -> None:
    before = [started(200, 170, 999, model="other")]

    expected = startup(JOYCAPTION // 2, before, gpu="A", cloud="secure", model="joy")

    assert (expected.host_s, expected.download_s) == (200, 85)
    assert expected.load_s == startup(JOYCAPTION // 2).load_s
    assert not expected.measured


@pytest.mark.parametrize("other", [started(size=None), started(download_s=1), started(size=0)])
def test_a_download_that_is_not_known_or_too_short_tells_no_rate(other: Started) -> None:
    assert startup(JOYCAPTION, [other], model="new").download_s == startup(JOYCAPTION).download_s


def test_hosts_that_changed_are_forgotten() -> None:
    before = [started(100)] * 5 + [started(900)] * 50

    assert startup(JOYCAPTION, before, gpu="A", cloud="secure", model="joy").host_s == 100


@pytest.mark.parametrize("seed", range(50))
def test_a_drawn_host_is_met_within_a_factor_of_two_and_then_within_a_fifth(seed: int) -> None:
    """Of one host the pulls, downloads and loads vary by a tenth; of all, by what was measured."""
    dice = Random(seed)
    size = dice.choice([0, 1_900_000_000, JOYCAPTION])
    pull_s = FACTS.image_bytes / dice.uniform(75e6, 170e6)
    download_s = size / dice.uniform(100e6, 200e6)
    load_s = 20 + size / dice.uniform(0.7e9, 2e9) if size else 0.0

    def took() -> Startup:
        host_s = dice.uniform(30, 60) + pull_s
        return Startup(host_s, download_s, load_s, measured=True)

    first = took()
    assert 0.5 < startup(size, model="joy").total_s / first.total_s < 2
    seen = [Started(first, "A", "secure", "joy", "auto", size)]
    again = Startup(first.host_s * 1.1, first.download_s * 0.9, first.load_s, measured=True)
    known = startup(size, seen, gpu="A", cloud="secure", model="joy")
    assert known.total_s == pytest.approx(again.total_s, rel=0.2)


def test_other_facts_scale_the_first_estimate() -> None:
    quick = Facts(image_bytes=0, boot_s=1, wake_s=2, weights_bytes_s=1e9, load_bytes_s=1e9)

    assert startup(3_000_000_000, facts=quick) == Startup(1, 3, 2 + 3)


def test_a_start_is_timed_by_what_took_it() -> None:
    timing = Timing(100.0)
    for step, at_s in [
        (Step.RENTING, 101),
        (Step.PULLING, 105),
        (Step.STARTING, 150),
        (Step.INSTALLING, 160),
        (Step.DOWNLOADING, 180),
        (Step.DOWNLOADING, 200),
        (Step.LOADING, 280),
        (Step.WARMING, 300),
        (Step.READY, 310),
    ]:
        timing = timing.enter(step, at_s)

    assert timing.startup == Startup(80, 100, 30, measured=True)
