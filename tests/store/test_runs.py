import os
from typing import Any

import pytest

from captiv.core.jobs import Counts, RunId, RunState, SessionId
from captiv.core.spec import Placement
from captiv.errors import UsageError
from captiv.store import Store, captions, ingest, jobs, lease, runs

from . import scene


def test_a_new_request_is_a_new_run(store: Store) -> None:
    spec = scene.request("/photos", recursive=True)

    run, resumed = store.write(runs.open_run, spec, 5)

    assert not resumed
    assert run.spec == spec
    assert (run.state, run.scanned, run.created_ms) == ("active", False, 5)
    assert run.counts == Counts()


def test_the_same_request_goes_on_with_an_unfinished_run(store: Store) -> None:
    run = scene.enqueue(store, 3)

    again, resumed = store.write(runs.open_run, scene.request(), scene.NOW)

    assert resumed
    assert (again.id, again.counts.pending) == (run.id, 3)


def test_a_run_that_goes_on_takes_the_new_placement(store: Store) -> None:
    store.write(runs.open_run, scene.request(), 1)
    elsewhere = Placement(kind="url", url="https://box.example")

    run, _ = store.write(runs.open_run, scene.request(placement=elsewhere), 2)

    assert (run.spec.placement, run.created_ms) == (elsewhere, 1)


def test_a_run_that_goes_on_keeps_the_quality_that_it_began_with(store: Store) -> None:
    low, high = (scene.request().model_copy(update={"image_quality": q}) for q in ("low", "high"))
    store.write(runs.open_run, low, 1)

    run, resumed = store.write(runs.open_run, high, 2)

    assert resumed
    assert run.spec.image_quality == "low"


@pytest.mark.parametrize(
    ("before", "now", "said", "cap"),
    [
        ("2", None, False, "2"),
        ("2", "5", False, "2"),
        ("2", "5", True, "5"),
        ("2", None, True, None),
        (None, "5", False, "5"),
    ],
)
def test_a_run_that_goes_on_keeps_its_cap_unless_another_is_said(
    store: Store, before: str | None, now: str | None, said: bool, cap: str | None
) -> None:
    rented = Placement(kind="rented", provider="runpod")
    first = rented.model_copy(update={"max_cost_usd": before})
    then = rented.model_copy(update={"max_cost_usd": now, "max_cost_said": said})
    store.write(runs.open_run, scene.request(placement=first), 1)

    run, resumed = store.write(runs.open_run, scene.request(placement=then), 2)

    assert resumed
    assert run.spec.placement.max_cost_usd == cap


@pytest.mark.parametrize(
    ("selection", "scanned"), [({}, False), ({"overwrite": "yes"}, True), ({"limit": 9}, True)]
)
def test_only_a_fixed_set_of_images_is_not_scanned_again(
    store: Store, selection: Any, scanned: bool
) -> None:
    scene.enqueue(store, 3, scene.request(**selection))

    run, _ = store.write(runs.open_run, scene.request(**selection), scene.NOW)

    assert run.scanned is scanned


@pytest.mark.parametrize("end", ["finish", "cancel"])
def test_after_an_ended_run_the_same_request_is_a_new_one(store: Store, end: str) -> None:
    run = scene.enqueue(store, 0)
    if end == "finish":
        store.write(runs.finish_if_complete, run.id, scene.NOW)
    else:
        store.write(runs.set_aside, run.id, scene.NOW)

    again, resumed = store.write(runs.open_run, scene.request(), scene.NOW)

    assert not resumed
    assert again.id != run.id


@pytest.mark.parametrize(
    ("before", "now", "scanned"),
    [(9, 9, True), (9, 5, True), (9, 12, False), (9, None, False), (None, 9, True)],
)
def test_a_higher_limit_looks_for_more_images(
    store: Store, before: int | None, now: int | None, scanned: bool
) -> None:
    run = scene.enqueue(store, 3, scene.request(limit=before))

    again, resumed = store.write(runs.open_run, scene.request(limit=now), scene.NOW)

    assert (again.id, resumed) == (run.id, True)
    assert again.spec.selection.limit == now
    assert again.scanned is scanned


def test_a_limit_that_the_rest_of_an_unfinished_run_exceeds_is_refused(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 5)
    claimed = scene.claim(store, run, session, 3)
    scene.receive(store, claimed[:2])

    with pytest.raises(UsageError, match="3 images") as caught:
        store.write(runs.open_run, scene.request(limit=2), scene.NOW)

    assert f"queue cancel {run.id}" in (caught.value.hint or "")
    assert store.read(runs.get, run.id).spec.selection.limit is None
    again, resumed = store.write(runs.open_run, scene.request(limit=3), scene.NOW)
    assert (again.id, resumed) == (run.id, True), "what was received costs nothing more"


def test_roots_of_any_bytes_survive(store: Store) -> None:
    spec = scene.request(os.fsdecode(b"/caf\xe9"))

    run, _ = store.write(runs.open_run, spec, 1)
    again, resumed = store.write(runs.open_run, spec, 2)

    assert run.spec.selection.roots == (os.fsdecode(b"/caf\xe9"),)
    assert resumed
    assert again.id == run.id


def test_a_run_that_is_not_there_is_said_so(store: Store) -> None:
    with pytest.raises(UsageError, match="no run 7"):
        store.read(runs.get, RunId(7))

    assert store.read(runs.find, RunId(7)) is None


def test_runs_are_listed_newest_first_by_pages(store: Store) -> None:
    made = [scene.enqueue(store, 0, scene.request(f"/p/{i}")).id for i in range(5)]

    first = store.read(runs.page, None, 2)
    rest = store.read(runs.page, first[-1].id, 10)

    assert [run.id for run in (*first, *rest)] == made[::-1]


def test_active_runs_are_those_not_ended(store: Store) -> None:
    finished = scene.enqueue(store, 0, scene.request("/a"))
    cancelled = scene.enqueue(store, 1, scene.request("/b"))
    left = scene.enqueue(store, 1, scene.request("/c"))
    store.write(runs.finish_if_complete, finished.id, scene.NOW)
    store.write(runs.set_aside, cancelled.id, scene.NOW)

    assert [run.id for run in store.read(runs.active)] == [left.id]


@pytest.mark.parametrize(
    ("mine", "recursive", "other", "deep", "shared"),
    [
        ("/p", False, "/p", False, True),
        ("/p/x.jpg", False, "/p", False, True),
        ("/p", False, "/p/x.jpg", False, True),
        ("/p", True, "/p/a/b", False, True),
        ("/p/a/b", False, "/p", True, True),
        ("/p/a/b", True, "/p", False, False),
        ("/p", False, "/p/a/b", True, False),
        ("/p", True, "/pictures", True, False),
        ("/p/a", True, "/p/b", True, False),
    ],
)
def test_unfinished_runs_over_the_same_folders_are_found(
    store: Store, mine: str, recursive: bool, other: str, deep: bool, shared: bool
) -> None:
    run = scene.enqueue(store, 1, scene.request(other, model="joy", recursive=deep))

    found = store.read(runs.overlapping, scene.request("/elsewhere", mine, recursive=recursive))

    assert [r.id for r in found] == ([run.id] if shared else [])


def test_the_same_request_and_ended_runs_do_not_overlap(store: Store) -> None:
    scene.enqueue(store, 1)
    ended = scene.enqueue(store, 0, scene.request(model="joy"))
    store.write(runs.finish_if_complete, ended.id, scene.NOW)

    assert store.read(runs.overlapping, scene.request()) == []


def test_a_run_takes_the_place_of_those_of_which_nothing_was_done(
    store: Store, session: SessionId
) -> None:
    untouched = scene.enqueue(store, 2, scene.request(model="joy"))
    begun = scene.enqueue(store, 2, scene.request(model="git"))
    scene.receive(store, scene.claim(store, begun, session, 1))
    wanted = scene.enqueue(store, 2, scene.request(model="kosmos"))
    store.write(runs.want, wanted.id, session, scene.NOW)
    elsewhere = scene.enqueue(store, 2, scene.request("/elsewhere", model="joy"))
    run, _ = store.write(runs.open_run, scene.request(), scene.NOW)

    others = store.write(runs.supersede, run, scene.NOW + 1)

    assert [other.id for other in others] == [begun.id, wanted.id]
    assert store.read(runs.get, untouched.id).state is RunState.CANCELLED
    assert store.read(runs.get, elsewhere.id).state is RunState.ACTIVE
    assert store.read(runs.check_counts) == []


def test_what_a_dead_dispatcher_wanted_is_wanted_by_nobody(store: Store) -> None:
    dead = store.write(lease.begin_session, 1, "here", "dispatcher", scene.NOW)
    left = scene.enqueue(store, 2, scene.request(model="joy"))
    store.write(runs.want, left.id, dead, scene.NOW)
    store.write(jobs.claim, left.id, 1, dead, scene.NOW)
    run, _ = store.write(runs.open_run, scene.request(), scene.NOW)

    assert len(store.write(runs.supersede, run, scene.NOW + 1)) == 1
    assert store.write(runs.supersede, run, scene.NOW + 1, leaderless=True) == []
    assert store.read(runs.check_counts) == []


def test_a_run_is_active_for_a_person_only_while_somebody_works_on_it(store: Store) -> None:
    run = scene.enqueue(store, 1)

    assert run.standing({run.id}) == "active"
    assert run.standing(()) == "unfinished"
    store.write(runs.set_aside, run.id, scene.NOW)
    assert store.read(runs.get, run.id).standing({run.id}) == "cancelled"


def test_wanted_runs_come_by_priority_then_the_small_then_by_age(
    store: Store, session: SessionId
) -> None:
    def run(name: str, n: int, *, scanned: bool = True) -> int:
        opened, _ = store.write(runs.open_run, scene.request(name), 1)
        store.write(ingest.add_jobs, opened.id, scene.places(n), 1)
        if scanned:
            store.write(ingest.mark_scanned, opened.id)
        store.write(runs.want, opened.id, session, 100)
        return opened.id

    large = run("/large", 21)
    unknown = run("/unknown", 1, scanned=False)
    small = run("/small", 20)
    small_too = run("/small too", 1)
    urgent = run("/urgent", 50)
    store.write(lambda conn: conn.execute("UPDATE runs SET priority=1 WHERE id=?", (urgent,)))

    found = [r.id for r in store.read(runs.wanted, 100)]

    assert found == [urgent, small, small_too, large, unknown]


def test_only_what_a_living_process_wants_is_served(store: Store, session: SessionId) -> None:
    unwanted, old, ended, fresh = (
        scene.enqueue(store, 1, scene.request(f"/{name}")) for name in "abcd"
    )
    assert unwanted.counts.pending == 1
    store.write(runs.want, old.id, session, 99)
    for run in (ended, fresh):
        store.write(runs.want, run.id, session, 100)
    store.write(runs.set_aside, ended.id, scene.NOW)

    assert [run.id for run in store.read(runs.wanted, 100)] == [fresh.id]


def test_a_run_is_finished_when_it_is_scanned_and_nothing_is_open(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1, scanned=False)

    def finished() -> bool:
        return store.write(runs.finish_if_complete, run.id, 77)

    assert not finished()
    claimed = scene.claim(store, run, session)
    store.write(ingest.mark_scanned, run.id)
    assert not finished()
    unwritten = scene.receive(store, claimed)
    assert not finished()
    scene.finish(store, unwritten)
    assert finished()
    assert not finished()

    ended = store.read(runs.get, run.id)
    assert (ended.state, ended.finished_ms) == (RunState.FINISHED, 77)


def test_a_run_that_is_still_scanned_is_not_finished(store: Store) -> None:
    run = scene.enqueue(store, 0, scanned=False)

    assert not store.write(runs.finish_if_complete, run.id, scene.NOW)


def test_a_run_whose_images_failed_is_finished_too(store: Store) -> None:
    run = scene.enqueue(store, 0)
    store.write(
        ingest.add_failed, run.id, [(scene.place("/photos/x"), "image", "Empty.")], scene.NOW
    )

    assert store.write(runs.finish_if_complete, run.id, scene.NOW)


def test_wrong_counters_are_found_and_set_right(store: Store, session: SessionId) -> None:
    scene.enqueue(store, 2, scene.request("/right"))
    run = scene.enqueue(store, 3)
    scene.claim(store, run, session, 1)
    store.write(ingest.add_kept, run.id, [scene.place("/photos/k")], scene.NOW)
    store.write(ingest.set_passed_over, run.id, 4, {})
    right = store.read(runs.get, run.id).counts
    store.write(
        lambda conn: conn.execute("UPDATE runs SET pending=9, kept=0 WHERE id=?", (run.id,))
    )

    ((found, should_be),) = store.read(runs.check_counts)
    assert (found.id, should_be) == (run.id, right)

    assert store.write(runs.recount, run.id) == right
    assert store.read(runs.check_counts) == []


def test_clearing_removes_ended_runs_and_leaves_captions(store: Store, session: SessionId) -> None:
    done = scene.enqueue(store, 2)
    scene.finish(store, scene.receive(store, scene.claim(store, done, session)))
    store.write(runs.finish_if_complete, done.id, scene.NOW)
    active = scene.enqueue(store, 1, scene.request("/more"))

    assert store.write(runs.clear) == 1

    assert [run.id for run in store.read(runs.page, None, 9)] == [active.id]
    assert scene.rows(store, done) == []
    assert store.read(captions.has_any, scene.places(1)[0])


def test_clearing_one_run_leaves_the_others(store: Store) -> None:
    one, other = (scene.enqueue(store, 1, scene.request(name)) for name in ("/a", "/b"))
    for run in (one, other):
        store.write(runs.set_aside, run.id, scene.NOW)

    assert store.write(runs.clear, one.id) == 1

    assert [run.id for run in store.read(runs.page, None, 9)] == [other.id]


def test_a_cancelled_run_with_something_open_is_not_cleared(
    store: Store, session: SessionId
) -> None:
    running = scene.enqueue(store, 1)
    scene.claim(store, running, session)
    captioned = scene.enqueue(store, 1, scene.request("/more"))
    scene.receive(store, scene.claim(store, captioned, session))
    for run in (running, captioned):
        store.write(jobs.cancel, run.id, scene.NOW)

    assert store.write(runs.clear) == 0


def test_numbers_of_runs_are_not_used_again(store: Store) -> None:
    run = scene.enqueue(store, 1)
    store.write(runs.set_aside, run.id, scene.NOW)
    store.write(runs.clear)

    assert scene.enqueue(store, 1).id > run.id
