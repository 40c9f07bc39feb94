"""Every road priced: the cheapest an image first, each with where its figures come from."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from captiv.catalog import choose
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.quote import RARELY_CHEAPEST, Asked, Road, notes, roads
from captiv.settings import Settings
from captiv.testing.cloud import Cloud, running

pytestmark = pytest.mark.allow_blocking

MANY = 200_000


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running() as opened:
        yield opened
        assert opened.pods() == []


def configured(cloud: Cloud | None, **sections: Any) -> Settings:
    runpod = {"image": "captiv/worker:test", "max_price": 10}
    if cloud is not None:
        runpod |= {"api_key": cloud.account_key, "api_url": cloud.api_url}
    return Settings.model_validate({"runpod": runpod, **sections})


def asked(images: int = MANY, model: str = "joycaption", **more: Any) -> Asked:
    choice = choose(model)
    assert choice is not None
    captioning = Captioning(model=model, variant=choice.variant.name, source=choice.variant.source)
    spec = RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=captioning,
        placement=Placement(kind="rented", provider="runpod"),
    )
    return Asked(spec, choice.variant, images, **more)


async def not_here(_spec: RunSpec) -> float | str:
    return "No GPU."


async def two_a_second(_spec: RunSpec) -> float | str:
    return 2.0


async def only_a_worker_s(spec: RunSpec) -> float | str:
    return 20.0 if spec.placement.url == "https://w.example" else "No GPU."


async def priced(cloud: Cloud | None, what: Asked, **sections: Any) -> list[Road]:
    return await roads(what, configured(cloud, **sections), None, two_a_second)


def of(found: list[Road], kind: str) -> list[Road]:
    return [road for road in found if road.kind == kind]


def gpu(found: list[Road], name: str) -> Road:
    (road,) = [r for r in found if r.what.startswith(name) and r.pods == 1]
    return road


async def test_the_cheapest_an_image_comes_first_and_not_the_cheapest_an_hour(
    cloud: Cloud,
) -> None:
    found = await priced(cloud, asked(), api={"price": 1})

    costs = [road.dollars for road in found if road.dollars is not None]
    assert costs == sorted(costs)
    assert [road.dollars for road in found[len(costs) :]] == [None] * (len(found) - len(costs))
    small, large = gpu(found, "NVIDIA RTX A4500"), gpu(found, "NVIDIA GeForce RTX 4090")
    assert small.price_usd_h is not None
    assert large.price_usd_h is not None
    assert small.price_usd_h < large.price_usd_h
    assert found.index(large) < found.index(small)
    assert {road.told for road in of(found, "rented")} == {"estimated"}


async def test_what_does_not_hold_the_model_is_not_among_them(cloud: Cloud) -> None:
    found = await priced(cloud, asked())

    names = {road.what.partition(",")[0] for road in of(found, "rented")}
    assert "NVIDIA RTX A4000" not in names
    assert "NVIDIA RTX A5000" in names


async def test_a_few_images_cost_mostly_the_start_and_that_is_said(cloud: Cloud) -> None:
    few, many = asked(100), asked(MANY)

    assert RARELY_CHEAPEST < MANY
    assert notes(many) == []
    assert ["10,000 to 20,000 images" in note for note in notes(few)] == [True]
    dear = gpu(await priced(cloud, few), "NVIDIA RTX A5000")
    cheap = gpu(await priced(cloud, many), "NVIDIA RTX A5000")
    assert dear.dollars is not None
    assert cheap.dollars is not None
    assert dear.dollars / 100 > 3 * cheap.dollars / MANY


async def test_several_pods_are_sooner_and_not_cheaper(cloud: Cloud) -> None:
    found = of(await priced(cloud, asked()), "rented")
    three = of(await priced(cloud, asked(pods=3)), "rented")

    assert {road.pods for road in found} == {1, 2, 4}
    assert {road.pods for road in three} == {1, 3}
    one = next(road for road in three if road.pods == 1)
    (together,) = [road for road in three if road.pods == 3]
    assert together.what == f"3 pods, each {one.what}"
    assert together.seconds is not None
    assert one.seconds is not None
    assert together.dollars is not None
    assert one.dollars is not None
    assert together.seconds < one.seconds / 2
    assert together.dollars > one.dollars
    assert {road.pods for road in of(await priced(cloud, asked(3)), "rented")} == {1, 2}


async def test_this_machine_is_tried_only_where_the_model_is_here(
    cloud: Cloud, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (here,) = of(await priced(cloud, asked(600, "shapes")), "local")
    (away,) = of(await priced(cloud, asked(600)), "local")
    (cannot,) = of(await roads(asked(600, "shapes"), configured(None), None, not_here), "local")

    assert (here.seconds, here.dollars, here.told) == (300.0, Decimal(0), "measured now")
    assert (away.images_per_s, away.dollars) == (None, None)
    assert away.problem is not None
    assert away.problem.startswith("not known: the model is not here (17.")
    assert (cannot.problem, cannot.dollars) == ("not known: No GPU.", None)


async def test_a_worker_of_ones_own_is_tried_and_one_that_cannot_be_had_comes_last() -> None:
    urls = ["https://w.example", "https://down.example", "http://far.example"]
    found = await roads(asked(1000, workers=urls), configured(None), None, only_a_worker_s)

    first, *others = of(found, "url")
    assert (first.what, first.seconds, first.told) == ("https://w.example", 50.0, "measured now")
    assert {(road.what, road.dollars) for road in others} == {(url, None) for url in urls[1:]}
    problems = {road.what: road.problem or "" for road in others}
    assert problems["https://down.example"] == "not known: No GPU."
    assert problems["http://far.example"].startswith("not known: ")
    assert "https" in problems["http://far.example"]


async def test_a_chat_server_may_charge_for_each_answer_and_is_not_tried() -> None:
    tried: list[RunSpec] = []

    async def noted(spec: RunSpec) -> float | str:
        tried.append(spec)
        return 20.0

    settings = configured(None, worker={"protocol": "openai"})
    found = await roads(asked(1000, workers=["https://api.example/v1"]), settings, None, noted)

    (road,) = of(found, "url")
    assert road.problem == (
        "not known: a chat server may charge for each answer, so it isn't tried"
    )
    assert not [spec for spec in tried if spec.placement.kind == "url"]


async def test_pods_are_priced_with_the_engine_that_they_will_have(cloud: Cloud) -> None:
    carried = {"api_key": cloud.account_key, "api_url": cloud.api_url, "max_price": 10}
    settings = Settings.model_validate({"runpod": carried})

    async def on_an_a6000(engine: str) -> Road:
        what = asked()
        placement = what.spec.placement.model_copy(update={"engine": engine})
        spec = what.spec.model_copy(update={"placement": placement})
        found = await roads(replace(what, spec=spec), settings, None, not_here)
        return gpu(found, "NVIDIA RTX A6000")

    auto, static = await on_an_a6000("auto"), await on_an_a6000("transformers")
    assert auto.images_per_s == pytest.approx(3.9, rel=0.03)
    assert static.images_per_s == pytest.approx(2.7, rel=0.03)
    assert await on_an_a6000("vllm") == auto


async def test_without_a_key_the_rest_still_comes() -> None:
    worker = asked(1000, workers=["https://w.example"])
    found = await priced(None, worker, api={"price": 0.05})

    (pods,) = of(found, "rented")
    assert pods.problem is not None
    assert "captiv config set runpod.api_key" in pods.problem
    assert [road.kind for road in found if road.dollars is not None] == ["url", "api"]
    assert of(found, "api")[0].dollars == Decimal("0.05")


async def test_a_price_of_ones_own_is_asked_for_where_there_is_none() -> None:
    (api,) = of(await priced(None, asked(1000)), "api")

    assert api.dollars is None
    assert "captiv config set api.price" in (api.problem or "")


async def test_a_provider_that_does_not_answer_is_a_road_with_a_reason(cloud: Cloud) -> None:
    runpod = {"api_key": "rpa_WRONGKEY", "api_url": cloud.api_url, "image": "captiv/worker:test"}
    settings = Settings.model_validate({"runpod": runpod})

    found = await roads(asked(), settings, None, two_a_second)

    (pods,) = of(found, "rented")
    assert "refuses the API key" in (pods.problem or "")
