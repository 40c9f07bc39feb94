import os
from collections.abc import Callable

import pytest

from captiv.core.jobs import Failure, Job, JobId, JobState, PastFailure, SessionId, Stamp
from captiv.errors import UsageError
from captiv.store import Store, captions, ingest, jobs, past, runs

from . import scene

Back = Callable[[Store, Job], object]


def _row(store: Store, job_id: JobId) -> tuple[object, ...]:
    """State, tries, crashes, suspect, session, finished."""
    return store.read(
        lambda conn: tuple(
            conn.execute(
                "SELECT state, tries, crashes, suspect, session_id, finished_ms FROM jobs"
                " WHERE id=?",
                (job_id,),
            ).fetchone()
        )
    )


def _fail(store: Store, job: Job, code: str = "image_unreadable", text: str | None = None) -> int:
    return store.write(jobs.fail, [Failure(job, code, "Because.", text)], scene.NOW)


# -- claim -----------------------------------------------------------------------------------------
def test_a_claim_takes_the_oldest_first(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 10)

    first, second = scene.claim(store, run, session, 4), scene.claim(store, run, session, 100)

    assert [job.path for job in (*first, *second)] == scene.paths(10)
    counts = scene.counts(store, run.id)
    assert (counts.pending, counts.running) == (0, 10)


def test_a_claim_is_of_one_run(store: Store, session: SessionId) -> None:
    scene.enqueue(store, 3)
    other = scene.enqueue(store, 2, scene.request(model="joy"))

    assert {job.run_id for job in scene.claim(store, other, session)} == {other.id}


def test_every_claim_is_another_attempt(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (first,) = scene.claim(store, run, session)
    store.write(jobs.release, [first])

    (second,) = scene.claim(store, run, session)

    assert (first.id, first.attempt, second.attempt) == (second.id, 1, 2)


def test_suspects_are_claimed_alone_and_only_as_suspects(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 3)
    claimed = scene.claim(store, run, session)
    store.write(jobs.release, claimed, suspects=[claimed[1].id, claimed[2].id])

    usual = scene.claim(store, run, session)
    suspect = store.write(jobs.claim_suspect, run.id, session, scene.NOW)

    assert [job.id for job in usual] == [claimed[0].id]
    assert suspect is not None
    assert (suspect.id, suspect.suspect) == (claimed[1].id, True)


def test_no_suspects_is_no_claim(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 3)

    assert store.write(jobs.claim_suspect, run.id, session, scene.NOW) is None


# -- what comes back -------------------------------------------------------------------------------
def test_a_received_caption_is_kept_with_how_it_came_about(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)

    (unwritten,) = scene.receive(store, [job], "a cat")

    assert (unwritten.job_id, unwritten.text, unwritten.path) == (job.id, "a cat", job.path)
    caption = store.read(captions.latest, job.place)
    assert caption is not None
    assert (caption.text, caption.source, caption.model, caption.job_id, caption.run_id) == (
        "a cat",
        "model",
        "blip",
        job.id,
        run.id,
    )
    assert scene.counts(store, run.id).captioned == 1


def test_a_written_caption_ends_its_job(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    unwritten = scene.receive(store, scene.claim(store, run, session))

    assert scene.finish(store, unwritten) == 2

    assert scene.states(store, run) == ["done", "done"]
    assert scene.counts(store, run.id).done == 2


def test_what_is_captioned_waits_for_its_file_by_pages(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 5)
    received = scene.receive(store, scene.claim(store, run, session))
    scene.finish(store, received[1:2])

    first = store.read(jobs.unwritten, run.id, JobId(0), 3)
    rest = store.read(jobs.unwritten, run.id, first[-1].job_id, 3)

    assert [*first, *rest] == [received[0], *received[2:]]


def test_a_text_that_is_no_text_is_kept_as_it_can_be_read(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)

    (unwritten,) = scene.receive(store, scene.claim(store, run, session), "a \udce9 dog")

    assert unwritten.text == "a \\udce9 dog"
    assert store.read(jobs.unwritten, run.id, JobId(0), 1) == [unwritten]


def test_a_failure_has_its_reason_and_its_answer(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)

    assert _fail(store, job, "degenerate", "dog dog dog") == 1

    (row,) = scene.rows(store, run)
    assert (row.state, row.error_code, row.error) == ("failed", "degenerate", "Because.")
    assert (row.text, row.tries, row.misses) == ("dog dog dog", 1, 1)
    assert (scene.counts(store, run.id).failed, scene.counts(store, run.id).misses) == (1, 1)
    assert store.read(captions.history, job.place) == [], "it is no caption"


@pytest.mark.parametrize("captioned", [False, True])
def test_a_kept_sidecar_ends_a_claimed_or_captioned_job(
    store: Store, session: SessionId, captioned: bool
) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    if captioned:
        scene.receive(store, [job])

    assert store.write(jobs.keep, [(job.id, job.attempt)], scene.NOW) == 1

    (row,) = scene.rows(store, run)
    assert (row.state, row.note) == ("done", "kept")
    counts = scene.counts(store, run.id)
    assert (counts.done, counts.kept) == (1, 1)
    assert store.read(captions.has_any, job.place) is captioned


def test_why_a_file_cannot_be_written_is_told_until_it_is(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (unwritten,) = scene.receive(store, scene.claim(store, run, session))
    refused = [(unwritten.job_id, unwritten.attempt, "sidecar_unwritable", "Read-only folder.")]

    assert store.write(jobs.note_unwritable, refused) == 1
    (row,) = scene.rows(store, run)
    assert (row.state, row.error_code, row.error) == (
        "captioned",
        "sidecar_unwritable",
        "Read-only folder.",
    )

    scene.finish(store, [unwritten])
    (row,) = scene.rows(store, run)
    assert (row.state, row.error_code) == ("done", None)


# -- the fence -------------------------------------------------------------------------------------
LATE: list[Callable[[Store, Job], object]] = [
    lambda store, job: len(scene.receive(store, [job])),
    lambda store, job: store.write(jobs.release, [job], suspects=[job.id]),
    lambda store, job: store.write(jobs.charge_try, job),
    lambda store, job: store.write(jobs.charge_crash, job, scene.NOW, limit=1),
    lambda store, job: store.write(jobs.keep, [(job.id, job.attempt)], scene.NOW),
    _fail,
]
NAMES = ["receive", "release", "charge_try", "charge_crash", "keep", "fail"]


@pytest.mark.parametrize("late", LATE, ids=NAMES)
def test_whoever_lost_a_job_cannot_move_it(store: Store, session: SessionId, late: Back) -> None:
    run = scene.enqueue(store, 1)
    (stale,) = scene.claim(store, run, session)
    other = scene.another_session(store)
    store.write(jobs.recover, other)
    (held,) = scene.claim(store, run, other)
    before = _row(store, held.id)

    assert not late(store, stale)

    assert _row(store, held.id) == before
    assert not store.read(captions.has_any, stale.place)
    assert scene.counts(store, run.id).running == 1


@pytest.mark.parametrize("late", LATE, ids=NAMES)
def test_an_ended_job_is_not_moved(store: Store, session: SessionId, late: Back) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    scene.finish(store, scene.receive(store, [job]))
    before = _row(store, job.id)

    assert not late(store, job)

    assert _row(store, job.id) == before
    assert scene.counts(store, run.id).done == 1


def test_a_stale_finish_is_refused(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    one, other = scene.receive(store, scene.claim(store, run, session))

    stale = [(one.job_id, one.attempt - 1), (other.job_id, other.attempt)]

    assert store.write(jobs.finish, stale, scene.NOW) == 1
    assert scene.states(store, run) == ["captioned", "done"]
    assert scene.counts(store, run.id).captioned == 1


def test_the_same_caption_is_received_once(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)

    received = store.write(jobs.receive, [scene.answer(job), scene.answer(job)], scene.NOW)

    assert len(received) == 1
    assert len(store.read(captions.history, job.place)) == 1


@pytest.mark.parametrize("late", LATE, ids=NAMES)
def test_jobs_of_a_cleared_run_are_gone_for_good(
    store: Store, session: SessionId, late: Back
) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    _fail(store, job)
    store.write(runs.finish_if_complete, run.id, scene.NOW)
    store.write(runs.clear)
    again = scene.enqueue(store, 1)
    (held,) = scene.claim(store, again, session)

    assert not late(store, job)
    assert held.id != job.id
    assert scene.counts(store, again.id).running == 1


# -- going back ------------------------------------------------------------------------------------
def test_an_interruption_is_not_charged(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    claimed = scene.claim(store, run, session)

    assert store.write(jobs.release, claimed) == 2

    assert _row(store, claimed[0].id) == ("pending", 0, 0, 0, None, None)
    assert scene.counts(store, run.id).pending == 2


def test_jobs_of_several_runs_are_released_together(store: Store, session: SessionId) -> None:
    one = scene.enqueue(store, 2)
    other = scene.enqueue(store, 3, scene.request(model="joy"))
    claimed = [*scene.claim(store, one, session), *scene.claim(store, other, session)]

    assert store.write(jobs.release, claimed) == 5
    assert scene.counts(store, one.id).pending == 2
    assert scene.counts(store, other.id).pending == 3


def test_a_suspect_that_is_interrupted_stays_one(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    store.write(jobs.release, [job], suspects={job.id})
    suspect = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
    assert suspect is not None

    store.write(jobs.release, [suspect])

    assert _row(store, job.id) == ("pending", 0, 0, 1, None, None)


def test_a_try_is_charged_and_clears_the_suspect(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    store.write(jobs.release, scene.claim(store, run, session), suspects={JobId(1)})
    suspect = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
    assert suspect is not None

    assert store.write(jobs.charge_try, suspect)

    assert _row(store, suspect.id) == ("pending", 1, 0, 0, None, None)
    assert [job.tries for job in scene.claim(store, run, session)] == [1]


def test_a_suspect_fails_at_the_limit_of_its_crashes(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)

    assert not store.write(jobs.charge_crash, job, scene.NOW, weight=1, limit=2)
    assert _row(store, job.id) == ("pending", 0, 1, 1, None, None)

    again = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
    assert again is not None
    assert again.crashes == 1
    assert store.write(jobs.charge_crash, again, scene.NOW, weight=1, limit=2)
    (row,) = scene.rows(store, run)
    assert (row.state, row.error_code, row.crashes) == ("failed", "image_crashes", 2)
    assert scene.counts(store, run.id).failed == 1


# -- cancel ----------------------------------------------------------------------------------------
def test_cancelling_ends_what_is_pending_and_leaves_what_is_running(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 3)
    scene.claim(store, run, session, 1)

    assert store.write(jobs.cancel, run.id, scene.NOW) == 2

    assert scene.states(store, run) == ["running", "cancelled", "cancelled"]
    assert store.read(runs.get, run.id).state == "cancelled"
    assert scene.counts(store, run.id).cancelled == 2


BACK: list[Back] = [
    lambda store, job: store.write(jobs.release, [job]),
    lambda store, job: store.write(jobs.charge_try, job),
    lambda store, job: store.write(jobs.charge_crash, job, scene.NOW),
    lambda store, job: store.write(jobs.recover, scene.another_session(store)),
]


@pytest.mark.parametrize("back", BACK, ids=["release", "charge_try", "charge_crash", "recover"])
def test_a_job_that_goes_back_to_a_cancelled_run_is_cancelled(
    store: Store, session: SessionId, back: Back
) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    store.write(jobs.cancel, run.id, scene.NOW)

    back(store, job)

    assert scene.states(store, run) == ["cancelled"]
    assert scene.counts(store, run.id).cancelled == 1


def test_a_caption_that_comes_after_the_cancelling_is_kept(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1)
    claimed = scene.claim(store, run, session)
    store.write(jobs.cancel, run.id, scene.NOW)

    assert scene.finish(store, scene.receive(store, claimed)) == 1

    assert scene.states(store, run) == ["done"]


def test_a_finished_run_is_not_cancelled(store: Store) -> None:
    run = scene.enqueue(store, 0)
    store.write(runs.finish_if_complete, run.id, scene.NOW)

    assert store.write(jobs.cancel, run.id, scene.NOW + 1) == 0

    assert store.read(runs.get, run.id).state == "finished"


# -- retry -----------------------------------------------------------------------------------------
def test_failed_and_cancelled_jobs_are_tried_again_from_scratch(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 3)
    (job,) = scene.claim(store, run, session, 1)
    store.write(jobs.charge_try, job)
    (job,) = scene.claim(store, run, session, 1)
    _fail(store, job, "degenerate", "dog dog")
    store.write(jobs.cancel, run.id, scene.NOW)

    assert store.write(jobs.retry, run.id) == 3

    assert _row(store, job.id) == ("pending", 2, 0, 0, None, None), "the next try is the third"
    assert store.read(runs.get, run.id).state == "active"
    assert scene.counts(store, run.id).pending == 3


def test_a_finished_run_with_failures_is_active_again(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    _fail(store, scene.claim(store, run, session)[0])
    assert store.write(runs.finish_if_complete, run.id, scene.NOW)

    assert store.write(jobs.retry, run.id) == 1

    again = store.read(runs.get, run.id)
    assert (again.state, again.finished_ms) == ("active", None)


def test_a_retry_by_code_leaves_the_others(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 4)
    one, other = scene.claim(store, run, session, 2)
    _fail(store, one, "degenerate")
    _fail(store, other, "image_missing")
    store.write(jobs.cancel, run.id, scene.NOW)

    assert store.write(jobs.retry, run.id, "image_missing") == 1

    assert scene.states(store, run) == ["failed", "pending", "cancelled", "cancelled"]
    scene.counts(store, run.id)


def test_a_retry_of_nothing_leaves_the_run_ended(store: Store) -> None:
    run = scene.enqueue(store, 0)
    store.write(runs.finish_if_complete, run.id, scene.NOW)

    assert store.write(jobs.retry, run.id) == 0

    assert store.read(runs.get, run.id).state == "finished"


def test_a_cancelled_run_goes_on_with_a_caption_that_has_no_file(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1)
    scene.receive(store, scene.claim(store, run, session))
    store.write(jobs.cancel, run.id, scene.NOW)

    assert store.write(jobs.retry, run.id) == 0

    assert store.read(runs.get, run.id).state == "active"


def test_what_crashed_is_still_tried_alone(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2)
    crashing, suspected = scene.claim(store, run, session)
    store.write(jobs.charge_crash, crashing, scene.NOW)
    again = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
    assert again is not None
    store.write(jobs.charge_crash, again, scene.NOW)
    store.write(jobs.release, [suspected], suspects={suspected.id})
    suspect = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
    assert suspect is not None
    _fail(store, suspect, "image_missing")

    store.write(jobs.retry, run.id)

    assert _row(store, crashing.id) == ("pending", 0, 0, 1, None, None)
    assert _row(store, suspected.id) == ("pending", 0, 0, 0, None, None)


def test_a_retry_beside_the_same_request_is_refused(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    _fail(store, scene.claim(store, run, session)[0])
    store.write(runs.finish_if_complete, run.id, scene.NOW)
    twin = scene.enqueue(store, 1)

    with pytest.raises(UsageError, match=f"run {twin.id}"):
        store.write(jobs.retry, run.id)

    assert scene.states(store, run) == ["failed"]


# -- recovery --------------------------------------------------------------------------------------
def test_recovery_takes_back_what_the_dead_had_claimed(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 4)
    dead = scene.claim(store, run, session, 3)
    scene.receive(store, dead[:1])
    mine = scene.another_session(store)
    (held,) = scene.claim(store, run, mine, 1)

    assert store.write(jobs.recover, mine, {dead[2].id, held.id}) == 2

    assert scene.states(store, run) == ["captioned", "pending", "pending", "running"]
    assert [_row(store, job.id)[3] for job in (*dead, held)] == [0, 0, 1, 0]
    scene.counts(store, run.id)


def test_an_image_over_which_captiv_dies_alone_again_and_again_fails_in_the_end(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session, 1)
    here = scene.another_session(store)
    store.write(jobs.charge_alone, here, {job.id: None}, scene.NOW)
    store.write(jobs.recover, here, {job.id})
    deaths = 0

    while scene.states(store, run) == ["pending"]:
        suspect = store.write(jobs.claim_suspect, run.id, session, scene.NOW)
        assert suspect is not None
        store.write(jobs.charge_alone, here, {suspect.id: Stamp(7, 9)}, scene.NOW)
        store.write(jobs.recover, here, {suspect.id})
        deaths += 1

    (failed,) = store.read(past.page, run.id, JobId(0), 9)
    assert failed.failure == PastFailure("image_crashes", Stamp(7, 9), run.spec.asked())
    assert deaths == 4
    scene.counts(store, run.id)


# -- lists -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", [None, *JobState])
def test_jobs_are_listed_by_pages_and_by_state(
    store: Store, session: SessionId, state: JobState | None
) -> None:
    run = scene.enqueue(store, 12)
    claimed = scene.claim(store, run, session, 8)
    received = scene.receive(store, claimed[:4])
    scene.finish(store, received[:2])
    for job in claimed[4:6]:
        _fail(store, job)
    every = scene.rows(store, run)

    first = store.read(jobs.page, run.id, state, JobId(0), 3)
    rest = store.read(jobs.page, run.id, state, first[-1].id if first else JobId(0), 100)

    assert [*first, *rest] == [row for row in every if state is None or row.state is state]
    assert len(first) <= 3


def test_failures_are_grouped_by_their_reason(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 3)
    for job, why in zip(scene.claim(store, run, session), ["Empty.", "Cut.", "Cut."], strict=True):
        store.write(jobs.fail, [Failure(job, "image_unreadable", why)], scene.NOW)

    assert store.read(jobs.failure_groups, run.id) == [
        ("image_unreadable", "Cut.", 2),
        ("image_unreadable", "Empty.", 1),
    ]


def test_a_reason_may_name_a_file_of_any_bytes(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    (job,) = scene.claim(store, run, session)
    name = os.fsdecode(b"caf\xe9")

    store.write(jobs.fail, [Failure(job, "image", name, name)], scene.NOW)

    assert scene.rows(store, run)[0].error == "caf\\udce9"


def test_ingest_goes_on_while_jobs_run(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 2, scanned=False)
    scene.claim(store, run, session)

    store.write(ingest.add_jobs, run.id, scene.places(4), scene.NOW)

    assert len(scene.claim(store, run, session)) == 2
