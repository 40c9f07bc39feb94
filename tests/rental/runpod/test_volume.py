"""The network volume on which pods keep models: found before anything is rented, or said."""

from typing import Any

import httpx2
import pytest

from captiv.errors import ConfigurationError, ProviderUnreachable
from captiv.rental.runpod.provider import RunpodProvider
from captiv.rental.runpod.volume import volume_of
from captiv.settings.schema import RunpodSettings

from .conftest import Scene, answer, problem

VOLUME = {
    "id": "v1",
    "name": "models",
    "size": 100,
    "dataCenter": "eu-ro-1",
    "type": "STANDARD",
}


def gpu(name: str, *places: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "pool": None,
        "manufacturer": "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": True,
        "price": {"secure": 0.3, "community": 0.2},
        "maxCount": {"secure": 8, "community": 4},
        "availability": "HIGH",
        "dataCenters": [
            {"id": place, "name": place, "availability": stock} for place, stock in places
        ],
    } | more


def catalog(*gpus: dict[str, Any]) -> tuple[httpx2.Response, httpx2.Response]:
    """Return what both clouds are said to have."""
    return answer({"gpus": gpus}), answer({"gpus": gpus})


def provider(told: Scene, **settings: Any) -> RunpodProvider:
    return RunpodProvider(told.api, RunpodSettings.model_validate(settings))


async def test_a_volume_is_found_with_its_data_center_in_capitals(scene: Any) -> None:
    told = scene(answer(VOLUME))

    found = await volume_of(told.api, "v1")

    assert told.requests[0].url.path == "/v2/network-volumes/v1"
    assert (found.id, found.data_center) == ("v1", "EU-RO-1")


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (404, "no network volume v1", "runpod.network_volume"),
        (403, "may not read the network volume v1", "unset runpod.network_volume"),
    ],
)
async def test_a_volume_that_is_not_to_be_had_is_said_by_its_setting(
    scene: Any, status: int, words: str, hint: str
) -> None:
    of = provider(scene(problem(status)), network_volume="v1")

    with pytest.raises(ConfigurationError, match=words) as caught:
        await of.verify(("local",), None)

    assert hint in (caught.value.hint or "")


async def test_a_service_that_fails_is_not_blamed_on_the_setting(scene: Any) -> None:
    told = scene(*[problem(503)] * 10)

    with pytest.raises(ProviderUnreachable):
        await volume_of(told.api, "v1")
    told.answers.clear()


async def test_only_what_the_volumes_data_center_has_is_offered_and_its_stock_counts(
    scene: Any,
) -> None:
    beside = gpu("NVIDIA RTX A5000", ("EU-RO-1", "LOW"), ("US-KS-2", "HIGH"))
    elsewhere = gpu("NVIDIA RTX A4000", ("US-KS-2", "HIGH"))
    nowhere = gpu("NVIDIA L4", availability="NONE")
    del nowhere["dataCenters"]
    of = provider(scene(answer(VOLUME), *catalog(beside, elsewhere, nowhere)), network_volume="v1")
    await of.verify(("local",), None)

    offers = await of.offers()

    assert [(o.gpu_id, o.cloud, o.stock) for o in offers if not o.unfit] == [
        ("NVIDIA RTX A5000", "secure", "low")
    ]
    assert {o.unfit for o in offers if o.cloud == "secure" and o.unfit} == {
        "EU-RO-1, where runpod.network_volume is, does not have it"
    }
    assert {o.unfit for o in offers if o.cloud == "community"} == {
        "runpod.network_volume is in the secure cloud only"
    }


async def test_offers_are_of_the_volumes_data_center_though_nothing_was_verified(
    scene: Any,
) -> None:
    elsewhere = gpu("NVIDIA RTX A4000", ("US-KS-2", "HIGH"))
    of = provider(scene(answer(VOLUME), *catalog(elsewhere)), network_volume="v1")

    assert all(offer.unfit for offer in await of.offers())


async def test_without_a_volume_every_place_will_do(scene: Any) -> None:
    of = provider(scene(*catalog(gpu("NVIDIA RTX A4000", ("US-KS-2", "HIGH")))))

    offers = await of.offers()

    assert [(offer.stock, offer.unfit) for offer in offers] == [("high", ""), ("high", "")]
