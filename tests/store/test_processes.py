"""What other processes may do to the job table: work on it at once, and die at any moment."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from captiv.core.jobs import JobId, Run
from captiv.store import Store, captions, jobs

from . import scene


def _start(database: Path, run: Run, batch: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.store.worker", str(database), str(run.id), str(batch)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def _tell(process: "subprocess.Popen[str]", batches: int) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n" * batches)
    process.stdin.flush()


def _line(process: "subprocess.Popen[str]") -> tuple[str, int] | None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.endswith("\n"):
        return None
    what, id_ = line.split()
    return what, int(id_)


@pytest.mark.slow
def test_processes_that_claim_at_once_never_get_the_same_image(
    store: Store, database: Path
) -> None:
    run = scene.enqueue(store, 700)
    processes = [_start(database, run, 7) for _ in range(2)]
    claimed: list[list[int]] = [[], []]
    for process in processes:
        assert _line(process) == ("begun", 0)
    for _ in range(50):
        for process in processes:
            _tell(process, 1)
        for process, got in zip(processes, claimed, strict=True):
            said = [_line(process) for _ in range(3 * 7)]
            got += [line[1] for line in said if line and line[0] == "claimed"]
    for process in processes:
        assert process.communicate()[0] == ""

    assert [len(got) for got in claimed] == [350, 350]
    assert sorted(claimed[0] + claimed[1]) == list(range(1, 701))
    assert scene.counts(store, run.id).done == 700


@pytest.mark.slow
def test_a_process_killed_at_any_moment_loses_nothing_it_has_said(
    store: Store, database: Path
) -> None:
    """Ten lives, each killed after some of its commits; ends, order and counts are then whole."""
    run = scene.enqueue(store, 5000)
    dice = random.Random(5)
    said: dict[int, str] = {}
    lives = [_start(database, run, 8) for _ in range(2)]
    for life in range(10):
        process = lives[life % 2]
        assert _line(process) == ("begun", 0)
        if life < 8:
            lives[life % 2] = _start(database, run, 8)  # it loads while the other one works
        _tell(process, 1000)
        for _ in range(dice.randint(1, 150)):
            found = _line(process)
            assert found is not None
            said[found[1]] = found[0]
        process.kill()
        while found := _line(process):
            said[found[1]] = found[0]
        process.communicate()
        _check(store, run, said)

    assert scene.integrity(store) == "ok"
    assert sum(what == "done" for what in said.values()) > 50


def _check(store: Store, run: Run, said: dict[int, str]) -> None:
    """What was said is so, or further; nothing is running after a recovery, and nothing is gone."""
    session = scene.another_session(store)
    recovered = store.write(jobs.recover, session)
    assert recovered <= 8
    rows = {row.id: row for row in scene.rows(store, run)}
    assert len(rows) == 5000
    assert {row.state.value for row in rows.values()} <= {"pending", "captioned", "done"}
    for id_, what in said.items():
        row = rows[JobId(id_)]
        if what != "claimed":
            assert row.state.value in {"captioned": ("captioned", "done"), "done": ("done",)}[what]
    for left in store.read(jobs.unwritten, run.id, JobId(0), 1000):
        assert store.write(jobs.finish, [(left.job_id, left.attempt)], scene.NOW) == 1
        said[left.job_id] = "done"
    for id_, what in list(said.items()):
        if what == "claimed":
            del said[id_]
    texts = store.read(captions.sources, [row.place for row in rows.values()])
    assert {place: len(known) for place, known in texts.items()} == {
        row.place: 1 for row in rows.values() if row.state.value != "pending"
    }
    scene.counts(store, run.id)
