import os

import pytest

from captiv.core.jobs import SessionId
from captiv.core.naming import Place
from captiv.store import Store, ingest, jobs, runs

from . import scene


def test_new_images_are_pending_in_their_order(store: Store) -> None:
    run = scene.enqueue(store, 3)

    assert [row.path for row in scene.rows(store, run)] == scene.paths(3)
    assert scene.states(store, run) == ["pending"] * 3
    assert scene.counts(store, run.id).pending == 3


def test_an_image_is_a_job_once_however_often_it_is_scanned(store: Store) -> None:
    run = scene.enqueue(store, 3)

    assert store.write(ingest.add_jobs, run.id, scene.places(5), scene.NOW) == 2
    assert store.write(ingest.add_kept, run.id, scene.places(5), scene.NOW) == 0
    refused = [(place, "image_unreadable", "Empty.") for place in scene.places(5)]
    assert store.write(ingest.add_failed, run.id, refused, scene.NOW) == 0
    assert scene.counts(store, run.id).pending == 5


def test_an_image_has_a_job_for_each_of_its_sidecars(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 1)
    one = scene.places(1)[0]
    other = Place(one.image, "/elsewhere/000000.caption")

    before = store.read(ingest.known, run.id, [other])
    added = store.write(ingest.add_jobs, run.id, [one, other, other], scene.NOW)

    assert (before, added) == (set(), 1)
    assert store.read(ingest.known, run.id, [one, other]) == {one, other}
    assert [job.place for job in scene.claim(store, run, session)] == [one, other]


def test_runs_may_have_the_same_image(store: Store) -> None:
    scene.enqueue(store, 3)

    other = scene.enqueue(store, 3, scene.request(model="joy"))

    assert scene.counts(store, other.id).pending == 3


def test_a_path_of_any_bytes_survives(store: Store, session: SessionId) -> None:
    path = os.fsdecode(b"/photos/caf\xe9\n.jpg")
    run = scene.enqueue(store, 0)
    store.write(ingest.add_jobs, run.id, [scene.place(path)], scene.NOW)

    (job,) = scene.claim(store, run, session)

    assert job.place == scene.place(path)
    assert store.read(ingest.known, run.id, [job.place]) == {job.place}


def test_no_images_are_no_matter(store: Store) -> None:
    run = scene.enqueue(store, 0)

    assert store.write(ingest.add_jobs, run.id, [], scene.NOW) == 0
    assert store.write(ingest.add_kept, run.id, [], scene.NOW) == 0
    assert store.write(ingest.add_failed, run.id, [], scene.NOW) == 0
    assert store.read(ingest.known, run.id, []) == set()


def test_the_limit_counts_captions_and_neither_kept_nor_failed_images(store: Store) -> None:
    run = scene.enqueue(store, 0)
    store.write(ingest.add_kept, run.id, [scene.place("/photos/k")], scene.NOW)
    store.write(
        ingest.add_failed,
        run.id,
        [(scene.place("/photos/f"), "image_unreadable", "Empty.")],
        scene.NOW,
    )

    first = store.write(ingest.add_jobs, run.id, scene.places(2), scene.NOW, limit=4)
    again = store.write(ingest.add_jobs, run.id, scene.places(9), scene.NOW, limit=4)
    full = store.write(ingest.add_jobs, run.id, scene.places(9), scene.NOW, limit=4)

    assert (first, again, full) == (2, 2, 0)
    assert scene.counts(store, run.id).pending == 4


def test_refused_images_have_their_reason(store: Store) -> None:
    run = scene.enqueue(store, 0)
    reason = "Cannot open " + os.fsdecode(b"caf\xe9.jpg")

    store.write(
        ingest.add_failed,
        run.id,
        [(scene.place("/photos/f"), "image_unreadable", reason)],
        scene.NOW,
    )

    (row,) = scene.rows(store, run)
    assert (row.state, row.error_code, row.error) == (
        "failed",
        "image_unreadable",
        "Cannot open caf\\udce9.jpg",
    )
    assert scene.counts(store, run.id).failed == 1


def test_kept_images_are_done_with_a_note(store: Store) -> None:
    run = scene.enqueue(store, 0)

    store.write(ingest.add_kept, run.id, [scene.place("/photos/k")], scene.NOW)

    (row,) = scene.rows(store, run)
    assert (row.state, row.note) == ("done", "kept")
    counts = scene.counts(store, run.id)
    assert (counts.done, counts.kept) == (1, 1)


def test_a_scan_that_starts_over_does_not_count_the_skipped_twice(store: Store) -> None:
    run = scene.enqueue(store, 1)

    for seen in (10, 4):
        store.write(ingest.set_passed_over, run.id, seen, {"video": seen})

    assert scene.counts(store, run.id).skipped == 4
    assert store.read(runs.get, run.id).unread == {"video": 4}


def test_known_images_are_jobs_in_any_state(store: Store, session: SessionId) -> None:
    run = scene.enqueue(store, 3)
    scene.claim(store, run, session, 1)

    known = store.read(ingest.known, run.id, [scene.place("/other"), *scene.places(2)])

    assert known == set(scene.places(2))


def test_a_run_is_scanned_when_it_is_said_to_be(store: Store) -> None:
    run = scene.enqueue(store, 1, scanned=False)
    assert not run.scanned

    store.write(ingest.mark_scanned, run.id)

    assert store.read(runs.get, run.id).scanned


@pytest.mark.parametrize("end", ["cancel", "finish"])
def test_an_ended_run_takes_nothing_more(store: Store, end: str) -> None:
    run = scene.enqueue(store, 0)
    if end == "cancel":
        store.write(jobs.cancel, run.id, scene.NOW)
    else:
        assert store.write(runs.finish_if_complete, run.id, scene.NOW)

    added = store.write(ingest.add_jobs, run.id, scene.places(2), scene.NOW)
    kept = store.write(ingest.add_kept, run.id, scene.places(2), scene.NOW)
    failed = store.write(ingest.add_failed, run.id, [(scene.place("/f"), "image", "x")], scene.NOW)

    assert (added, kept, failed) == (0, 0, 0)
    assert scene.counts(store, run.id).total == 0


@pytest.mark.slow
def test_two_hundred_thousand_images_are_enqueued(store: Store) -> None:
    run = scene.enqueue(store, 0)
    every = scene.places(200_000)

    for i in range(0, len(every), 10_000):
        store.write(ingest.add_jobs, run.id, every[i : i + 10_000], scene.NOW)

    assert scene.counts(store, run.id).pending == 200_000
