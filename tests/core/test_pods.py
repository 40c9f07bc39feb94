from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.bill import SETTLED_MS
from captiv.core.jobs import RunId
from captiv.core.pods import (
    Guarded,
    Listed,
    Owner,
    PodName,
    PodRow,
    PodRowId,
    parse_pod_name,
    pod_name,
    sweepable,
    unseen_end_ms,
)

HERE = "0123456789ab"
OWNER = Owner("runpod", HERE)
NOW = 1_700_000_000_000
ONE = RunId(1)
RUNS = st.none() | st.integers(1, 9).map(RunId)


@given(
    st.from_regex(r"[a-z][0-9a-z]{0,9}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    RUNS,
    st.from_regex(r"[0-9a-z]{1,12}", fullmatch=True),
)
def test_a_name_is_read_back(
    provider: str, installation: str, run_id: RunId | None, token: str
) -> None:
    assert parse_pod_name(pod_name(provider, installation, run_id, token)) == PodName(
        provider, installation, run_id, token
    )


def test_names_say_where_and_who_made_the_pod() -> None:
    assert pod_name("runpod", HERE, RunId(12), "x1") == f"captiv-runpod-{HERE}-r12-x1"
    assert pod_name("runpod", HERE, None, "x1") == f"captiv-runpod-{HERE}-hand-x1"
    assert parse_pod_name(f"captiv-runpod-{HERE}-hand-mine-6d44971e") == PodName(
        "runpod", HERE, None, "mine-6d44971e"
    )


@pytest.mark.parametrize("installation", [HERE, "abcdef012345"])
def test_a_name_of_0_2_tells_no_provider_and_is_runpods(installation: str) -> None:
    assert parse_pod_name(f"captiv-{installation}-r12-x1") == PodName(
        "runpod", installation, RunId(12), "x1"
    )
    assert parse_pod_name(f"captiv-{installation}-hand-hand-x1") == PodName(
        "runpod", installation, None, "hand-x1"
    )


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
    ("provider", "installation", "token"),
    [
        ("runpod", "a-b", "x"),
        ("runpod", HERE, ""),
        ("runpod", HERE, "a-b"),
        ("runpod", "", "x"),
        ("runpod", HERE, "É"),
        ("", HERE, "x"),
        ("run-pod", HERE, "x"),
    ],
)
def test_a_name_that_could_not_be_read_back_is_not_given(
    provider: str, installation: str, token: str
) -> None:
    with pytest.raises(ValueError, match="name"):
        pod_name(provider, installation, RunId(1), token)


def pod_row(
    number: int = 1, run_id: RunId | None = ONE, state: Any = "live", **more: Any
) -> PodRow:
    values: dict[str, Any] = {
        "id": PodRowId(number),
        "provider": "runpod",
        "name": pod_name("runpod", HERE, run_id, f"t{number}"),
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

    swept = {o.pod_id for o in sweepable(OWNER, map(listed, rows), ledger, live, NOW)}

    for row in rows:
        ended = row in ledger and row.state == "ended"
        mine = {row.run_id} | (row.users if row in ledger else set())
        if row.made_by == "hand" or (not ended and mine & live):
            assert listed(row).pod_id not in swept


@given(ROWS, LIVE)
def test_what_nobody_needs_is_swept(rows: list[PodRow], live: set[RunId]) -> None:
    swept = {o.pod_id for o in sweepable(OWNER, map(listed, rows), rows, live, NOW)}

    for row in rows:
        unused = row.run_id not in live and not row.users & live
        if row.made_by == "run" and unused and not row.lingers:
            assert listed(row).pod_id in swept


@given(ROWS, LIVE)
def test_pods_of_another_installation_are_left_alone(rows: list[PodRow], live: set[RunId]) -> None:
    assert sweepable(Owner("runpod", "another"), map(listed, rows), [], live, NOW) == []


@given(ROWS, LIVE)
def test_pods_at_another_provider_are_left_alone(rows: list[PodRow], live: set[RunId]) -> None:
    assert sweepable(Owner("elsewhere", HERE), map(listed, rows), [], live, NOW) == []


@given(ROWS, LIVE)
def test_only_what_is_listed_is_swept(rows: list[PodRow], live: set[RunId]) -> None:
    assert sweepable(OWNER, [], rows, live, NOW) == []


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
    (orphan,) = sweepable(OWNER, [listed(row)], [row], set(), NOW)

    assert (orphan.pod_id, orphan.reason, orphan.row_id) == ("p1", said, row.id)


def test_a_pod_that_was_left_to_its_guard_stays_until_its_deadline() -> None:
    row = pod_row(lingers=True, deadline_ms=NOW)

    assert sweepable(OWNER, [listed(row)], [row], set(), NOW) == []
    assert len(sweepable(OWNER, [listed(row)], [row], set(), NOW + 1)) == 1


def test_a_pod_that_the_ledger_does_not_know_is_swept_by_its_name() -> None:
    (orphan,) = sweepable(OWNER, [listed(pod_row())], [], set(), NOW)

    assert orphan.row_id is None
    assert "no such pod" in orphan.reason


def test_a_pod_is_known_by_its_id_whatever_its_name_is_now() -> None:
    row = pod_row()

    assert len(sweepable(OWNER, [Listed("p1", "renamed")], [row], set(), NOW)) == 1
    assert sweepable(OWNER, [Listed("p1", "renamed")], [row], {RunId(1)}, NOW) == []
    assert sweepable(OWNER, [Listed("p9", "renamed")], [row], set(), NOW) == []


def test_a_second_pod_of_one_name_is_swept_alone() -> None:
    row = pod_row(lingers=True)
    twin = Listed("p9", row.name)

    (orphan,) = sweepable(OWNER, [listed(row), twin], [row], set(), NOW)

    assert (orphan.pod_id, orphan.row_id) == ("p9", None)


HOUR = 3_600_000
GUARDED = Guarded(idle_s=900, startup_s=1500)
MADE = NOW - 8 * HOUR
DOLLAR_AN_HOUR = 1_000_000


def unseen(now_ms: int = NOW, billed: str = "0", heard_ms: int | None = NOW, **more: Any) -> int:
    row = pod_row(intended_ms=MADE - 9, created_ms=MADE, price_micro=DOLLAR_AN_HOUR, **more)
    return unseen_end_ms(row, GUARDED, heard_ms, Decimal(billed), now_ms)


def test_a_pod_that_nobody_saw_end_was_ended_by_its_guard() -> None:
    heard = MADE + HOUR

    assert unseen(heard_ms=heard) == heard + 990_000, "its idle limit, and a minute to try again"
    assert unseen(heard_ms=MADE + 1) == MADE + 1_500_000 + 990_000, "it may not have been ready yet"
    assert unseen(heard_ms=heard, now_ms=heard + 7) == heard + 7
    assert unseen(heard_ms=heard, deadline_ms=heard + 5000) == heard + 95_000


def test_of_a_pod_that_others_may_have_spoken_to_nothing_better_is_known() -> None:
    assert unseen(heard_ms=MADE + HOUR, run_id=None) == NOW
    assert unseen(heard_ms=None) == NOW


def test_what_the_provider_has_billed_is_the_least_and_in_the_end_the_truth() -> None:
    heard, due = MADE + HOUR, MADE + HOUR + 990_000
    early, late = due + HOUR, due + SETTLED_MS

    assert unseen(early, "0.5", heard) == due, "its records lag behind"
    assert unseen(early, "1.5", heard) == MADE + HOUR * 3 // 2, "the guard was refused"
    assert unseen(late, "0.5", heard) == MADE + HOUR // 2, "it was ended by hand before"
    assert unseen(late, "0", heard) == due, "nobody has billed it: the records say nothing"
    assert unseen(late, "99", heard) == late
