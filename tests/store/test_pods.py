"""The ledger keeps every pod that may bill, and says what each run paid."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captiv.core import cost
from captiv.core.jobs import RunId, SessionId
from captiv.core.pods import Listed, Owner, PodRow, PodRowId, pod_name
from captiv.errors import StoreError
from captiv.store import Connection, Store, lease, pods, runs

from . import scene

HERE = "0123456789ab"
OWNER = Owner("runpod", HERE)
NOW = scene.NOW
RUN, OTHER = RunId(7), RunId(8)
PRICE = 160_000


def intend(
    store: Store, token: str = "a", run_id: RunId | None = RUN, **more: Any
) -> tuple[PodRowId, str]:
    name = pod_name("runpod", HERE, run_id, token)
    values: dict[str, Any] = {
        "provider": "runpod",
        "gpu": "NVIDIA RTX A5000",
        "cloud": "community",
        "price_micro": PRICE,
        "version": "1",
        "deadline_ms": None,
        "now_ms": NOW,
    }
    row_id = store.write(pods.intend, name, run_id=run_id, **(values | more))
    return row_id, name


def arrive(store: Store, name: str, pod_id: str = "pod-a") -> bool:
    return store.write(pods.arrived, name, pod_id, PRICE, NOW + 1000, f"https://{pod_id}.example")


def rent(store: Store, token: str = "a", run_id: RunId | None = RUN, **more: Any) -> PodRowId:
    row_id, name = intend(store, token, run_id, **more)
    assert arrive(store, name, f"pod-{token}")
    return row_id


def row(store: Store, name: str) -> PodRow:
    found = store.read(pods.find, "runpod", name)
    assert found is not None
    return found


def test_an_intent_is_unsettled_until_its_pod_arrives(store: Store) -> None:
    row_id, name = intend(store, deadline_ms=NOW + 5, lingers=True)

    assert store.read(pods.live, "runpod") == []
    assert store.read(pods.unsettled, "runpod") == [
        PodRow(
            id=row_id,
            provider="runpod",
            name=name,
            pod_id=None,
            state="intended",
            made_by="run",
            run_id=RUN,
            lingers=True,
            gpu="NVIDIA RTX A5000",
            cloud="community",
            price_micro=PRICE,
            version="1",
            url=None,
            deadline_ms=NOW + 5,
            intended_ms=NOW,
            created_ms=None,
            ended_ms=None,
            end_reason=None,
        )
    ]

    assert arrive(store, name)

    assert store.read(pods.unsettled, "runpod") == []
    (live,) = store.read(pods.live, "runpod")
    assert (live.id, live.pod_id, live.state) == (row_id, "pod-a", "live")
    assert (live.created_ms, live.url) == (NOW + 1000, "https://pod-a.example")


def test_a_pod_without_a_run_was_made_by_hand(store: Store) -> None:
    rent(store, run_id=None)

    assert [(pod.made_by, pod.run_id) for pod in store.read(pods.live, "runpod")] == [
        ("hand", None)
    ]


def test_the_price_that_was_answered_replaces_the_one_offered(store: Store) -> None:
    _, name = intend(store)

    store.write(pods.arrived, name, "pod-a", 170_000, NOW, "https://x.example")

    assert row(store, name).price_micro == 170_000


def test_a_name_is_used_once(store: Store) -> None:
    first, _ = intend(store)

    assert intend(store)[0] == first
    with pytest.raises(StoreError, match="before"):
        intend(store, now_ms=NOW + 1)
    store.write(pods.ended, first, NOW, "no capacity")
    with pytest.raises(StoreError, match="before"):
        intend(store)


def test_an_arrival_is_recorded_once(store: Store) -> None:
    _, name = intend(store)
    assert arrive(store, name)

    assert store.write(pods.arrived, name, "pod-a", 1, 1, "https://other.example")
    assert row(store, name).price_micro == PRICE
    assert not arrive(store, name, "pod-b")
    assert row(store, name).pod_id == "pod-a"


def test_a_pod_that_arrives_after_its_end_is_refused(store: Store) -> None:
    row_id, name = intend(store)
    store.write(pods.ended, row_id, NOW, "given up")

    assert not arrive(store, name)
    assert row(store, name).state == "ended"
    assert not arrive(store, "captiv-nobody-r1-x")


def test_an_end_is_recorded_once_and_closes_its_use(store: Store) -> None:
    row_id = rent(store)
    assert store.write(pods.begin_use, row_id, RUN, NOW)

    assert store.write(pods.ended, row_id, NOW + 60_000, "drained")
    assert not store.write(pods.ended, row_id, NOW + 90_000, "swept")

    gone = row(store, "pod-a")
    assert (gone.ended_ms, gone.end_reason, gone.users) == (NOW + 60_000, "drained", frozenset())
    assert store.read(pods.share, RUN, NOW * 2) == [(PRICE, NOW, NOW + 60_000)]


@pytest.mark.parametrize("state", ["intended", "ended", "unknown"])
def test_only_a_live_pod_is_used(store: Store, state: str) -> None:
    row_id = PodRowId(99)
    if state != "unknown":
        row_id, _ = intend(store)
    if state == "ended":
        store.write(pods.ended, row_id, NOW, "gone")

    assert not store.write(pods.begin_use, row_id, RUN, NOW)
    assert store.read(pods.share, RUN, NOW) == []


def test_a_use_begins_and_ends_once(store: Store) -> None:
    row_id = rent(store)

    assert store.write(pods.begin_use, row_id, RUN, NOW)
    assert not store.write(pods.begin_use, row_id, RUN, NOW + 5), "another lane has it"
    assert not store.write(pods.begin_use, row_id, OTHER, NOW + 5), "another run has it"
    assert row(store, "pod-a").users == {RUN}
    assert store.write(pods.end_use, row_id, RUN, NOW + 10)
    assert not store.write(pods.end_use, row_id, RUN, NOW + 20)
    assert not store.write(pods.end_use, row_id, OTHER, NOW + 20)

    assert store.read(pods.share, RUN, NOW + 99) == [(PRICE, NOW, NOW + 10)]
    assert row(store, "pod-a").users == frozenset()


def test_the_use_of_an_earlier_command_goes_on(store: Store) -> None:
    row_id, other = rent(store), rent(store, "b", OTHER)
    store.write(pods.begin_use, row_id, RUN, NOW)
    store.write(pods.begin_use, other, OTHER, NOW)

    assert store.write(pods.resume_use, row_id, RUN, NOW + 5)
    assert not store.write(pods.resume_use, other, RUN, NOW + 5)
    assert store.read(pods.share, RUN, NOW + 10) == [(PRICE, NOW, NOW + 10)]

    store.write(pods.end_use, other, OTHER, NOW + 20)
    assert store.write(pods.resume_use, other, RUN, NOW + 30)


def test_what_a_dead_dispatcher_used_is_free_from_its_last_sign_of_life(store: Store) -> None:
    hand, rented = rent(store, "a", None), rent(store, "b")
    lingering = rent(store, "c", lingers=True)
    for row_id in (hand, rented, lingering):
        store.write(pods.begin_use, row_id, RUN, NOW)
    dead = store.write(lease.begin_session, 7, "here", "dispatcher", NOW)
    store.write(lease.beat, dead, NOW + 40)
    mine = store.write(lease.begin_session, 8, "here", "dispatcher", NOW + 90)

    assert store.write(pods.release_uses, mine) == 2

    assert row(store, "pod-a").users == row(store, "pod-c").users == frozenset()
    assert row(store, "pod-b").users == {RUN}, "the run pays for what it rented until its end"
    assert [share.to_ms for share in store.read(pods.share, RUN, NOW + 99)] == [
        NOW + 40,
        NOW + 99,
        NOW + 40,
    ]
    assert store.write(pods.begin_use, hand, OTHER, NOW + 91)


def test_who_was_last_heard_of_with_a_pod_is_no_dispatcher_that_came_later(store: Store) -> None:
    before = store.write(lease.begin_session, 7, "here", "dispatcher", NOW - 50)
    store.write(lease.beat, before, NOW + 40)
    follower = store.write(lease.begin_session, 8, "here", "follower", NOW)
    store.write(lease.beat, follower, NOW + 60)
    mine = store.write(lease.begin_session, 9, "here", "dispatcher", NOW + 90)
    store.write(lease.beat, mine, NOW + 99)
    rent(store, "a", now_ms=NOW)
    rent(store, "b", now_ms=NOW + 95)

    assert store.read(pods.heard_ms, row(store, "pod-a"), mine) == NOW + 40
    assert store.read(pods.heard_ms, row(store, "pod-b"), mine) == NOW + 99, "it is mine"
    assert store.read(pods.heard_ms, row(store, "pod-a"), None) == NOW + 99
    assert store.read(pods.heard_ms, row(store, "pod-a"), before) == NOW + 99


def test_a_deadline_is_only_put_off_and_only_of_a_live_pod(store: Store) -> None:
    row_id = rent(store, deadline_ms=NOW + 50)

    assert not store.write(pods.prolong, row_id, NOW + 49)
    assert store.write(pods.prolong, row_id, NOW + 51)
    assert row(store, "pod-a").deadline_ms == NOW + 51
    store.write(pods.ended, row_id, NOW, "gone")
    assert not store.write(pods.prolong, row_id, NOW + 99)


def test_the_budget_has_what_is_over_and_what_runs(store: Store) -> None:
    one, two = rent(store, "a"), rent(store, "b", None)
    store.write(pods.begin_use, one, RUN, NOW)
    store.write(pods.begin_use, two, RUN, NOW + 1)
    store.write(pods.ended, one, NOW + 3_600_000, "drained")

    found = store.read(pods.budget, RUN, Decimal(2))

    assert (found.cap, found.over) == (Decimal(2), cost.price_of(PRICE))
    assert [pod.from_ms for pod in found.running] == [NOW + 1]


def test_an_open_use_is_paid_until_now_and_never_backwards(store: Store) -> None:
    row_id = rent(store)
    store.write(pods.begin_use, row_id, RUN, NOW)

    assert store.read(pods.share, RUN, NOW + 30) == [(PRICE, NOW, NOW + 30)]
    assert store.read(pods.share, RUN, NOW - 30) == [(PRICE, NOW, NOW)]
    store.write(pods.end_use, row_id, RUN, NOW - 30)
    assert store.read(pods.share, RUN, NOW + 30) == [(PRICE, NOW, NOW)]


def test_a_run_pays_for_every_pod_it_used(store: Store) -> None:
    one, two = rent(store, "a"), rent(store, "b", OTHER, price_micro=1)
    for row_id, begin, end in ((one, 0, 3_600_000), (two, 0, 1), (one, 7_200_000, 10_800_000)):
        store.write(pods.begin_use, row_id, RUN, NOW + begin)
        store.write(pods.end_use, row_id, RUN, NOW + end)

    shares = store.read(pods.share, RUN, NOW)

    assert len(shares) == 3
    assert cost.total(shares) == Decimal("0.32") + cost.cost(Decimal("0.16"), 0, 1)


def test_the_pods_of_a_run_are_those_it_rented_or_used(store: Store) -> None:
    rented, hand, other = rent(store, "a"), rent(store, "b", None), rent(store, "c", OTHER)
    store.write(pods.begin_use, hand, RUN, NOW)
    store.write(pods.end_use, hand, RUN, NOW)

    assert [pod.id for pod in store.read(pods.of_run, RUN)] == [rented, hand]
    assert [pod.id for pod in store.read(pods.of_run, OTHER)] == [other]


def test_a_pod_is_found_by_its_id_or_its_name(store: Store) -> None:
    row_id = rent(store)
    name = pod_name("runpod", HERE, RUN, "a")

    assert row(store, "pod-a").id == row(store, name).id == row_id
    assert store.read(pods.find, "runpod", "pod-b") is None


def test_the_ledger_outlives_its_runs(store: Store) -> None:
    run = scene.enqueue(store, 0)
    row_id = rent(store, run_id=run.id)
    store.write(pods.begin_use, row_id, run.id, NOW)
    store.write(pods.ended, row_id, NOW + 1000, "drained")
    store.write(runs.finish_if_complete, run.id, NOW)

    assert store.write(runs.clear) == 1

    assert store.read(pods.share, run.id, NOW) == [(PRICE, NOW, NOW + 1000)]


WRONG = [
    ("state='lost'", "state_is_known"),
    ("made_by='robot'", "made_by_is_known"),
    ("made_by='hand'", "run_of_the_rented"),
    ("run_id=NULL", "run_of_the_rented"),
    ("lingers=2", "lingers_is_a_flag"),
    ("price_micro=-1", "price_is_a_price"),
    ("pod_id=NULL", "pod_id_of_the_arrived"),
    ("created_ms=NULL", "pod_id_of_the_arrived"),
    ("url=NULL", "pod_id_of_the_arrived"),
    ("state='intended'", "pod_id_of_the_arrived"),
    ("state='ended'", "end_of_the_ended"),
    ("ended_ms=1", "end_of_the_ended"),
    ("end_reason='x'", "end_of_the_ended"),
]


@pytest.mark.parametrize(("change", "rule"), WRONG)
def test_a_row_that_contradicts_itself_is_refused(store: Store, change: str, rule: str) -> None:
    rent(store)

    with pytest.raises(StoreError, match=rule):
        store.write(lambda conn: conn.execute(f"UPDATE pods SET {change}"))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO pod_uses (pod_row, run_id, from_ms) VALUES (99, 1, 1)",
        "INSERT INTO pod_uses (pod_row, run_id, from_ms) VALUES (1, 7, 1)",
        "INSERT INTO pod_uses (pod_row, run_id, from_ms, to_ms) VALUES (1, 8, 5, 4)",
        "DELETE FROM pods",
        "UPDATE pods SET pod_id='pod-a'",
    ],
)
def test_uses_and_ids_that_cannot_be_are_refused(store: Store, sql: str) -> None:
    store.write(pods.begin_use, rent(store), RUN, NOW)
    rent(store, "b")

    with pytest.raises(StoreError):
        store.write(lambda conn: conn.execute(sql))


SWEEP: dict[str, Any] = {"wanted_since_ms": NOW, "now_ms": NOW + 60_000}


def listed(*tokens: str, run_id: RunId = RUN) -> list[Listed]:
    return [Listed(f"pod-{token}", pod_name("runpod", HERE, run_id, token)) for token in tokens]


def test_a_condemned_pod_is_ended_and_can_no_longer_be_used(store: Store) -> None:
    row_id = rent(store)
    store.write(pods.begin_use, row_id, RUN, NOW)

    (orphan,) = store.write(pods.condemn, OWNER, listed("a"), **SWEEP)

    assert (orphan.pod_id, orphan.row_id) == ("pod-a", row_id)
    gone = row(store, "pod-a")
    assert gone.state == "ended"
    assert gone.end_reason == f"swept: {orphan.reason}"
    assert not store.write(pods.begin_use, row_id, OTHER, NOW)


def test_a_condemned_pod_that_stays_is_found_again(store: Store) -> None:
    rent(store)
    store.write(pods.condemn, OWNER, listed("a"), **SWEEP)

    (again,) = store.write(pods.condemn, OWNER, listed("a"), **SWEEP)

    assert "still there" in again.reason


def test_a_pod_that_a_wanted_run_rented_or_uses_is_not_condemned(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1)
    store.write(runs.want, run.id, session, NOW)
    rent(store, "a", run.id)
    store.write(pods.begin_use, rent(store, "b"), run.id, NOW)
    both = [*listed("a", run_id=run.id), *listed("b")]

    assert store.write(pods.condemn, OWNER, both, **SWEEP) == []

    later = SWEEP | {"wanted_since_ms": NOW + 1}
    assert [o.pod_id for o in store.write(pods.condemn, OWNER, both, **later)] == ["pod-a", "pod-b"]


def test_a_second_pod_of_a_name_does_not_end_the_first_in_the_ledger(store: Store) -> None:
    row_id = rent(store, lingers=True)
    twin = Listed("pod-z", pod_name("runpod", HERE, RUN, "a"))

    orphans = store.write(pods.condemn, OWNER, [*listed("a"), twin], **SWEEP)

    assert [(orphan.pod_id, orphan.row_id) for orphan in orphans] == [("pod-z", None)]
    assert [pod.id for pod in store.read(pods.live, "runpod")] == [row_id]


Step = Callable[[Connection, int], object]
NAME = pod_name("runpod", HERE, RUN, "x")
ROW = PodRowId(1)


def _intend(conn: Connection) -> PodRowId:
    return pods.intend(
        conn,
        NAME,
        provider="runpod",
        run_id=RUN,
        gpu="g",
        cloud="secure",
        price_micro=PRICE,
        version="1",
        deadline_ms=None,
        now_ms=0,
    )


STEPS: dict[str, Step] = {
    "arrived": lambda conn, now: pods.arrived(conn, NAME, "p", PRICE, now, "https://p.example"),
    "ended": lambda conn, now: pods.ended(conn, ROW, now, "why"),
    "resume": lambda conn, now: pods.resume_use(conn, ROW, RUN, now),
    "begin": lambda conn, now: pods.begin_use(conn, ROW, RUN, now),
    "begin other": lambda conn, now: pods.begin_use(conn, ROW, OTHER, now),
    "end": lambda conn, now: pods.end_use(conn, ROW, RUN, now),
}


class _UndoError(Exception):
    pass


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 99)), max_size=12))
def test_no_order_of_events_breaks_the_ledger(store: Store, events: list[tuple[str, int]]) -> None:
    def play(conn: Connection) -> None:
        _intend(conn)
        last: tuple[PodRow, list[cost.Share]] | None = None
        for name, now in events:
            for again in (False, True):
                STEPS[name](conn, now)
                found = pods.find(conn, "runpod", NAME)
                assert found is not None
                state = found, pods.share(conn, RUN, 99)
                assert state == last or not again
                if last is not None and last[0].state == "ended":
                    assert found == last[0]
                last = state
                assert found.state == "live" or not found.users
        raise _UndoError

    with pytest.raises(_UndoError):
        store.write(play)


def test_the_plans_use_the_indexes_of_the_states(store: Store) -> None:
    def plan(conn: Connection, fn: Callable[..., Any], *args: object) -> str:
        said: list[str] = []
        conn.set_trace_callback(said.append)
        fn(conn, *args)
        conn.set_trace_callback(None)
        return "\n".join(
            step for sql in said for *_, step in conn.execute(f"EXPLAIN QUERY PLAN {sql}")
        )

    for fn, args, index in (
        (pods.live, ("runpod",), "pods_live"),
        (pods.unsettled, ("runpod",), "pods_intended"),
        (pods.of_run, (RUN,), "pods_run"),
        (pods.share, (RUN, NOW), "pod_uses_run"),
        (pods.find, ("runpod", "pod-a"), "pods_pod_id"),
    ):
        assert index in store.read(plan, fn, *args)


def test_a_bill_has_the_share_of_the_run_and_the_whole_of_the_pod(store: Store) -> None:
    row_id = rent(store)
    assert store.write(pods.begin_use, row_id, OTHER, NOW + 3_601_000)
    assert store.write(pods.end_use, row_id, OTHER, NOW + 7_201_000)
    intend(store, "never", OTHER)

    (alive,) = store.read(pods.bill, OTHER, NOW + 36_001_000)
    store.write(pods.ended, row_id, NOW + 10_801_000, "the run ended")
    (ended,) = store.read(pods.bill, OTHER, NOW + 36_001_000)

    assert (alive.pod_id, alive.share, alive.total) == ("pod-a", Decimal("0.16"), Decimal("1.6"))
    assert alive.billing
    assert (ended.share, ended.total) == (Decimal("0.16"), Decimal("0.48"))
    assert not ended.billing
    assert store.read(pods.bill, RunId(99), NOW) == []
