"""Failures of before: who is told of them, and which are tried again."""

import sqlite3
from contextlib import closing
from pathlib import Path

from captiv.core.jobs import Failure, JobId, PastFailure, Run, RunId, SessionId, Stamp
from captiv.store import Store, ingest, jobs, past, runs

from . import released, scene

FILE = Stamp(7, 1_700_000_000_123_456_789)


def failed(
    store: Store, session: SessionId, n: int = 1, code: str = "degenerate", **asked: object
) -> Run:
    """A run of which every image failed."""
    run = scene.enqueue(store, n, scene.request(**asked))  # type: ignore[arg-type]
    claimed = scene.claim(store, run, session)
    failures = [Failure(job, code, "Because.", "dog dog", file=FILE) for job in claimed]
    store.write(jobs.fail, failures, scene.NOW)
    return run


def test_a_failure_keeps_what_was_tried(store: Store, session: SessionId) -> None:
    run = failed(store, session)

    ((job,),) = store.read(past.standing, RunId(9), scene.places(3)).values()

    assert job.failure == PastFailure("degenerate", FILE, run.spec.asked())
    assert (job.place, job.reason, job.text) == (scene.places(1)[0], "Because.", "dog dog")


def test_a_failure_stands_in_other_runs_until_a_text_comes(
    store: Store, session: SessionId
) -> None:
    run = failed(store, session)
    other = scene.enqueue(store, 1, scene.request(model="joy"))
    places = scene.places(1)

    assert list(store.read(past.standing, other.id, places)) == places
    assert store.read(past.standing, run.id, places) == {}

    scene.receive(store, scene.claim(store, other, session))

    assert store.read(past.standing, RunId(9), places) == {}


def test_an_untried_image_fails_at_the_time_of_its_failure(
    store: Store, session: SessionId
) -> None:
    failed(store, session, 2)
    run = scene.enqueue(store, 1, scene.request(model="joy"))
    jobs_ = [
        job
        for standing in store.read(past.standing, run.id, scene.places(2)).values()
        for job in standing
    ]

    added = store.write(past.add_untried, run.id, jobs_, scene.NOW + 5)

    assert added == 1, "the other one is a job already"
    assert scene.states(store, run) == ["pending", "failed"]
    assert scene.counts(store, run.id).failed == 1
    assert store.read(past.failed_before, run.id, scene.NOW + 1) == 1
    assert store.read(past.failed_before, run.id, scene.NOW) == 0


def test_failures_are_revived_behind_the_others_and_up_to_the_limit(
    store: Store, session: SessionId
) -> None:
    run = failed(store, session, 3)
    store.write(ingest.add_jobs, run.id, scene.places(4), scene.NOW)
    ids = [job.id for job in store.read(past.page, run.id, JobId(0), 9)]

    assert store.write(past.revive, run.id, ids, 3) == 2

    assert scene.states(store, run) == ["pending", "pending", "failed", "pending"]
    assert scene.counts(store, run.id).promised == 3
    last, one, two, *_ = [*scene.paths(4)[3:], *scene.paths(2)]
    assert [job.path for job in scene.claim(store, run, session)] == [last, one, two]


def test_an_ended_run_revives_nothing(store: Store, session: SessionId) -> None:
    run = failed(store, session)
    store.write(runs.finish_if_complete, run.id, scene.NOW)

    assert store.write(past.revive, run.id, [JobId(1)], None) == 0
    assert store.write(past.forget_refused, run.id) == 0


def test_what_a_scan_refused_is_forgotten_and_nothing_else(
    store: Store, session: SessionId
) -> None:
    run = failed(store, session)
    refused = [(scene.place("/photos/x.jpg"), "sidecar_shared", "Shared.")]
    store.write(ingest.add_failed, run.id, refused, scene.NOW)

    assert store.write(past.forget_refused, run.id) == 1

    assert [row.error_code for row in scene.rows(store, run)] == ["degenerate"]
    assert scene.counts(store, run.id).failed == 1


def test_what_was_given_back_after_a_failure_is_claimed_after_the_others(
    store: Store, session: SessionId
) -> None:
    run = scene.enqueue(store, 3)
    one, two = scene.claim(store, run, session, 2)

    store.write(jobs.release, [one, two], postponed={one.id})

    assert [job.id for job in scene.claim(store, run, session)] == [2, 3, 1]


def test_a_failure_of_an_older_table_is_of_an_unknown_file(tmp_path: Path) -> None:
    path = tmp_path / "captiv.db"
    with closing(released.empty("0007", path)) as conn, conn:
        _fill(conn)

    with Store.open(path, holder=True) as store:
        (job,) = store.read(past.page, RunId(1), JobId(0), 9)
        assert job.failure == PastFailure("image_unreadable", None, None)
        assert store.write(past.revive, RunId(1), [job.id], None) == 1
        assert scene.counts(store, RunId(1)).pending == 1
        assert scene.integrity(store) == "ok"


def _fill(conn: sqlite3.Connection) -> None:
    spec = scene.request().model_dump_json()
    conn.execute(
        "INSERT INTO runs (id, fingerprint, spec, created_ms, scanned, failed)"
        " VALUES (1, 'f', ?, 1, 1, 1)",
        (spec,),
    )
    conn.execute(
        "INSERT INTO jobs (run_id, path, sidecar, state, attempt, error_code, error, created_ms,"
        " finished_ms) VALUES (1, '/a.jpg', '/a.txt', 'failed', 1, 'image_unreadable', 'x', 1, 2)"
    )
