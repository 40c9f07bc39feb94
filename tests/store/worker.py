"""A process at work on a run: a batch for every line of its input; says what it has committed."""

import sys
from pathlib import Path

from captiv.core.jobs import RunId
from captiv.store import Store, jobs, lease

from . import scene


def main(database: Path, run_id: RunId, batch: int) -> None:
    with Store.open(database, holder=True) as store:
        session = store.write(lease.begin_session, 1, "here", "dispatcher", scene.NOW)
        print("begun", 0, flush=True)
        while sys.stdin.readline():
            claimed = store.write(jobs.claim, run_id, batch, session, scene.NOW)
            _say("claimed", [job.id for job in claimed])
            unwritten = scene.receive(store, claimed, f"by {session}")
            _say("captioned", [item.job_id for item in unwritten])
            scene.finish(store, unwritten)
            _say("done", [item.job_id for item in unwritten])


def _say(what: str, ids: list[int]) -> None:
    sys.stdout.write("".join(f"{what} {id_}\n" for id_ in ids))
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), RunId(int(sys.argv[2])), int(sys.argv[3]))
