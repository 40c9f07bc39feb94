from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv import errors
from captiv.catalog.model import Variant
from captiv.core import fleet
from captiv.core.fleet import (
    Demand,
    Listed,
    Move,
    NoOffer,
    Offer,
    PodName,
    PodRow,
    PodRowId,
    Ranking,
    Seen,
    Start,
    Step,
    Waiting,
    Wish,
    candidates,
    next_after,
    parse_pod_name,
    pod_name,
    sweepable,
)
from captiv.core.jobs import RunId
from captiv.wire import Health, Loading

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
        " RTX A5000 (24 GB, $0.16/h), or ask for --torch-dtype int8 (10 GB)."
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
                " RTX A4000, has 16 GB; ask for --torch-dtype int8 (10 GB)."
            ),
        ),
        (
            [A5000, H200],
            wish(limit="0.20"),
            "price",
            (
                "The cheapest GPU that holds joycaption beta-one costs $0.26/h (NVIDIA RTX A5000),"
                " above the limit of $0.20/h (runpod.max_price)."
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
        (errors.PodMayExist, Move.SETTLE),
        (errors.NoBalance, Move.STOP),
        (errors.KeyRefused, Move.STOP),
        (errors.ProviderRejected, Move.STOP),
        (errors.ProviderBlocked, Move.STOP),
        (errors.ProviderEnded, Move.STOP),
        (errors.CaptivError, Move.STOP),
    ],
)
def test_what_an_error_means_for_the_next_try(error: type[errors.CaptivError], move: Move) -> None:
    assert next_after(error.code, tried=1).move is move


def test_the_provider_says_how_long_to_wait() -> None:
    assert next_after("provider_busy", tried=1, retry_after_s=7) == Step(Move.WAIT, 7)


def test_a_wait_of_hours_is_none() -> None:
    assert next_after("provider_busy", tried=1, retry_after_s=7200).move is Move.STOP


@given(st.text(max_size=20) | st.sampled_from(["no_capacity", "provider_busy"]))
def test_renting_comes_to_an_end(code: str) -> None:
    tried, waited, total_s = 1, 0, 0.0
    for _ in range(100):
        step = next_after(code, tried=tried, waited=waited)
        total_s += step.wait_s
        if step.move not in (Move.NEXT, Move.WAIT):
            break
        tried += step.move is Move.NEXT
        waited += step.move is Move.WAIT
    else:
        pytest.fail("it never ended")
    assert tried <= fleet.MAX_TRIES
    assert total_s <= 120


# Waiting


def worker(status: Any = "loading", done: int | None = None, total: int | None = None) -> Health:
    loading = Loading(phase="download", done_bytes=done, total_bytes=total)
    return Health(status=status, worker="w", boot_id="b", loading=loading)


WAITING = Waiting(began_s=1000, timeout_s=600)
SEEN = st.builds(
    Seen,
    st.sampled_from([None, "PROVISIONING", "STARTING", "RUNNING", "UNKNOWN"]),
    st.booleans(),
    st.none() | st.builds(worker, done=st.integers(0, 100), total=st.sampled_from([0, 100])),
    st.none() | st.floats(0, 3000),
    st.integers(0, 2),
)


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (Seen(), "renting"),
        (Seen("PROVISIONING"), "renting"),
        (Seen("RUNNING"), "pulling the image"),
        (Seen("STARTING"), "pulling the image"),
        (Seen("RUNNING", started=True), "starting"),
        (Seen("RUNNING", started=True, health=worker()), "loading the model"),
        (Seen("RUNNING", True, worker(done=430, total=1000)), "loading the model (43 %)"),
        (Seen("RUNNING", True, worker(done=1200, total=1000)), "loading the model (100 %)"),
    ],
)
def test_the_phase_is_what_was_seen(seen: Seen, phase: str) -> None:
    after = WAITING.look(seen, 1001)

    assert (after.phase, after.start) == (phase, Start.WAIT)


def test_only_the_workers_own_word_makes_it_ready() -> None:
    after = WAITING.look(Seen("RUNNING", health=worker("ready")), 5000)

    assert (after.phase, after.start) == ("ready", Start.READY)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen("RUNNING", True, restarts=3), "crashed 3 times"),
        (Seen("EXITED"), "EXITED"),
        (Seen("TERMINATED"), "TERMINATED"),
        (Seen("ERROR"), "ERROR"),
        (Seen("RUNNING", True, worker("failed")), "failed"),
        (
            Seen(health=worker("failed").model_copy(update={"reason": "It does not fit."})),
            "It does not fit.",
        ),
    ],
)
def test_what_will_never_be_ready_is_given_up_at_once(seen: Seen, said: str) -> None:
    after = WAITING.look(seen, 1001)

    assert after.start is Start.GIVE_UP
    assert after.reason is not None
    assert said in after.reason


def test_a_silent_pod_is_given_up_after_the_limit() -> None:
    pulling = WAITING.look(Seen("RUNNING"), 1599)
    assert pulling.start is Start.WAIT

    after = pulling.look(Seen("RUNNING"), 1600)

    assert after.start is Start.GIVE_UP
    assert after.reason == "it was not ready after 600 s (last seen: pulling the image)"


def test_a_pull_that_advances_has_twice_the_time() -> None:
    def look(waiting: Waiting, now: float) -> Waiting:
        return waiting.look(Seen("RUNNING", progress_s=now - 5), now)

    assert look(WAITING, 2199).start is Start.WAIT
    assert look(look(WAITING, 2199), 2200).start is Start.GIVE_UP


def test_a_pull_that_stalls_after_the_limit_is_given_up() -> None:
    pulling = WAITING.look(Seen("RUNNING", progress_s=1650), 1651)
    assert pulling.look(Seen("RUNNING", progress_s=1650), 1710).start is Start.WAIT

    assert pulling.look(Seen("RUNNING", progress_s=1650), 1711).start is Start.GIVE_UP


def test_a_download_of_the_worker_is_an_advance_only_while_it_grows() -> None:
    def look(waiting: Waiting, done: int, now: float) -> Waiting:
        return waiting.look(Seen("RUNNING", True, worker(done=done, total=9)), now)

    growing = look(look(WAITING, 1, 1590), 2, 1640)
    assert growing.start is Start.WAIT

    assert look(growing, 2, 1700).start is Start.WAIT
    assert look(growing, 2, 1701).start is Start.GIVE_UP


@given(st.lists(st.tuples(SEEN, st.floats(0, 500)), max_size=20))
def test_waiting_ends_within_twice_the_limit_and_stays_ended(
    looks: list[tuple[Seen, float]],
) -> None:
    waiting, now = WAITING, WAITING.began_s
    for seen, pause in looks:
        now += pause
        after = waiting.look(seen, now)
        if waiting.start is not Start.WAIT:
            assert after == waiting
        waited = now - WAITING.began_s
        if after.start is Start.WAIT:
            assert waited < 1200
        if waited < 600:
            assert after.start is Start.WAIT
        assert (after.reason is not None) == (after.start is Start.GIVE_UP)
        waiting = after


# Names and the sweep

HERE = "0123456789ab"
NOW = 1_700_000_000_000
ONE = RunId(1)
RUNS = st.none() | st.integers(1, 9).map(RunId)


@given(
    st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    RUNS,
    st.from_regex(r"[0-9a-z]{1,12}", fullmatch=True),
)
def test_a_name_is_read_back(installation: str, run_id: RunId | None, token: str) -> None:
    assert parse_pod_name(pod_name(installation, run_id, token)) == PodName(
        installation, run_id, token
    )


def test_names_say_who_made_the_pod() -> None:
    assert pod_name(HERE, RunId(12), "x1") == f"captiv-{HERE}-r12-x1"
    assert pod_name(HERE, None, "x1") == f"captiv-{HERE}-hand-x1"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "my pod",
        "captiv",
        f"captiv-{HERE}",
        f"captiv-{HERE}-r0-x",
        f"captiv-{HERE}-r1-",
        f"captiv-{HERE}-r1-x\n",
        f"captiv-{HERE}-r1-x-y",
        f"captiv-{HERE}-r\u0661-x",
        f"my-captiv-{HERE}-r1-x",
    ],
)
def test_other_names_are_none_of_captivs(name: str) -> None:
    assert parse_pod_name(name) is None


@pytest.mark.parametrize(
    ("installation", "token"), [("a-b", "x"), (HERE, ""), (HERE, "a-b"), ("", "x"), (HERE, "É")]
)
def test_a_name_that_could_not_be_read_back_is_not_given(installation: str, token: str) -> None:
    with pytest.raises(ValueError, match="name"):
        pod_name(installation, RunId(1), token)


def pod_row(
    number: int = 1, run_id: RunId | None = ONE, state: Any = "live", **more: Any
) -> PodRow:
    values: dict[str, Any] = {
        "id": PodRowId(number),
        "name": pod_name(HERE, run_id, f"t{number}"),
        "pod_id": None if state == "intended" else f"p{number}",
        "state": state,
        "made_by": "hand" if run_id is None else "run",
        "run_id": run_id,
        "lingers": False,
        "gpu": "NVIDIA L4",
        "cloud": "secure",
        "price_micro": 1,
        "version": "1",
        "url": None,
        "deadline_ms": None,
        "intended_ms": NOW - 200_000,
        "created_ms": None if state == "intended" else NOW - 190_000,
        "ended_ms": NOW - 7_200_000 if state == "ended" else None,
        "end_reason": "drained" if state == "ended" else None,
    }
    return PodRow(**(values | more))


def listed(row: PodRow) -> Listed:
    return Listed(row.pod_id or f"p{row.id}", row.name)


ROWS = st.lists(
    st.builds(
        pod_row,
        st.integers(1, 9),
        RUNS,
        st.sampled_from(["intended", "live", "ended"]),
        lingers=st.booleans(),
        deadline_ms=st.none() | st.integers(NOW - 9, NOW + 9),
        users=st.frozensets(st.integers(1, 9).map(RunId), max_size=2),
    ),
    max_size=6,
    unique_by=lambda row: row.id,
)
LIVE = st.sets(st.integers(1, 9).map(RunId), max_size=4)


@given(ROWS, LIVE, st.lists(st.booleans(), min_size=6, max_size=6))
def test_no_pod_made_by_hand_and_none_of_a_live_command_is_swept(
    rows: list[PodRow], live: set[RunId], known: list[bool]
) -> None:
    ledger = [row for row, kept in zip(rows, known, strict=False) if kept]

    swept = {o.pod_id for o in sweepable(HERE, map(listed, rows), ledger, live, NOW)}

    for row in rows:
        ended = row in ledger and row.state == "ended"
        mine = {row.run_id} | (row.users if row in ledger else set())
        if row.made_by == "hand" or (not ended and mine & live):
            assert listed(row).pod_id not in swept


@given(ROWS, LIVE)
def test_what_nobody_needs_is_swept(rows: list[PodRow], live: set[RunId]) -> None:
    swept = {o.pod_id for o in sweepable(HERE, map(listed, rows), rows, live, NOW)}

    for row in rows:
        unused = row.run_id not in live and not row.users & live
        if row.made_by == "run" and unused and not row.lingers:
            assert listed(row).pod_id in swept


@given(ROWS, LIVE)
def test_pods_of_another_installation_are_left_alone(rows: list[PodRow], live: set[RunId]) -> None:
    assert sweepable("another", map(listed, rows), [], live, NOW) == []


@given(ROWS, LIVE)
def test_only_what_is_listed_is_swept(rows: list[PodRow], live: set[RunId]) -> None:
    assert sweepable(HERE, [], rows, live, NOW) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (pod_row(), "run 1 rented it 3 min ago, and the command of that run is gone"),
        (pod_row(state="intended"), "run 1 asked for it 3 min ago and never got it"),
        (pod_row(state="ended"), "it was ended 2 h ago (drained) and is still there"),
        (pod_row(lingers=True, deadline_ms=NOW - 5000), "its deadline passed 5 s ago"),
    ],
)
def test_why_a_pod_is_swept_is_said(row: PodRow, said: str) -> None:
    (orphan,) = sweepable(HERE, [listed(row)], [row], set(), NOW)

    assert (orphan.pod_id, orphan.reason, orphan.row_id) == ("p1", said, row.id)


def test_a_pod_that_was_left_to_its_guard_stays_until_its_deadline() -> None:
    row = pod_row(lingers=True, deadline_ms=NOW)

    assert sweepable(HERE, [listed(row)], [row], set(), NOW) == []
    assert len(sweepable(HERE, [listed(row)], [row], set(), NOW + 1)) == 1


def test_a_pod_that_the_ledger_does_not_know_is_swept_by_its_name() -> None:
    (orphan,) = sweepable(HERE, [listed(pod_row())], [], set(), NOW)

    assert orphan.row_id is None
    assert "no such pod" in orphan.reason


def test_a_pod_is_known_by_its_id_whatever_its_name_is_now() -> None:
    row = pod_row()

    assert len(sweepable(HERE, [Listed("p1", "renamed")], [row], set(), NOW)) == 1
    assert sweepable(HERE, [Listed("p1", "renamed")], [row], {RunId(1)}, NOW) == []
    assert sweepable(HERE, [Listed("p9", "renamed")], [row], set(), NOW) == []


def test_a_second_pod_of_one_name_is_swept_alone() -> None:
    row = pod_row(lingers=True)
    twin = Listed("p9", row.name)

    (orphan,) = sweepable(HERE, [listed(row), twin], [row], set(), NOW)

    assert (orphan.pod_id, orphan.row_id) == ("p9", None)
