"""Hot statements find their rows by an index, and sort nothing, with 50,000 jobs of every state.

Without statistics, as in use: nothing runs ANALYZE.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from captiv.core.jobs import Failure, Job, JobId, JobState, RunId, SessionId
from captiv.store import Connection, Store, captions, gone, ingest, jobs, lease, past, runs

from . import scene

PLENTY = 50_000


@pytest.fixture(scope="module")
def plenty(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("plenty") / "captiv.db"
    shutil.copy(template, path)
    with Store.open(path) as store:
        run = scene.enqueue(store, PLENTY)
        scene.enqueue(store, PLENTY // 10, scene.request(model="joy"))
        store.write(lease.begin_session, 1, "here", "dispatcher", 1)
        store.write(_spread)
        store.write(runs.recount, run.id)
        yield store


def _spread(conn: Connection) -> None:
    """Some of each state, pending ones last, as late in a run."""
    caption = captions.record(conn, scene.places(1)[0], "a dog", "x", "hand", 1)
    for low, high, values in (
        (1, 30_000, "state='done', note='kept', finished_ms=1"),
        (30_000, 32_000, "state='failed', error_code='image', error='x', finished_ms=1"),
        (32_000, 32_064, "state='running', session_id=1, claimed_ms=1, attempt=1"),
        (32_064, 32_100, f"state='captioned', caption_id={caption}, attempt=1"),
        (32_100, 32_120, "state='pending', suspect=1"),
        (32_120, PLENTY, "state='pending'"),
    ):
        conn.execute(f"UPDATE jobs SET {values} WHERE id>=? AND id<?", (low, high))


def _plans(conn: Connection, fn: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """Run it, and return a line for every step that the planner took."""
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    try:
        fn(conn, *args)
    finally:
        conn.set_trace_callback(None)
    steps: list[str] = []
    for statement in dict.fromkeys(statements):
        if not statement.startswith("--"):
            plan = conn.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps += [step for *_, step in plan]
    return steps


RUN = RunId(1)
SESSION = SessionId(1)
JOB = Job(JobId(32_000), RUN, "/photos/031999.jpg", "/photos/031999.txt", 1, 0, 0, False)
CAPTIONED = JobId(32_070)
LATE = JobId(32_110)

HOT: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "claim": (jobs.claim, (RUN, 64, SESSION, 1), "INDEX jobs_pending (run_id=?)"),
    "claim_suspect": (jobs.claim_suspect, (RUN, SESSION, 1), "INDEX jobs_suspect (run_id=?)"),
    "receive": (jobs.receive, ([scene.answer(JOB)], 1), "INTEGER PRIMARY KEY"),
    "finish": (jobs.finish, ([(CAPTIONED, 1)], 1), "INTEGER PRIMARY KEY"),
    "keep": (jobs.keep, ([(JobId(CAPTIONED + 1), 1)], 1), "INTEGER PRIMARY KEY"),
    "fail": (jobs.fail, ([Failure(JOB, "image", "x")], 1), "INTEGER PRIMARY KEY"),
    "release": (jobs.release, ([JOB],), "INTEGER PRIMARY KEY"),
    "recover": (jobs.recover, (SessionId(2),), "jobs_running"),
    "unwritten": (jobs.unwritten, (RUN, CAPTIONED, 64), "jobs_captioned (run_id=? AND id>?)"),
    "page": (jobs.page, (RUN, None, LATE, 100), "jobs_run (run_id=? AND id>?)"),
    "page of done": (jobs.page, (RUN, JobState.DONE, JobId(9), 100), "(run_id=? AND id>?)"),
    "page of failed": (jobs.page, (RUN, JobState.FAILED, JobId(9), 100), "jobs_failed"),
    "page of running": (jobs.page, (RUN, JobState.RUNNING, JobId(9), 100), "jobs_running"),
    "add_jobs": (ingest.add_jobs, (RUN, [scene.place("/new.jpg")], 1), ""),
    "known": (ingest.known, (RUN, scene.places(9)), "(run_id=? AND path=? AND sidecar=?)"),
    "standing": (
        past.standing,
        (RunId(9), scene.places(PLENTY)[29_990:30_010]),
        "jobs_failed_place (path=? AND sidecar=?)",
    ),
    "page of past": (past.page, (RUN, JobId(9), 100), "jobs_failed (run_id=? AND id>?)"),
    "failed before": (past.failed_before, (RUN, 1), "jobs_failed (run_id=?)"),
    "made": (gone.made, (RUN, scene.places(9)), "(run_id=? AND path=? AND sidecar=?)"),
    "sources": (captions.sources, (scene.places(9),), "captions_path (path=?)"),
    "latest": (captions.latest, (scene.places(1)[0],), "captions_path (path=?)"),
    "wanted": (runs.wanted, (0,), "runs_active"),
    "finish_if_complete": (runs.finish_if_complete, (RUN, 1), "INTEGER PRIMARY KEY"),
}
SORTED = {"wanted", "sources", "made"}
"""A handful of rows, in an order that no index has."""


class _UndoError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", HOT)
def test_hot_statements_use_their_index(plenty: Store, name: str) -> None:
    fn, args, index = HOT[name]
    steps: list[str] = []

    def look(conn: Connection) -> None:
        steps.extend(_plans(conn, fn, args))
        raise _UndoError

    with pytest.raises(_UndoError):
        plenty.write(look)

    plan = "\n".join(steps)
    assert index in plan
    assert "SCAN jobs" not in plan.replace("SCAN jobs USING INDEX jobs_running", "").replace(
        "SCAN jobs USING COVERING INDEX jobs_running", ""
    )
    assert "SCAN captions" not in plan
    if name not in SORTED:
        assert "TEMP B-TREE" not in plan
