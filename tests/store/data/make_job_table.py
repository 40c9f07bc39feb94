"""Makes a job table as a version of captiv leaves it: by that version's own commands.

`captiv-0.2.0.sql` was made by version 0.2.0, the commit 68d998a, with::

    git worktree add /tmp/v020 68d998a
    PYTHONPATH=/tmp/v020:/tmp/v020/worker python tests/store/data/make_job_table.py 0.2.0

It is a dump of SQLite. Every picture is below `/pictures`; a test puts its own folder in that
place. It is kept as it is: every later version must go on with what is in it.

What is in it, one folder each:

`going`   a run that was killed: images done, received without a file (a folder is in the file's
          place), failed (an empty file), running and pending.
`ended`   a finished run, and another one over the same images that kept a caption edited by hand.
`edited`  captions that a person wrote, took back, and changed together by an edit.
`rented`  a run on RunPod, and the ledger: a pod that the run rented and that has ended, one that is
          live, one that was only intended, and one that a person made and the run used.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from PIL import Image

PICTURES = "/pictures"
GOING = 36
"""A dispatcher claims 32 images at once, so that the last few are still pending."""

RENTED = """
import sys
from pathlib import Path
from captiv.request import Options, request
from captiv.settings import Settings
from captiv.store import Store, ingest, jobs, lease, pods, runs

database, folder = map(Path, sys.argv[1:])
options = Options(paths=[folder], model="blip", runpod=True, max_cost="2.50", pods=2)
spec, _ = request(options, Settings.model_validate({"runpod": {"api_key": "x"}}))
hour = 3_600_000
with Store.open(database, holder=True) as store:
    now = store.read(lambda c: c.execute("SELECT max(created_ms) FROM runs").fetchone()[0])
    run, _ = store.write(runs.open_run, spec, now)
    store.write(ingest.add_jobs, run.id, [str(folder / f"r{n}.png") for n in range(3)], now)
    store.write(ingest.mark_scanned, run.id)

    def pod(name, owner, deadline_ms):
        return store.write(
            pods.intend, name, run_id=owner, gpu="NVIDIA RTX A4000", cloud="secure",
            price_micro=170_000, version="0.2.0", deadline_ms=deadline_ms, now_ms=now,
        )

    def came(name, row, pod_id, used=True):
        url = f"https://{pod_id}-8000.proxy.runpod.net"
        assert store.write(pods.arrived, name, pod_id, 170_000, now + 2_000, url)
        assert not used or store.write(pods.begin_use, row, run.id, now + 60_000)

    first = pod("captiv-0a1b2c-ended", run.id, now + 8 * hour)
    came("captiv-0a1b2c-ended", first, "pod0ended")
    assert store.write(pods.ended, first, now + hour, "terminated")
    live = pod("captiv-0a1b2c-live", run.id, now + 8 * hour)
    came("captiv-0a1b2c-live", live, "pod0live")
    pod("captiv-0a1b2c-intended", run.id, now + 8 * hour)
    mine = pod("mine-captiv-0a1b2c", None, None)
    came("mine-captiv-0a1b2c", mine, "pod0mine")
    assert store.write(pods.end_use, mine, run.id, now + hour)
"""
"""The run on RunPod and the ledger, by the statements of that version: nothing is rented."""


def main() -> None:
    version = sys.argv[1]
    target = Path(__file__).with_name(f"captiv-{version}.sql")
    with tempfile.TemporaryDirectory(prefix="captiv-job-table-") as name:
        made = Made(Path(name))
        said = made.captiv("--version")
        assert version in said, f"this captiv is {said}"
        made.edited()
        made.ended()
        made.rented()
        made.going()
        target.write_text(made.dump(), encoding="utf-8")


class Made:
    """An installation of its own, worked on by the commands of the captiv on PYTHONPATH."""

    def __init__(self, folder: Path) -> None:
        self.pictures = folder / "pictures"
        self.home = folder / "home"
        self.hold = folder / "hold"
        self.database = self.home / "data" / "captiv.db"
        options = {"hold": str(self.hold), "hold_after": 2}
        self.env = os.environ | {
            "CAPTIV_HOME": str(self.home),
            "CAPTIV_ENGINE": "captiv.testing.engine:ScriptedEngine",
            "CAPTIV_ENGINE_OPTIONS": json.dumps(options),
            "HF_HUB_OFFLINE": "1",
        }

    def captiv(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "captiv", *arguments]
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False, cwd=self.home.parent
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def draw(self, folder: str, names: list[str]) -> Path:
        """Draw pictures, each of another colour."""
        place = self.pictures / folder
        place.mkdir(parents=True)
        for n, name in enumerate(names):
            Image.new("RGB", (32, 32), (n * 7 % 256, n * 53 % 256, n * 31 % 256)).save(place / name)
        return place

    def generate(self, folder: Path, *arguments: str, code: int = 0) -> None:
        self.captiv(*_generate(folder), *arguments, code=code)

    def edited(self) -> None:
        folder = self.draw("edited", ["e0.png", "e1.png", "e2.png"])
        self.generate(folder)
        self.captiv("caption", "set", str(folder / "e0.png"), "a text of my own")
        self.captiv("caption", "set", str(folder / "e1.png"), "another of my own")
        self.captiv("caption", "undo", str(folder / "e1.png"))
        self.captiv("caption", "replace", str(folder), "--trigger-word", "ohwx", "--yes")

    def ended(self) -> None:
        folder = self.draw("ended", ["n0.png", "n1.png"])
        self.generate(folder, "--extension", "caption")
        (folder / "n1.caption").write_text("found by captiv later", encoding="utf-8")
        self.generate(folder, "--extension", "caption", "--overwrite=all", "--prefix", "q ")
        self.captiv("caption", "set", str(folder / "n0.png"), "by hand", "--extension", "caption")
        self.generate(folder, "--extension", "caption", "--overwrite", "--prefix", "r ")

    def rented(self) -> None:
        folder = self.draw("rented", ["r0.png", "r1.png", "r2.png"])
        command = [sys.executable, "-c", RENTED, str(self.database), str(folder)]
        subprocess.run(command, env=self.env, check=True)

    def going(self) -> None:
        """Kill a run when a few of its images are done and the next batch is at the worker."""
        folder = self.draw("going", [f"g{n:02}.png" for n in range(GOING)])
        (folder / "g00.png").write_bytes(b"")
        (folder / "g01.txt").mkdir()
        self.hold.touch()
        process = subprocess.Popen(
            [sys.executable, "-m", "captiv", *_generate(folder), "--batch-size", "1"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home.parent,
        )
        states = (1, 1, 1)
        _until(lambda: self._counted() == states)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _counted(self) -> tuple[int, ...]:
        """How many images of the last run are done, received without a file, and failed."""
        with closing(sqlite3.connect(self.database)) as conn:
            row = conn.execute(
                "SELECT done, captioned, failed FROM runs ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return tuple(row)

    def dump(self) -> str:
        with closing(sqlite3.connect(self.database)) as conn:
            conn.execute("UPDATE sessions SET host='here'")
            lines = "\n".join(conn.iterdump())
        return lines.replace(str(self.pictures), PICTURES) + "\n"


def _generate(folder: Path) -> list[str]:
    return ["caption", "generate", "--model", "shapes", "-r", str(folder)]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


if __name__ == "__main__":
    main()
