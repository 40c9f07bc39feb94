"""What would be rented, by any provider: offer, time and price, or why nothing would be."""

from dataclasses import replace
from decimal import Decimal

import pytest

from captiv.catalog import Variant
from captiv.core.estimate import FACTS
from captiv.core.spec import Captioning, Placement, RunSpec, Selection
from captiv.rental.estimate import Quote, quoted
from captiv.rental.provider import ProviderType
from captiv.settings import Settings
from captiv.testing.boxes import box_type, serving

pytestmark = pytest.mark.allow_blocking

VARIANT = Variant("shapes", "builtin:shapes", images_per_s=10)
START_S = FACTS.boot_s + FACTS.image_bytes / FACTS.pull_bytes_s
"""Of a pod that loads nothing from the hub."""


def spec(**placement: object) -> RunSpec:
    values = {"kind": "rented", "provider": "boxes"} | placement
    return RunSpec(
        selection=Selection(roots=("/pictures",)),
        captioning=Captioning(model="shapes", variant="shapes", source="builtin:shapes"),
        placement=Placement.model_validate(values),
    )


async def asked(kind: ProviderType, images: int = 600, **placement: object) -> Quote:
    return await quoted(kind, spec(**placement), VARIANT, Settings(), images)


async def test_the_cheapest_offer_is_named_with_its_time_and_price() -> None:
    with serving() as boxes:
        quote = await asked(box_type(boxes.url, boxes.key))

    assert quote.offer is not None
    assert (quote.offer.gpu_id, quote.offer.price_usd_h) == ("small", Decimal("0.12"))
    assert quote.expected is not None
    assert quote.expected.seconds == START_S + 60, "the start as it is assumed, and a minute"
    assert quote.lines()[0] == "small (8 GB), $0.12/h, stock high"


async def test_several_pods_share_the_images() -> None:
    with serving() as boxes:
        quote = await asked(box_type(boxes.url, boxes.key), pods=2)

    assert quote.pods == 2
    assert quote.expected is not None
    assert quote.expected.seconds == START_S + 30


async def test_a_gpu_that_nobody_offers_names_the_command_that_lists_them() -> None:
    with serving() as boxes:
        quote = await asked(box_type(boxes.url, boxes.key), gpu_type="smal")

    assert quote.offer is None
    assert quote.problem == (
        "No GPU type 'smal' is on offer; nothing was rented. Did you mean small? "
        "captiv boxes gpus lists them."
    )


async def test_what_stands_in_the_way_is_said_and_not_raised() -> None:
    kind = box_type("http://127.0.0.1:9", "k")

    assert (await asked(kind, 0)).problem == "there is no image to caption."
    assert "do not answer" in ((await asked(kind)).problem or "")


async def test_where_nothing_may_be_rented_the_setting_is_named() -> None:
    with serving() as boxes:
        kind = box_type(boxes.url, boxes.key)
        policy = replace(kind.policy(Settings()), create=False)
        quote = await asked(replace(kind, policy=lambda _settings: policy))

    assert quote.problem == "boxes.auto_create is false; only a pod that is there is used."
