"""How the job table bears a million images: enqueued, claimed to done, and resumed.

The baseline is the bare disk in the same run: how many times a second it makes a small write safe.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from captiv.core.jobs import Received, RunId, SessionId
from captiv.core.spec import Output
from captiv.request.options import Options
from captiv.request.run import request
from captiv.settings import Settings
from captiv.store import Store, ingest, jobs, lease, runs
from captiv.testing.scenes import write_scenes

CHUNK = 2_000
BATCH = 64


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="captiv-bench-") as name:
        folder = Path(name)
        print(f"bare disk: {_syncs(folder):.0f} synced writes/s")
        database = folder / "home" / "data" / "captiv.db"
        with Store.open(database, holder=True) as store:
            run_id, session = _begin(store, folder, options)
            _enqueue(store, run_id, folder, options)
            _work(store, run_id, session, options)
        print(f"table: {database.stat().st_size / 1e6:.0f} MB; memory {_peak_mb():.0f} MB")
        _resume(folder, options)


def _begin(store: Store, folder: Path, options: argparse.Namespace) -> tuple[RunId, SessionId]:
    (folder / "pictures").mkdir()
    asked = Options(paths=[folder / "pictures"], model="shapes", limit=options.jobs)
    spec, _ = request(asked, Settings())
    run, _ = store.write(runs.open_run, spec, 0)
    session = store.write(lease.begin_session, os.getpid(), "bench", "dispatcher", 0)
    return run.id, session


def _enqueue(store: Store, run_id: RunId, folder: Path, options: argparse.Namespace) -> None:
    """Make jobs: the first are to be worked through here, the next few are real pictures."""
    pictures = [str(folder / "pictures" / p) for p in write_scenes(folder / "pictures", 3, 64)]
    made = [f"/archive/{i // 1000:04}/photograph-{i:07}.jpg" for i in range(options.jobs)]
    made[options.work : options.work + len(pictures)] = pictures
    output = Output()
    began = time.perf_counter()
    for first in range(0, options.jobs, CHUNK):
        places = [output.place_of(path) for path in made[first : first + CHUNK]]
        store.write(ingest.add_jobs, run_id, places, 0)
    store.write(ingest.mark_scanned, run_id)
    took = time.perf_counter() - began
    print(f"enqueued {options.jobs:,} jobs in {took:.1f} s ({options.jobs / took:,.0f}/s)")


def _work(store: Store, run_id: RunId, session: SessionId, options: argparse.Namespace) -> None:
    """Claim, receive and finish as the dispatcher does, in batches."""
    caption = "a caption of the length that a good model writes " * 6
    began = time.perf_counter()
    done = 0
    while done < options.work:
        claimed = store.write(jobs.claim, run_id, BATCH, session, done)
        got = [
            Received(job, f"{caption}{job.id}", None, "shapes", "shapes", "{}", None, 60)
            for job in claimed
        ]
        kept = store.write(jobs.receive, got, done)
        store.write(jobs.finish, [(item.job_id, item.attempt) for item in kept], done)
        done += len(claimed)
    took = time.perf_counter() - began
    print(f"claimed, received and finished {done:,} in {took:.1f} s ({done / took:,.0f}/s)")


def _resume(folder: Path, options: argparse.Namespace) -> None:
    """Time the real command from its start to its first caption, and its memory."""
    env = os.environ | {
        "CAPTIV_HOME": str(folder / "home"),
        "CAPTIV_ENGINE": "captiv.testing.engine:ScriptedEngine",
    }
    command = [sys.executable, "-m", "captiv", "caption", "generate", "--model", "shapes", "--json"]
    command += ["--limit", str(options.jobs), str(folder / "pictures")]
    began = time.perf_counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
        peak = _memory_mb(process.pid)
        process.terminate()
        process.stdout.read()
    print(
        f"resumed: first caption after {took:.2f} s, memory of captiv {peak:.0f} MB ({line[:40]}…)"
    )


def _syncs(folder: Path) -> float:
    path = folder / "sync"
    began, count = time.perf_counter(), 0
    with path.open("wb") as file:
        while time.perf_counter() - began < 1:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            count += 1
    return count / (time.perf_counter() - began)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--work", type=int, default=100_000, help="how many are worked through")
    return parser.parse_args()


if __name__ == "__main__":
    main()
