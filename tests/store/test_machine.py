"""The store against a model of it in dicts: any order of transitions, stale ones among them."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from captiv.core.jobs import Failure, Job, JobId, RunId, SessionId
from captiv.errors import UsageError
from captiv.store import Store, ingest, jobs, lease, migrate, runs

from . import scene

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a thousand commits, none to last

SPECS = [scene.request("/a"), scene.request("/b"), scene.request("/c", limit=6)]
PATHS = st.lists(st.sampled_from([*scene.paths(8), "/photos/caf\udce9.jpg"]), max_size=5)
CODES = st.sampled_from(["image_unreadable", "degenerate"])


@dataclass
class Row:
    """A job as it should be."""

    state: str = "pending"
    attempt: int = 0
    tries: int = 0
    crashes: int = 0
    suspect: bool = False
    session: int | None = None
    code: str | None = None
    note: str | None = None
    misses: int = 0
    postponed: int = 0


@dataclass
class Asked:
    """A run as it should be."""

    spec: int
    limit: int | None
    state: str = "active"
    scanned: bool = False
    rows: dict[str, Row] = field(default_factory=dict)

    def many(self, *states: str) -> int:
        return sum(row.state in states for row in self.rows.values())


class StoreMachine(RuleBasedStateMachine):
    """What the store does, a dict does too."""

    run_ids = Bundle("run_ids")
    held = Bundle("held")
    """Claims, most of them stale by the time they are used."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=_MEMORY))
        shutil.copy(self.template, self.folder / "captiv.db")
        self.store = Store.open(self.folder / "captiv.db", holder=True)
        self.sessions = [self._session()]
        self.model: dict[RunId, Asked] = {}

    def teardown(self) -> None:
        try:
            assert scene.integrity(self.store) == "ok"
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    # -- what is asked for ---------------------------------------------------------------------

    @rule(target=run_ids, spec=st.sampled_from(range(len(SPECS))))
    def open_run(self, spec: int) -> Any:
        run, resumed = self.store.write(runs.open_run, SPECS[spec], scene.NOW)
        twins = [
            id_ for id_, run in self.model.items() if run.spec == spec and run.state == "active"
        ]
        assert twins == ([run.id] if resumed else [])
        if not resumed:
            self.model[run.id] = Asked(spec, SPECS[spec].selection.limit)
            return run.id
        self.model[run.id].scanned &= SPECS[spec].selection.fixed
        return multiple()

    @rule(run_id=run_ids, paths=PATHS)
    def add_jobs(self, run_id: RunId, paths: list[str]) -> None:
        run = self._run(run_id)
        places = [scene.place(path) for path in paths]
        added = self.store.write(ingest.add_jobs, run_id, places, scene.NOW, limit=run.limit)
        before = len(run.rows)
        for path in paths if run.state == "active" else ():
            kept = sum(row.note == "kept" for row in run.rows.values())
            promised = run.many("pending", "running", "captioned", "done") - kept
            if run.limit is None or promised < run.limit:
                run.rows.setdefault(path, Row())
        assert added == len(run.rows) - before

    @rule(run_id=run_ids, paths=PATHS, kept=st.booleans())
    def add_ended(self, run_id: RunId, paths: list[str], kept: bool) -> None:
        run = self._run(run_id)
        if kept:
            self.store.write(ingest.add_kept, run_id, [*map(scene.place, paths)], scene.NOW)
        else:
            failed = [(scene.place(path), "image", "Empty.") for path in paths]
            self.store.write(ingest.add_failed, run_id, failed, scene.NOW)
        for path in paths if run.state == "active" else ():
            row = Row("done", note="kept") if kept else Row("failed", code="image")
            run.rows.setdefault(path, row)

    @rule(run_id=run_ids)
    def mark_scanned(self, run_id: RunId) -> None:
        self.store.write(ingest.mark_scanned, run_id)
        self._run(run_id).scanned = True

    @rule(run_id=run_ids)
    def cancel(self, run_id: RunId) -> None:
        run = self._run(run_id)
        n = self.store.write(jobs.cancel, run_id, scene.NOW)
        if run.state == "active":
            assert n == run.many("pending")
            run.state = "cancelled"
            for row in run.rows.values():
                row.state = "cancelled" if row.state == "pending" else row.state

    @rule(run_id=run_ids, code=st.none() | CODES | st.just("image_crashes"))
    def retry(self, run_id: RunId, code: str | None) -> None:
        run = self._run(run_id)
        twins = [r for r in self.model.values() if r.spec == run.spec and r.state == "active"]
        if run_id in self.model and twins and twins != [run]:
            with pytest.raises(UsageError):
                self.store.write(jobs.retry, run_id, code)
            return
        n = 0
        for row in run.rows.values():
            failed = row.state == "failed" and code in (None, row.code)
            if failed or (row.state == "cancelled" and code is None):
                suspect = row.suspect and row.code in (None, "image_crashes")
                tries, misses = row.tries, row.misses
                postponed = row.postponed + failed
                row.__init__(attempt=row.attempt, suspect=suspect)  # type: ignore[misc]
                row.tries, row.misses, row.postponed = tries, misses, postponed
                n += 1
        if run.many("pending", "running", "captioned"):
            run.state = "active"
        assert self.store.write(jobs.retry, run_id, code) == n

    @rule(run_id=run_ids)
    def finish_run(self, run_id: RunId) -> None:
        run = self._run(run_id)
        complete = (
            run_id in self.model
            and run.state == "active"
            and run.scanned
            and not run.many("pending", "running", "captioned")
        )
        assert self.store.write(runs.finish_if_complete, run_id, scene.NOW) == complete
        run.state = "finished" if complete else run.state

    @rule()
    def clear(self) -> None:
        self.store.write(runs.clear)
        self.model = {
            id_: run
            for id_, run in self.model.items()
            if run.state == "active" or run.many("pending", "running", "captioned")
        }

    # -- what is done --------------------------------------------------------------------------

    @rule(target=held, run_id=run_ids, limit=st.integers(1, 4))
    def claim(self, run_id: RunId, limit: int) -> Any:
        return self._claimed(
            run_id, self.store.write(jobs.claim, run_id, limit, self.sessions[-1], scene.NOW), limit
        )

    @rule(target=held, run_id=run_ids)
    def claim_suspect(self, run_id: RunId) -> Any:
        job = self.store.write(jobs.claim_suspect, run_id, self.sessions[-1], scene.NOW)
        return self._claimed(run_id, [job] if job else [], 1, suspect=True)

    @rule(some=st.lists(held, max_size=4))
    def receive(self, some: list[Job]) -> None:
        received = self.store.write(jobs.receive, [scene.answer(job) for job in some], scene.NOW)
        accepted = []
        for job in some:
            if self._holds(job):
                self._end(job, "captioned")
                accepted.append(job.id)
        assert [item.job_id for item in received] == accepted

    @rule(some=st.lists(held, max_size=4), kept=st.booleans())
    def write(self, some: list[Job], kept: bool) -> None:
        transition = jobs.keep if kept else jobs.finish
        n = self.store.write(transition, [(job.id, job.attempt) for job in some], scene.NOW)
        from_states = ("running", "captioned") if kept else ("captioned",)
        for job in some:
            if self._holds(job, *from_states):
                self._end(job, "done").note = "kept" if kept else None
                n -= 1
        assert n == 0

    @rule(some=st.lists(held, max_size=3), code=CODES, tried=st.booleans())
    def fail(self, some: list[Job], code: str, tried: bool) -> None:
        text = "dog dog" if code == "degenerate" else None
        failures = [Failure(job, code, "Because.", text, tried) for job in some]
        n = self.store.write(jobs.fail, failures, scene.NOW)
        for job in some:
            if self._holds(job):
                row = self._end(job, "failed")
                row.code = code
                row.tries += tried or text is not None
                row.misses += text is not None
                n -= 1
        assert n == 0

    @rule(some=st.lists(held, max_size=4), suspects=st.booleans(), behind=st.booleans())
    def release(self, some: list[Job], suspects: bool, behind: bool) -> None:
        marked = {job.id for job in some[:1]} if suspects else set()
        postponed = {job.id for job in some[1:]} if behind else set()
        n = self.store.write(jobs.release, some, suspects=marked, postponed=postponed)
        for job in some:
            if self._holds(job):
                row = self._back(job)
                row.suspect |= job.id in marked
                row.postponed += job.id in postponed
                n -= 1
        assert n == 0

    @rule(job=held, missed=st.booleans())
    def charge_try(self, job: Job, missed: bool) -> None:
        assert self.store.write(jobs.charge_try, job, missed=missed) == self._holds(job)
        if self._holds(job):
            row = self._back(job)
            row.tries += 1
            row.misses += missed
            row.suspect = False

    @rule(job=held, weight=st.integers(1, 2))
    def charge_crash(self, job: Job, weight: int) -> None:
        failed = self.store.write(jobs.charge_crash, job, scene.NOW, weight=weight, limit=3)
        if not self._holds(job):
            assert not failed
            return
        row = self.model[job.run_id].rows[job.path]
        row.crashes += weight
        assert failed == (row.crashes >= 3)
        if failed:
            self._end(job, "failed").code = "image_crashes"
        else:
            self._back(job).suspect = True

    @rule(suspects=st.sets(st.integers(1, 20)))
    def die_and_recover(self, suspects: set[JobId]) -> None:
        self.store.close()
        self.store = Store.open(self.folder / "captiv.db", holder=True)
        self.sessions.append(self._session())
        ids = {row.id: row.path for id_ in self.model for row in self._rows(id_)}
        n = self.store.write(jobs.recover, self.sessions[-1], suspects)
        marked = {(ids.get(i)) for i in suspects}
        by_path = {(id_, row.path): row.id for id_ in self.model for row in self._rows(id_)}
        for run_id, run in self.model.items():
            for path, row in run.rows.items():
                if row.state == "running":
                    row.state = "cancelled" if run.state == "cancelled" else "pending"
                    row.session = None
                    row.suspect |= path in marked and by_path[run_id, path] in suspects
                    n -= 1
        assert n == 0

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def the_rows_are_the_models(self) -> None:
        listed = {run.id: run for run in self.store.read(runs.page, None, 1000)}
        assert set(listed) == set(self.model)
        for run_id, run in self.model.items():
            assert (listed[run_id].state, listed[run_id].scanned) == (run.state, run.scanned)
            assert self._table(run_id) == run.rows

    @invariant()
    def the_counters_are_the_rows(self) -> None:
        assert self.store.read(runs.check_counts) == []

    def _session(self) -> SessionId:
        return self.store.write(lease.begin_session, 1, "here", "dispatcher", scene.NOW)

    def _run(self, run_id: RunId) -> Asked:
        """The run; one that was cleared takes nothing and has nothing."""
        return self.model.get(run_id, Asked(-1, None, "cleared"))

    def _rows(self, run_id: RunId) -> list[Any]:
        return self.store.read(jobs.page, run_id, None, JobId(0), 1000)

    def _table(self, run_id: RunId) -> dict[str, Row]:
        extra = self.store.read(
            lambda conn: {
                id_: rest
                for id_, *rest in conn.execute(
                    "SELECT id, attempt, suspect, session_id, postponed FROM jobs WHERE run_id=?",
                    (run_id,),
                )
            }
        )
        return {
            row.path: Row(
                row.state,
                extra[row.id][0],
                row.tries,
                row.crashes,
                bool(extra[row.id][1]),
                extra[row.id][2],
                row.error_code,
                row.note,
                row.misses,
                extra[row.id][3],
            )
            for row in self._rows(run_id)
        }

    def _claimed(self, run_id: RunId, got: list[Job], limit: int, *, suspect: bool = False) -> Any:
        rows = self._run(run_id).rows
        free = [p for p, row in rows.items() if row.state == "pending" and row.suspect == suspect]
        if not suspect:
            free.sort(key=lambda path: rows[path].postponed)
        assert [job.path for job in got] == free[:limit]
        for job in got:
            row = rows[job.path]
            row.state, row.session = "running", self.sessions[-1]
            row.attempt += 1
            assert (job.attempt, job.tries, job.crashes) == (row.attempt, row.tries, row.crashes)
            assert job.misses == row.misses
        return multiple(*got)

    def _holds(self, job: Job, *states: str) -> bool:
        row = self._run(job.run_id).rows.get(job.path)
        return (
            row is not None and row.attempt == job.attempt and row.state in (states or ("running",))
        )

    def _end(self, job: Job, state: str) -> Row:
        row = self.model[job.run_id].rows[job.path]
        row.state, row.session = state, None
        return row

    def _back(self, job: Job) -> Row:
        cancelled = self.model[job.run_id].state == "cancelled"
        return self._end(job, "cancelled" if cancelled else "pending")


@pytest.mark.slow
@pytest.mark.allow_blocking
def test_the_store_does_what_a_dict_would_do(tmp_path: Path) -> None:
    StoreMachine.template = tmp_path / "captiv.db"
    migrate.ensure(StoreMachine.template)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=20,
            stateful_step_count=35,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
