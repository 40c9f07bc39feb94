from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv import errors
from captiv.catalog import choose
from captiv.catalog.model import Variant
from captiv.core import fleet
from captiv.core.fleet import Demand, Losses, Move, NoOffer, Offer, Ranking, Step, Wish, candidates

D = Decimal

# Choosing

BETA = Variant(
    "beta-one", "x", vram_gb={"int4": 7.0, "bfloat16": 17.5, "int8": 10.0, "float32": 34.0}
)
JOY = fleet.demand("joycaption beta-one", BETA, "auto", None)

A4000 = Offer("NVIDIA RTX A4000", "secure", 16, D("0.29"), "high")
A4000_COMMUNITY = Offer("NVIDIA RTX A4000", "community", 16, D("0.17"), "high")
A5000 = Offer("NVIDIA RTX A5000", "secure", 24, D("0.26"), "low")
A5000_COMMUNITY = Offer("NVIDIA RTX A5000", "community", 24, D("0.16"), "low")
R4090 = Offer("NVIDIA GeForce RTX 4090", "community", 24, D("0.34"), "high")
H200 = Offer("NVIDIA H200", "secure", 141, D("3.99"), "high")
MARKET = [H200, A4000, A4000_COMMUNITY, R4090, A5000, A5000_COMMUNITY]

STOCKS = st.sampled_from(["none", "low", "medium", "high", "unknown"])
CLOUDS = st.sampled_from(["secure", "community"])
NAMES = st.sampled_from(["NVIDIA RTX A4000", "NVIDIA L4", "NVIDIA A40", "NVIDIA H100 NVL"])
OFFERS = st.lists(
    st.builds(Offer, NAMES, CLOUDS, st.integers(8, 96), st.decimals(0, 4, places=2), STOCKS),
    max_size=12,
)
DEMANDS = st.builds(Demand, st.just("a model"), st.just("bfloat16"), st.none() | st.floats(1, 100))
WISHES = st.builds(
    Wish,
    st.none() | NAMES | st.just("NVIDIA X"),
    st.sampled_from(["any", "secure", "community"]),
    st.decimals("0.1", 4, places=2),
)


def wish(gpu_type: str | None = None, cloud: Any = "any", limit: str = "1.50") -> Wish:
    return Wish(gpu_type, cloud, D(limit))


def ranked(offers: list[Offer], what: Demand, asked: Wish) -> Ranking:
    found = candidates(offers, what, asked)
    assert isinstance(found, Ranking)
    return found


def refused(offers: list[Offer], what: Demand, asked: Wish) -> NoOffer:
    found = candidates(offers, what, asked)
    assert isinstance(found, NoOffer)
    return found


@given(OFFERS, DEMANDS, WISHES)
def test_only_what_fits_is_payable_and_allowed_is_offered_and_all_of_it(
    offers: list[Offer], what: Demand, asked: Wish
) -> None:
    good = [
        offer
        for offer in offers
        if (what.gb is None or offer.vram_gb >= what.gb)
        and 0 < offer.price_usd_h <= asked.max_price_usd_h
        and asked.cloud in ("any", offer.cloud)
    ]

    found = candidates(offers, what, asked)

    if good:
        assert isinstance(found, Ranking)
        assert sorted(map(repr, found.offers)) == sorted(map(repr, good))
    else:
        assert isinstance(found, NoOffer)
        assert found.reason.endswith(".")


@given(OFFERS, DEMANDS, WISHES)
def test_the_wished_come_first_then_the_stocked_and_each_by_price(
    offers: list[Offer], what: Demand, asked: Wish
) -> None:
    found = candidates(offers, what, asked)

    if isinstance(found, Ranking):
        keys = [
            (o.gpu_id != asked.gpu_type, o.stock == "none", o.price_usd_h) for o in found.offers
        ]
        assert keys == sorted(keys)


@given(OFFERS, DEMANDS, WISHES)
def test_a_wish_that_is_not_met_first_is_answered(
    offers: list[Offer], what: Demand, asked: Wish
) -> None:
    found = candidates(offers, what, asked)

    if isinstance(found, Ranking):
        met = asked.gpu_type in (None, found.offers[0].gpu_id)
        assert met != any(f"taking {found.offers[0].gpu_id}" in note for note in found.notes)


@given(st.permutations(MARKET))
def test_the_order_of_the_catalog_does_not_matter(offers: list[Offer]) -> None:
    assert candidates(offers, JOY, wish("H200")) == candidates(MARKET, JOY, wish("H200"))


def test_the_cheapest_that_fits_over_both_clouds_is_tried_first() -> None:
    found = ranked(MARKET, JOY, wish())

    assert found == Ranking((A5000_COMMUNITY, A5000, R4090))


def test_a_wish_is_first_even_if_it_is_dearer_or_out_of_stock() -> None:
    gone = replace(R4090, stock="none")

    assert ranked([A5000, gone], JOY, wish(gone.gpu_id)) == Ranking((gone, A5000))


@pytest.mark.parametrize("said", ["nvidia geforce rtx 4090", "RTX 4090", "4090", " rtx-4090 "])
def test_a_wish_may_be_a_few_words(said: str) -> None:
    assert ranked(MARKET, JOY, wish(said)).offers[0] == R4090


def test_what_is_out_of_stock_is_tried_last_and_that_is_said_if_it_is_all() -> None:
    gone = replace(A5000_COMMUNITY, stock="none")

    assert ranked([gone, R4090], JOY, wish()) == Ranking((R4090, gone))
    assert "in stock" in ranked([gone], JOY, wish()).notes[0]


def test_a_type_too_small_is_answered_with_what_is_taken_and_what_would_fit() -> None:
    (note,) = ranked(MARKET, JOY, wish("NVIDIA RTX A4000")).notes

    assert note == (
        "NVIDIA RTX A4000 has 16 GB; joycaption beta-one needs 17.5 GB in bfloat16: taking NVIDIA"
        " RTX A5000 (24 GB, $0.16/h), or ask for --torch-dtype int8 (10 GB) or int4 (7 GB)."
    )


def test_no_precision_is_advised_that_would_not_fit_either() -> None:
    (note,) = ranked(MARKET, replace(JOY, smaller=(("int8", 16.5),)), wish("RTX A4000")).notes

    assert "torch-dtype" not in note


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (wish("RTX 9999"), "There is no GPU type 'RTX 9999' on offer: taking"),
        (wish("H200"), "NVIDIA H200 costs $3.99/h, above the limit of $1.50/h: taking"),
        (wish("H200", "community"), "NVIDIA H200 is not on offer in the community cloud: taking"),
    ],
)
def test_why_a_wish_is_not_taken_is_said(asked: Wish, said: str) -> None:
    (note,) = ranked(MARKET, JOY, asked).notes

    assert note.startswith(said)


def test_a_type_that_the_command_names_and_nobody_offers_is_a_mistake() -> None:
    asked = Wish("rtx a400", "any", D("1.50"), named="command")
    found = refused(MARKET, JOY, asked)

    assert (found.missing, "'rtx a400'" in found.reason) == ("type", True)
    assert (found.hint or "").startswith("Did you mean NVIDIA RTX A4000")
    assert not (refused(MARKET, JOY, replace(asked, gpu_type="Foo")).hint or "").count("mean")
    assert ranked(MARKET, JOY, replace(asked, named="")).notes


@pytest.mark.parametrize("said", ["NVIDIA H200", "4090", "a4000"])
def test_a_type_that_is_offered_somewhere_may_be_named_even_if_it_will_not_do(said: str) -> None:
    assert ranked(MARKET, JOY, Wish(said, "community", D("1.50"), named="command")).offers


@pytest.mark.parametrize(
    ("offers", "asked", "missing", "said"),
    [
        ([], wish(), "offers", "No GPU is on offer."),
        ([A5000], wish(cloud="community"), "offers", "No GPU is on offer in the community cloud."),
        (
            [A4000],
            wish(),
            "memory",
            (
                "joycaption beta-one needs 17.5 GB in bfloat16; the largest GPU on offer, NVIDIA"
                " RTX A4000, has 16 GB; ask for --torch-dtype int8 (10 GB) or int4 (7 GB)."
            ),
        ),
        (
            [A5000, H200],
            wish(limit="0.20"),
            "price",
            (
                "The cheapest GPU that holds joycaption beta-one costs $0.26/h (NVIDIA RTX A5000),"
                " above the limit of $0.20/h (max_price)."
            ),
        ),
    ],
)
def test_nothing_that_may_be_rented_is_explained(
    offers: list[Offer], asked: Wish, missing: str, said: str
) -> None:
    assert refused(offers, JOY, asked) == NoOffer(missing, said)  # type: ignore[arg-type]


def test_an_offer_without_a_price_is_not_rented() -> None:
    free = replace(A5000, price_usd_h=D(0))

    assert refused([free], JOY, wish()).missing == "price"
    assert (
        ranked([free, R4090], JOY, wish("A5000"))
        .notes[0]
        .startswith("NVIDIA RTX A5000 has no price")
    )


def test_a_model_of_unknown_need_may_try_anything_and_that_is_said() -> None:
    what = fleet.demand("my-folder", Variant("x", "x"), "auto", None)

    found = ranked(MARKET, what, wish())

    assert found.offers[0] == A5000_COMMUNITY
    assert "not known" in found.notes[0]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("auto", 17.5), ("float16", 17.5), ("float32", 34.0), ("int8", 10.0), ("int3", None)],
)
def test_the_need_is_that_of_the_precision(dtype: str, expected: float | None) -> None:
    assert fleet.needed_gb(BETA, dtype, None) == expected


def test_without_a_half_precision_auto_is_float32() -> None:
    assert fleet.needed_gb(Variant("x", "x", vram_gb={"float32": 0.1}), "auto", 1) == 0.1


@given(st.sampled_from(["auto", "int4", "int8", "float32"]), st.integers(1, 300))
def test_a_larger_batch_needs_more(dtype: str, batch: int) -> None:
    one, more = fleet.needed_gb(BETA, dtype, batch), fleet.needed_gb(BETA, dtype, batch + 1)

    assert one is not None
    assert more is not None
    assert one < more


def test_a_batch_size_is_named_where_it_does_not_fit() -> None:
    what = fleet.demand("joycaption beta-one", BETA, "auto", 64)

    (note,) = ranked([H200, R4090], what, wish("4090", limit="9")).notes

    assert "needs 28.5 GB in bfloat16 for batches of 64: taking" in note


def test_smaller_precisions_come_largest_first() -> None:
    assert JOY.smaller == (("int8", 10.0), ("int4", 7.0))


# Renting


@pytest.mark.parametrize(
    ("error", "move"),
    [
        (errors.NoCapacity, Move.NEXT),
        (errors.AccessDenied, Move.NEXT),
        (errors.ProviderBusy, Move.WAIT),
        (errors.ProviderUnreachable, Move.WAIT),
        (errors.PodMayExist, Move.STOP),
        (errors.NoBalance, Move.STOP),
        (errors.KeyRefused, Move.STOP),
        (errors.ProviderRejected, Move.STOP),
        (errors.ProviderBlocked, Move.STOP),
        (errors.ProviderEnded, Move.STOP),
        (errors.CaptivError, Move.STOP),
    ],
)
def test_what_an_error_means_for_the_next_try(error: type[errors.CaptivError], move: Move) -> None:
    assert fleet.next_after(error.code, tried=1).move is move


def test_the_provider_says_how_long_to_wait() -> None:
    assert fleet.next_after("provider_busy", tried=1, retry_after_s=7) == Step(Move.WAIT, 7)


def test_a_wait_of_hours_is_none() -> None:
    assert fleet.next_after("provider_busy", tried=1, retry_after_s=7200).move is Move.STOP


@given(st.text(max_size=20) | st.sampled_from(["no_capacity", "provider_busy"]))
def test_renting_comes_to_an_end(code: str) -> None:
    tried, waited, total_s = 1, 0, 0.0
    for _ in range(100):
        step = fleet.next_after(code, tried=tried, waited=waited)
        total_s += step.wait_s
        if step.move not in (Move.NEXT, Move.WAIT):
            break
        tried += step.move is Move.NEXT
        waited += step.move is Move.WAIT
    else:
        pytest.fail("it never ended")
    assert tried <= fleet.MAX_TRIES
    assert total_s <= 120


def test_joycaption_does_not_fit_16_gb_but_in_8_or_4_bit() -> None:
    choice = choose("joycaption")
    assert choice is not None

    def ranking(dtype: str) -> fleet.Ranking | fleet.NoOffer:
        demand = fleet.demand("joycaption", choice.variant, dtype, None)
        return fleet.candidates([A4000], demand, wish(None))

    assert ranking("auto") == fleet.NoOffer(
        "memory",
        "joycaption needs 17.5 GB in bfloat16; the largest GPU on offer, NVIDIA RTX A4000, has "
        "16 GB; ask for --torch-dtype 8bit (11 GB) or 4bit (8 GB).",
    )
    assert ranking("8bit") == ranking("4bit") == fleet.Ranking((A4000,), ())


@pytest.mark.parametrize(
    ("losses", "hopeless"),
    [
        ([(0, 0), (10, 0)], False),
        ([(0, 0), (600, 0), (1200, 99)], True),
        ([(0, 0), (600, 50), (1200, 100)], False),
        ([(0, 0), (1800, 0), (3601, 0)], False),
        ([(0, 5000), (86_400, 9000), (86_460, 9000), (86_520, 9050)], True),
        ([(0, 0), (86_400, 9), (172_800, 18), (259_200, 27)], False),
    ],
)
def test_three_losses_in_an_hour_without_progress_end_a_run_and_a_few_a_day_do_not(
    losses: list[tuple[float, int]], hopeless: bool
) -> None:
    seen = Losses()
    for now_s, captions in losses:
        seen = seen.one_more(now_s, captions)

    assert seen.hopeless is hopeless


# What no pod can be made of

NOT_HERE = "EU-RO-1 does not have it"


def test_what_no_pod_can_be_made_of_is_not_offered_and_it_is_said_why() -> None:
    elsewhere = [replace(A4000, unfit=NOT_HERE), replace(A4000_COMMUNITY, unfit=NOT_HERE)]
    small = replace(JOY, gb=10.0)
    found = ranked([*elsewhere, A5000], small, wish("RTX A4000"))

    assert found.offers == (A5000,)
    assert found.notes[0].startswith(
        "NVIDIA RTX A4000 is not rented, for EU-RO-1 does not have it:"
    )
    assert found.notes[0].endswith("taking NVIDIA RTX A5000 (24 GB, $0.26/h).")


def test_a_type_that_one_cloud_cannot_give_is_judged_by_the_other() -> None:
    offers = [replace(A4000_COMMUNITY, unfit=NOT_HERE), A4000, A5000]

    found = ranked(offers, JOY, wish("RTX A4000"))

    assert found.offers == (A5000,)
    assert "NVIDIA RTX A4000 has 16 GB" in found.notes[0]


def test_where_no_pod_can_be_made_of_any_each_reason_is_said_once() -> None:
    offers = [replace(A4000, unfit=NOT_HERE), replace(A5000, unfit=NOT_HERE)]

    assert refused(offers, JOY, wish()) == NoOffer(
        "offers", "No GPU that a pod can use is on offer: EU-RO-1 does not have it."
    )
