import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from captiv.clock import now_ms
from captiv.core.jobs import Failure, JobId, Received, RunId
from captiv.core.spec import Captioning, Output, RunSpec, Selection
from captiv.store import Lease, Store, holding, ingest, jobs, lease, runs

from .conftest import Cli, ready_database

NOW = 1_700_000_000_000
_place = Output().place_of
AN_HOUR_MS = 3_600_000
"""Who is wanted until then, is wanted however slow the test is."""


def make_run(
    home: Path,
    *,
    root: str = "/pictures",
    pending: int = 0,
    failed: Sequence[tuple[str, str, str]] = (),
    captioned: Sequence[str] = (),
    scanned: bool = True,
) -> int:
    """Make a run by the transitions that the dispatcher makes."""
    spec = RunSpec(
        selection=Selection(roots=(root,)),
        captioning=Captioning(model="blip", variant="blip-base", source="x"),
    )
    with Store.open(ready_database(home)) as store:
        session = store.write(lease.begin_session, 1, "here", "dispatcher", NOW)
        run, _ = store.write(runs.open_run, spec, NOW)
        store.write(ingest.add_jobs, run.id, [*map(_place, captioned)], NOW)
        claimed = store.write(jobs.claim, run.id, 100, session, NOW)
        received = [Received(j, "a cat", None, "blip", "blip-base", "{}", None, 3) for j in claimed]
        store.write(jobs.receive, received, NOW)
        store.write(ingest.add_jobs, run.id, [_place(path) for path, _, _ in failed], NOW)
        claimed = store.write(jobs.claim, run.id, 100, session, NOW)
        reasons = {path: (code, why) for path, code, why in failed}
        store.write(jobs.fail, [Failure(j, *reasons[j.path]) for j in claimed], NOW)
        left = [_place(f"{root}/{n}.jpg") for n in range(pending)]
        store.write(ingest.add_jobs, run.id, left, NOW)
        if scanned:
            store.write(ingest.mark_scanned, run.id)
        store.write(runs.finish_if_complete, run.id, NOW)
        store.write(lease.end_session, session, NOW)
    return run.id


BAD = [
    ("/pictures/x.jpg", "image_unreadable", "It is empty."),
    ("/pictures/n\nl.jpg", "degenerate", "The answer loops."),
]


@pytest.mark.parametrize("name", ["status", "list", "retry", "cancel", "clear", "watch"])
def test_without_a_job_table_there_is_nothing_and_that_is_no_error(
    cli: Cli, captiv_home: Path, name: str
) -> None:
    ended = cli("queue", name)

    assert ended.code == 0
    assert ended.out + ended.err
    assert not (captiv_home / "data" / "captiv.db").exists()


@pytest.mark.parametrize("name", ["status", "list", "retry", "cancel", "watch"])
def test_a_run_that_is_not_there_is_refused(cli: Cli, captiv_home: Path, name: str) -> None:
    assert cli("queue", name, 7).code == 2
    make_run(captiv_home, pending=1)
    assert cli("queue", name, 7).code == 2


def test_json_without_runs_is_empty(cli: Cli) -> None:
    assert json.loads(cli("queue", "status", "--json").out) == []
    assert cli("queue", "list", "--json").out == ""


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_a_run_has_one_line_however_narrow_the_terminal_is(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    make_run(captiv_home, root="/home/somebody/pictures/of/the/last/summer/at/sea", pending=2)
    make_run(captiv_home, root="/home/somebody/pictures", pending=1)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("captiv.cli.show.sys.stdout.isatty", lambda: True)

    shown = re.sub(r"\x1b\[\d*m", "", cli("queue", "status").out).splitlines()

    assert len(shown) == 4, shown
    assert max(map(len, shown)) <= columns
    assert "pictures" in shown[2]
    assert "at/sea" in shown[3]
    assert ("Began" in shown[0]) == (columns > 80)


def test_status_lists_the_runs_with_their_counts(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, failed=BAD)
    make_run(captiv_home, root="/other", pending=3)

    rows = [line.split("\t") for line in cli("queue", "status").out.splitlines()]
    assert [row[:6] for row in rows] == [
        ["2", "unfinished", "0", "3", "0", "0"],
        ["1", "finished", "0", "0", "2", "0"],
    ]
    described = json.loads(cli("queue", "status", "--json").out)
    assert [d["counts"]["pending"] for d in described] == [3, 0]


def test_status_of_one_run_groups_its_failures(cli: Cli, captiv_home: Path) -> None:
    run = make_run(captiv_home, failed=BAD)

    out = cli("queue", "status", run).out

    assert "image_unreadable: It is empty." in out
    assert f"captiv queue retry {run}" in out
    described = json.loads(cli("queue", "status", run, "--json").out)
    assert {f["code"] for f in described["failures"]} == {"image_unreadable", "degenerate"}


def test_list_names_each_failed_image_with_its_reason(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, failed=BAD, captioned=["/pictures/w.jpg"])

    lines = cli("queue", "list", "--state", "failed").out.splitlines()

    assert lines == [
        "failed\t/pictures/x.jpg\timage_unreadable\tIt is empty.",
        "failed\t/pictures/n\\nl.jpg\tdegenerate\tThe answer loops.",
    ]
    objects = cli("queue", "list", "1", "--json").out.splitlines()
    assert {json.loads(o)["path"] for o in objects} == {p for p, _, _ in BAD} | {"/pictures/w.jpg"}


def test_list_goes_page_by_page_to_its_limit(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captiv.cli.runs._PAGE", 2)
    make_run(captiv_home, pending=5)
    for number in range(3):
        make_run(captiv_home, root=f"/{number}", failed=[(f"/{number}/a.jpg", "degenerate", "x")])

    assert len(cli("queue", "list", 1).out.splitlines()) == 5
    assert len(cli("queue", "list", 1, "--limit", 3).out.splitlines()) == 3
    assert len(cli("queue", "list").out.splitlines()) == 4
    assert len(cli("queue", "list", "--limit", 3).out.splitlines()) == 3


def test_an_unknown_state_is_refused_with_the_states(cli: Cli) -> None:
    ended = cli("queue", "list", "--state", "broken")

    assert ended.code == 2
    assert "pending, running, captioned, done, failed, cancelled" in ended.err


def test_reading_works_while_another_captiv_is_at_work(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, pending=1)
    database = captiv_home / "data" / "captiv.db"
    writer = sqlite3.connect(database, isolation_level=None)
    with Lease(captiv_home / "data" / "captiv.lock") as held:
        assert held.acquire()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET priority=1")

        ended = cli("queue", "status")

    writer.execute("ROLLBACK")
    writer.close()
    assert ended.code == 0
    assert ended.out.startswith("1\tunfinished")


def test_cancel_asks_and_sets_the_run_aside(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, pending=2)

    assert cli("queue", "cancel").code == 2
    assert cli("queue", "cancel", "--yes").code == 0

    described = json.loads(cli("queue", "status", "--json").out)[0]
    assert described["state"] == "cancelled"
    assert described["counts"]["cancelled"] == 2
    assert "cancelled already" in cli("queue", "cancel", 1).err


def test_cancel_of_several_wants_a_number(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, pending=1)
    make_run(captiv_home, root="/other", pending=1)

    ended = cli("queue", "cancel", "--yes")

    assert ended.code == 2
    assert "1, 2" in ended.err


def test_clear_forgets_ended_runs_and_leaves_the_others(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, failed=BAD)
    make_run(captiv_home, root="/other", pending=1)

    assert cli("queue", "clear").code == 2
    assert "1 run forgotten" in cli("queue", "clear", "--yes").err
    assert [d["run"] for d in json.loads(cli("queue", "status", "--json").out)] == [2]


def test_retry_with_a_code_that_nothing_failed_with_is_refused(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, failed=BAD)

    ended = cli("queue", "retry", "--code", "nix")

    assert ended.code == 2
    assert "degenerate, image_unreadable" in ended.err
    assert json.loads(cli("queue", "status", "--json").out)[0]["counts"]["failed"] == 2


@pytest.mark.slow
def test_retry_writes_a_caption_that_waits_for_its_file_without_a_worker(
    process: Cli, captiv_home: Path, tmp_path: Path
) -> None:
    image = tmp_path / "w.jpg"
    image.write_bytes(b"")
    make_run(captiv_home, root=str(tmp_path), captioned=[str(image)])

    ended = process("queue", "retry")

    assert ended.code == 0, ended.err
    assert image.with_suffix(".txt").read_text() == "a cat"
    assert "nothing is to be tried again" in process("queue", "retry").err


def test_a_run_that_was_set_aside_is_taken_up_again_only_by_its_number(
    cli: Cli, captiv_home: Path
) -> None:
    make_run(captiv_home, failed=BAD, pending=1)
    cli("queue", "cancel", "--yes")

    assert "nothing is to be tried again" in cli("queue", "retry").err


def test_retry_takes_up_no_run_that_only_is_unfinished(cli: Cli, captiv_home: Path) -> None:
    make_run(captiv_home, pending=2)

    ended = cli("queue", "retry")

    assert ended.code == 0
    assert "nothing is to be tried again" in ended.err
    assert "run 1 is unfinished, 2 images: captiv queue retry 1" in ended.err


def test_watch_ends_with_the_run(cli: Cli, captiv_home: Path) -> None:
    run = make_run(captiv_home, failed=BAD)

    ended = cli("queue", "watch")

    assert ended.code == 1, "images of it failed"
    assert ended.out == f"run {run} finished: 0 done, 0 to do, 2 failed\n"


def stop(_: float) -> None:
    """Instead of a pause: the person has seen enough."""
    raise KeyboardInterrupt


def test_watch_ends_with_a_run_that_was_set_aside_before_its_scan_was_over(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(captiv_home, pending=1, scanned=False)
    monkeypatch.setattr("captiv.cli.watch.time.sleep", stop)

    assert cli("queue", "watch").code == 130
    assert cli("queue", "cancel", "--yes").code == 0
    assert cli("queue", "watch", run).code == 1


def test_watch_waits_for_files_to_be_written_while_somebody_is_at_work(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunId(make_run(captiv_home, captioned=["/pictures/w.jpg"]))
    monkeypatch.setattr("captiv.cli.watch.time.sleep", stop)
    assert cli("queue", "watch").code == 1

    with Store.open(captiv_home / "data" / "captiv.db") as store:
        session = store.write(lease.begin_session, 1, "here", "dispatcher", NOW)
        store.write(runs.want, run, session, now_ms() + AN_HOUR_MS)

    assert cli("queue", "watch").code == 1, "it was killed: the lease is free"
    with Lease(captiv_home / "data" / "captiv.lock") as held:
        assert held.acquire()
        assert cli("queue", "watch").code == 130


def test_watch_of_a_run_whose_images_all_have_captions_ends_with_0(
    cli: Cli, captiv_home: Path
) -> None:
    run = make_run(captiv_home, captioned=["/pictures/w.jpg"])
    with Store.open(captiv_home / "data" / "captiv.db") as store:
        left = store.read(jobs.unwritten, RunId(run), JobId(0), 10)
        store.write(jobs.finish, [(one.job_id, one.attempt) for one in left], NOW)
        store.write(runs.finish_if_complete, RunId(run), NOW)

    assert cli("queue", "watch", run).code == 0


@pytest.mark.parametrize("code", [4, 5, 130, None])
def test_watch_ends_with_the_code_of_the_command_that_held_the_run(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """None is that of one that was killed."""
    run = RunId(make_run(captiv_home, pending=1))
    with Store.open(captiv_home / "data" / "captiv.db") as store:
        session = store.write(lease.begin_session, 1, "here", "follower", now_ms())
        store.write(lease.become_dispatcher, session, now_ms() + AN_HOUR_MS)
        store.write(holding.hold, run, session)
        store.write(runs.want, run, session, now_ms() + AN_HOUR_MS)
    held, pauses = Lease(captiv_home / "data" / "captiv.lock"), iter(range(99))

    def pause(seconds: float) -> None:
        if next(pauses) == 1:
            if code is not None:
                with Store.open(captiv_home / "data" / "captiv.db") as store:
                    store.write(holding.leave, run, session, code)
                    store.write(lease.end_session, session, now_ms())
            held.release()

    monkeypatch.setattr("captiv.cli.watch.time.sleep", pause)
    ticks = iter(range(99))
    monkeypatch.setattr("captiv.cli.watch.monotonic_s", lambda: float(next(ticks)))
    with held:
        assert held.acquire()

        assert cli("queue", "watch").code == (1 if code is None else code)


def test_watch_waits_for_the_code_of_a_run_whose_images_all_have_captions(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunId(make_run(captiv_home, failed=BAD))
    database = captiv_home / "data" / "captiv.db"
    with Store.open(database) as store:
        session = store.write(lease.begin_session, 1, "here", "dispatcher", now_ms())
        store.write(lease.beat, session, now_ms() + AN_HOUR_MS)
        store.write(holding.hold, run, session)

    def pause(_: float) -> None:
        with Store.open(database) as store:
            store.write(holding.leave, run, session, 5)
            store.write(lease.end_session, session, now_ms())

    monkeypatch.setattr("captiv.cli.watch.time.sleep", pause)
    with Lease(captiv_home / "data" / "captiv.lock") as held:
        assert held.acquire()
        assert cli("queue", "watch", run).code == 5


def test_watch_tells_each_change_once(
    cli: Cli, captiv_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(captiv_home, pending=1)
    pauses = iter(range(10))

    def pause(_: float) -> None:
        if next(pauses) == 2:
            with Store.open(captiv_home / "data" / "captiv.db") as store:
                store.write(runs.set_aside, RunId(run), NOW)

    monkeypatch.setattr("captiv.cli.watch.time.sleep", pause)

    lines = cli("queue", "watch").out.splitlines()

    assert len(lines) == 2
    assert "no captiv is at work on it" in lines[0]
    assert lines[1].startswith("run 1 cancelled")
