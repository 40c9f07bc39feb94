"""Migration 0006: whose sidecar a text and a job of before are, and what a run is known by."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from captiv.core.jobs import JobId, JobState, RunId, RunState
from captiv.core.naming import Place
from captiv.core.spec import Output, RunSpec
from captiv.store import Store, captions, jobs, runs
from captiv.store.texts import encode_path

from . import released, scene

A, B = "/p/a.jpg", "/p/b.jpg"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "captiv.db"


@pytest.fixture
def old(path: Path) -> Iterator[sqlite3.Connection]:
    """A job table of before."""
    with closing(released.empty("0005", path)) as conn:
        yield conn


def _run(conn: sqlite3.Connection, spec: RunSpec, *, state: str = "active") -> int:
    """A run as it was before: known by a fingerprint of its own."""
    cursor = conn.execute(
        "INSERT INTO runs (fingerprint, spec, state, created_ms, finished_ms, scanned)"
        " VALUES ('old ' || (SELECT count(*) FROM runs), ?, ?, 1, ?, 1)",
        (json.dumps(spec.model_dump(mode="json")), state, None if state == "active" else 1),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _job(conn: sqlite3.Connection, run: int, image: str) -> int:
    cursor = conn.execute(
        "INSERT INTO jobs (run_id, path, created_ms) VALUES (?, ?, 1)", (run, encode_path(image))
    )
    conn.execute("UPDATE runs SET pending=pending+1 WHERE id=?", (run,))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _text(
    conn: sqlite3.Connection,
    image: str,
    text: str,
    run: int | None = None,
    before: int | None = None,
) -> int:
    source = "hand" if run is None else "model"
    model, job = (None, None) if run is None else ("blip", 999)
    cursor = conn.execute(
        "INSERT INTO captions (path, text, hash, source, run_id, job_id, model, created_ms,"
        " before_id) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
        (encode_path(image), text, text, source, run, job, model, before),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _upgraded(conn: sqlite3.Connection, path: Path) -> Store:
    conn.commit()
    conn.close()
    return Store.open(path, holder=True)


def _writing(extension: str, *roots: str) -> RunSpec:
    return scene.request(*roots).model_copy(update={"output": Output(extension=extension)})


def _sidecars(store: Store) -> dict[str, str]:
    """Which file each text is of, with the name of the image cut off."""
    rows = store.read(lambda c: c.execute("SELECT text, sidecar FROM captions").fetchall())
    return {text: file.removeprefix("/p/") for text, file in rows}


def test_a_model_wrote_where_its_run_writes(old: sqlite3.Connection, path: Path) -> None:
    full = scene.request().model_copy(update={"output": Output(naming="full")})
    _text(old, A, "in .txt", _run(old, _writing(".txt", "/1")))
    _text(old, A, "in .caption", _run(old, _writing(".caption", "/2")))
    _text(old, A, "in .jpg.txt", _run(old, full))

    with _upgraded(old, path) as store:
        assert _sidecars(store) == {
            "in .txt": "a.txt",
            "in .caption": "a.caption",
            "in .jpg.txt": "a.jpg.txt",
        }


def test_a_text_that_was_found_is_of_the_file_that_it_was_found_in(
    old: sqlite3.Connection, path: Path
) -> None:
    _text(old, A, "in .txt", _run(old, _writing(".txt", "/1")))
    new = _text(old, A, "in .caption", _run(old, _writing(".caption", "/2")))
    _text(old, A, "found", before=new)

    with _upgraded(old, path) as store:
        assert _sidecars(store)["found"] == "a.caption"


def test_an_edit_says_which_file_it_was_of(old: sqlite3.Connection, path: Path) -> None:
    ours = _text(old, A, "was")
    new = _text(old, A, "is")
    old.execute("INSERT INTO edits (what, created_ms) VALUES ('x', 1)")
    old.execute(
        "INSERT INTO edit_changes (edit_id, sidecar, old_id, new_id) VALUES (1, '/p/a.x', ?, ?)",
        (ours, new),
    )

    with _upgraded(old, path) as store:
        assert _sidecars(store) == {"was": "a.x", "is": "a.x"}


def test_a_persons_text_is_where_all_else_of_the_image_is(
    old: sqlite3.Connection, path: Path
) -> None:
    run = _run(old, _writing(".caption"))
    _text(old, A, "of the run", run)
    _text(old, A, "by hand")
    _job(old, run, B)
    _text(old, B, "by hand, of an image with no more than a job")

    with _upgraded(old, path) as store:
        assert _sidecars(store) == {
            "of the run": "a.caption",
            "by hand": "a.caption",
            "by hand, of an image with no more than a job": "b.caption",
        }


def test_a_persons_text_that_nothing_tells_of_is_the_txt(
    old: sqlite3.Connection, path: Path
) -> None:
    _text(old, A, "in .caption", _run(old, _writing(".caption", "/1")))
    _text(old, A, "in .text", _run(old, _writing(".text", "/2")))
    _text(old, A, "by hand, beside two")
    _text(old, B, "by hand, alone")
    _text(old, "/p/c.jpg", "of a run that was cleared", 12345)

    with _upgraded(old, path) as store:
        found = _sidecars(store)
        assert found["by hand, beside two"] == "a.txt"
        assert found["by hand, alone"] == "b.txt"
        assert found["of a run that was cleared"] == "c.txt"


@pytest.mark.parametrize("image", ["/p/caf\udce9.jpg", "escaped:%41.jpg"])
def test_a_name_of_any_bytes_keeps_its_sidecar(
    old: sqlite3.Connection, path: Path, image: str
) -> None:
    run = _run(old, _writing(".caption"))
    _job(old, run, image)
    _text(old, image, "one", run)

    with _upgraded(old, path) as store:
        place = Place(image, image.replace(".jpg", ".caption"))
        (row,) = store.read(jobs.page, RunId(run), None, JobId(0), 9)
        assert row.place == place
        assert [text.text for text in store.read(captions.history, place)] == ["one"]


def test_ids_of_jobs_that_are_gone_are_not_used_again(old: sqlite3.Connection, path: Path) -> None:
    run = _run(old, scene.request())
    ids = [_job(old, run, image) for image in (A, B)]
    old.execute("DELETE FROM jobs")
    old.execute("UPDATE runs SET pending=0")

    with _upgraded(old, path) as store:
        again = scene.enqueue(store, 1, scene.request("/other"))
        assert [row.id for row in scene.rows(store, again)] == [max(ids) + 1]


def test_a_table_without_a_job_stays_one(old: sqlite3.Connection, path: Path) -> None:
    with _upgraded(old, path) as store:
        assert [row.id for row in scene.rows(store, scene.enqueue(store, 1))] == [1]


def test_texts_cannot_be_changed_afterwards_either(old: sqlite3.Connection, path: Path) -> None:
    _text(old, A, "one")

    with _upgraded(old, path) as store:
        triggers = store.read(
            lambda c: c.execute("SELECT name FROM sqlite_schema WHERE type='trigger'").fetchall()
        )
    assert sorted(triggers) == [("captions_are_not_changed",), ("captions_are_not_deleted",)]


@pytest.mark.parametrize(
    ("limits", "winner"),
    [
        ([None, 5], 0),
        ([5, None], 1),
        ([7, 5], 0),
        ([5, 7], 1),
        ([5, None, 7], 1),
    ],
)
def test_of_unfinished_runs_that_ask_for_the_same_the_largest_goes_on(
    old: sqlite3.Connection, path: Path, limits: list[int | None], winner: int
) -> None:
    specs = [scene.request(limit=limit) for limit in limits]
    ids = [_run(old, spec) for spec in specs]
    for run in ids:
        _job(old, run, A)

    with _upgraded(old, path) as store:
        opened, resumed = store.write(runs.open_run, scene.request(), scene.NOW)
        assert (opened.id, resumed) == (ids[winner], True)


def test_of_equals_the_younger_goes_on(old: sqlite3.Connection, path: Path) -> None:
    """A version before had fewer options, and so another fingerprint for the same."""
    ids = [_run(old, scene.request()) for _ in range(2)]

    with _upgraded(old, path) as store:
        opened, _ = store.write(runs.open_run, scene.request(), scene.NOW)
        assert opened.id == ids[1]


def test_a_run_that_another_goes_before_loses_nothing(old: sqlite3.Connection, path: Path) -> None:
    limited, whole = (_run(old, scene.request(limit=limit)) for limit in (5, None))
    _job(old, limited, A)

    with _upgraded(old, path) as store:
        run = store.read(runs.get, RunId(limited))
        assert (run.state, run.counts.pending) == (RunState.ACTIVE, 1)
        assert [r.id for r in store.read(runs.overlapping, scene.request())] == [limited]
        session = scene.another_session(store)
        assert store.write(jobs.retry, run.id) == 0
        unwritten = scene.receive(store, scene.claim(store, run, session))
        assert scene.finish(store, unwritten) == 1
        assert store.write(runs.finish_if_complete, run.id, scene.NOW)
        assert store.read(runs.get, RunId(whole)).state is RunState.ACTIVE


def test_an_ended_run_that_is_tried_again_is_gone_on_with(
    old: sqlite3.Connection, path: Path
) -> None:
    run = _run(old, scene.request(), state="finished")
    old.execute(
        "INSERT INTO jobs (run_id, path, state, error_code, error, created_ms, finished_ms)"
        " VALUES (?, ?, 'failed', 'x', 'y', 1, 1)",
        (run, A),
    )
    old.execute("UPDATE runs SET failed=1")

    with _upgraded(old, path) as store:
        assert store.write(jobs.retry, RunId(run)) == 1
        opened, resumed = store.write(runs.open_run, scene.request(), scene.NOW)
        assert (opened.id, resumed) == (run, True)
        assert [row.state for row in scene.rows(store, opened)] == [JobState.PENDING]
