"""What the store's tests are about: requests, their images, and answers."""

from collections.abc import Sequence

from captiv.core.jobs import Counts, Job, JobId, JobRow, Received, Run, RunId, SessionId, Unwritten
from captiv.core.naming import Place
from captiv.core.spec import Captioning, Output, Placement, RunSpec, Selection
from captiv.store import Store, ingest, jobs, lease, runs

NOW = 1_700_000_000_000


def request(
    *roots: str, model: str = "blip", placement: Placement | None = None, **selection: object
) -> RunSpec:
    return RunSpec(
        selection=Selection.model_validate({"roots": roots or ("/photos",), **selection}),
        captioning=Captioning(model=model, variant="base", source="somewhere/blip"),
        placement=placement or Placement(),
    )


def paths(n: int, folder: str = "/photos") -> list[str]:
    return [f"{folder}/{i:06d}.jpg" for i in range(n)]


def place(path: str) -> Place:
    """The image and the sidecar that it has by default."""
    return Output().place_of(path)


def places(n: int, folder: str = "/photos") -> list[Place]:
    return [place(path) for path in paths(n, folder)]


def enqueue(store: Store, n: int = 3, spec: RunSpec | None = None, *, scanned: bool = True) -> Run:
    """A run with `n` pending jobs."""
    run, _ = store.write(runs.open_run, spec or request(), NOW)
    store.write(ingest.add_jobs, run.id, places(n), NOW)
    if scanned:
        store.write(ingest.mark_scanned, run.id)
    return store.read(runs.get, run.id)


def another_session(store: Store) -> SessionId:
    return store.write(lease.begin_session, 2, "here", "dispatcher", NOW)


def claim(store: Store, run: Run, session: SessionId, limit: int = 100) -> list[Job]:
    return store.write(jobs.claim, run.id, limit, session, NOW)


def answer(job: Job, text: str = "a dog") -> Received:
    return Received(job, text, "Describe it.", "blip", "base", "{}", None, 3)


def receive(store: Store, claimed: Sequence[Job], text: str = "a dog") -> list[Unwritten]:
    return store.write(jobs.receive, [answer(job, text) for job in claimed], NOW)


def finish(store: Store, unwritten: Sequence[Unwritten]) -> int:
    return store.write(jobs.finish, [(u.job_id, u.attempt) for u in unwritten], NOW)


def rows(store: Store, run: Run) -> list[JobRow]:
    return store.read(jobs.page, run.id, None, JobId(0), 1_000_000)


def states(store: Store, run: Run) -> list[str]:
    return [row.state.value for row in rows(store, run)]


def counts(store: Store, run_id: RunId) -> Counts:
    """The counters, after a look whether they are right."""
    assert store.read(runs.check_counts) == []
    return store.read(runs.get, run_id).counts


def integrity(store: Store) -> str:
    return store.read(lambda conn: str(conn.execute("PRAGMA integrity_check").fetchone()[0]))
