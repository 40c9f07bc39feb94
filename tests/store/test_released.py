"""What released versions left is there after the upgrade, and is gone on with."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from captiv.core.jobs import JobId, RunId, RunState
from captiv.core.spec import Output
from captiv.store import Store, captions, edits, jobs, pods, runs
from captiv.store.edits import EditId

from . import released, scene

GOING, RENTED = RunId(6), RunId(5)


@pytest.fixture(params=released.VERSIONS)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "captiv.db"
    released.restore(request.param, path, tmp_path)
    with Store.open(path, holder=True) as store:
        yield store


def test_every_release_that_was_is_kept() -> None:
    assert "0.2.0" in released.VERSIONS


def test_the_table_is_whole(upgraded: Store) -> None:
    broken = upgraded.read(lambda conn: conn.execute("PRAGMA foreign_key_check").fetchall())

    assert scene.integrity(upgraded) == "ok"
    assert broken == []
    assert upgraded.read(runs.check_counts) == []


def test_the_same_request_goes_on_with_every_unfinished_run(upgraded: Store) -> None:
    unfinished = upgraded.read(runs.active)

    opened = [upgraded.write(runs.open_run, run.spec, scene.NOW) for run in unfinished]

    assert [run.id for run in unfinished] == [RENTED, GOING]
    assert [(run.id, resumed) for run, resumed in opened] == [(RENTED, True), (GOING, True)]


def test_ended_runs_stay_ended_with_what_became_of_their_images(upgraded: Store) -> None:
    ended = [run for run in upgraded.read(runs.page, None, 10) if run.state is RunState.FINISHED]

    assert [(run.id, run.counts.done, run.counts.kept) for run in ended] == [
        (4, 2, 1),
        (3, 2, 0),
        (2, 2, 0),
        (1, 3, 0),
    ]


def test_every_image_of_a_killed_run_is_where_it_was(upgraded: Store, tmp_path: Path) -> None:
    run = upgraded.read(runs.get, GOING)
    rows = scene.rows(upgraded, run)

    assert [row.id for row in rows] == list(range(13, 49))
    assert [row.path for row in rows] == [str(tmp_path / f"going/g{n:02}.png") for n in range(36)]
    assert scene.states(upgraded, run) == [
        *("failed", "captioned", "done"),
        *["running"] * 29,
        *["pending"] * 4,
    ]
    assert rows[0].error_code == "image_unreadable"
    assert rows[1].error == f"cannot write {tmp_path}/going/g01.txt: a folder has that name"


def test_what_was_received_without_a_file_waits_for_it(upgraded: Store, tmp_path: Path) -> None:
    (waiting,) = upgraded.read(jobs.unwritten, GOING, JobId(0), 9)

    assert (waiting.path, waiting.text) == (
        str(tmp_path / "going/g01.png"),
        "picture cb27307a, mostly black",
    )
    assert waiting.sidecar == str(tmp_path / "going/g01.txt")


def test_a_new_dispatcher_takes_over_what_was_running(upgraded: Store) -> None:
    session = scene.another_session(upgraded)

    assert upgraded.write(jobs.recover, session) == 29

    run = upgraded.read(runs.get, GOING)
    claimed = scene.claim(upgraded, run, session)
    assert [(job.id, job.attempt) for job in claimed] == [
        *[(number, 2) for number in range(16, 45)],
        *[(number, 1) for number in range(45, 49)],
    ]
    unwritten = scene.receive(upgraded, claimed)
    assert scene.finish(upgraded, unwritten) == 33
    assert scene.counts(upgraded, GOING).done == 34


def test_what_a_run_rented_is_in_the_ledger(upgraded: Store) -> None:
    placement = upgraded.read(runs.get, RENTED).spec.placement
    ledger = upgraded.read(
        lambda conn: conn.execute("SELECT pod_id, state, users FROM (" + _LEDGER + ")").fetchall()
    )

    assert (placement.workers, placement.max_cost_usd) == (2, "2.50")
    assert {(site.kind, site.provider) for site in placement.sites} == {("rented", "runpod")}
    assert ledger == [
        ("pod0ended", "ended", 0),
        ("pod0live", "live", 1),
        (None, "intended", 0),
        ("pod0mine", "live", 0),
    ]
    assert [pod.pod_id for pod in upgraded.read(pods.live, "runpod")] == ["pod0live", "pod0mine"]


_LEDGER = (
    "SELECT pod_id, state, (SELECT count(*) FROM pod_uses WHERE pod_row=pods.id AND to_ms IS NULL)"
    " AS users FROM pods ORDER BY id"
)


def test_every_text_is_in_the_sidecar_that_it_was_in(upgraded: Store, tmp_path: Path) -> None:
    """A person's own are told by an edit, or by where all else of the image is."""

    def texts(name: str, extension: str) -> list[tuple[str, str]]:
        place = Output(extension=extension).place_of(str(tmp_path / name))
        return [(c.text, c.source) for c in upgraded.read(captions.history, place)]

    assert texts("edited/e0.png", ".txt") == [
        ("picture ef115a0e, mostly black", "model"),
        ("a text of my own", "hand"),
        ("ohwx, a text of my own", "hand"),
    ]
    assert texts("ended/n1.png", ".caption") == [
        ("picture cb27307a, mostly black", "model"),
        ("found by captiv later", "hand"),
        ("q picture cb27307a, mostly black", "model"),
        ("r picture cb27307a, mostly black", "model"),
    ]
    assert texts("ended/n0.png", ".caption")[-1] == ("by hand", "hand")
    (n,) = upgraded.read(lambda c: c.execute("SELECT count(*) FROM captions").fetchone())
    files = upgraded.read(lambda c: c.execute("SELECT sidecar FROM captions").fetchall())
    assert n == 17
    assert {Path(file).suffix for (file,) in files if "/ended/" in file} == {".caption"}
    assert {Path(file).suffix for (file,) in files if "/ended/" not in file} == {".txt"}


def test_an_edit_of_many_can_still_be_taken_back(upgraded: Store, tmp_path: Path) -> None:
    (edit,) = upgraded.read(edits.recent)
    changes = upgraded.read(edits.changes, EditId(edit.id), 0, 9)

    assert (edit.what, edit.changes) == ("trigger word 'ohwx'", 3)
    assert [(change.image, change.sidecar, change.old, change.new) for change in changes] == [
        (
            str(tmp_path / f"edited/e{n}.png"),
            str(tmp_path / f"edited/e{n}.txt"),
            old,
            f"ohwx, {old}",
        )
        for n, old in enumerate(
            [
                "a text of my own",
                "picture cb27307a, mostly black",
                "picture 0c0cef5e, mostly green",
            ]
        )
    ]


def test_the_copy_from_before_is_what_the_release_left(tmp_path: Path) -> None:
    path = tmp_path / "captiv.db"
    released.restore("0.2.0", path, tmp_path)
    with closing(sqlite3.connect(path)) as conn:
        before = list(conn.iterdump())

    Store.open(path).close()

    with closing(sqlite3.connect(path.with_name("captiv.db.bak-0005"))) as conn:
        assert list(conn.iterdump()) == before
