"""A storm: kill -9 of captiv and of its worker at seeded random moments, until all is captioned.

After every kill the job table says which images were received; no later line of the worker's log
may name one of them. What is left at the end must equal an undisturbed run.
"""

import random
import re
import time
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Literal

from captiv.store import Connection, Store
from tests.support import Home, finish, kill

Victim = Literal["captiv", "worker"]
DEADLINE_S = 180.0
"""Within it a command, a worker and torch have been started, on whatever machine."""


@dataclass
class Storm:
    """One storm over the pictures of one installation."""

    home: Home
    seed: int
    captiv_kills: int
    worker_kills: int
    options: tuple[str, ...] = ()
    rhythm: int = 10
    """Up to so many images are captioned between two kills."""
    paid_twice: list[int] = field(default_factory=list)
    _process: Popen[str] | None = None
    _received: set[int] = field(default_factory=set)
    _read: int = 0

    def blow(self) -> None:
        """Make all the kills; the caller then runs the command once more to its end."""
        chance = random.Random(self.seed)
        victims: list[Victim] = ["captiv" for _ in range(self.captiv_kills)]
        victims += ["worker" for _ in range(self.worker_kills)]
        chance.shuffle(victims)
        for victim in victims:
            self._struck(victim, chance)
        process = self._running()
        process.kill()
        finish(process)
        self.look()

    def look(self) -> None:
        """Compare what the worker did since the last look with what had been received by then."""
        done = self._captioned()
        self.paid_twice += [job for job in done[self._read :] if job in self._received]
        self._received |= self._committed()
        self._read = len(self._captioned())

    def _struck(self, victim: Victim, chance: random.Random) -> None:
        process = self._running()
        goal = len(self._captioned()) + chance.randint(0, self.rhythm)
        deadline = time.monotonic() + DEADLINE_S
        while len(self._captioned()) < goal and process.poll() is None:
            assert time.monotonic() < deadline, "the storm makes no progress"
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.25))
        if victim == "worker":
            self._kill_worker(process)
        else:
            process.kill()
            finish(process)
            self._process = None
        self.look()

    def _kill_worker(self, process: Popen[str]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not (workers := self.home.workers()):
            if process.poll() is not None:
                process = self._running()
            assert time.monotonic() < deadline, "there is no worker to kill"
            time.sleep(0.01)
        kill(workers)

    def _running(self) -> Popen[str]:
        """Return the command under way, started again if it gave up."""
        if self._process is not None and self._process.poll() is not None:
            finish(self._process)
            self._process = None
        if self._process is None:
            self._process = self.home.start_generate(*self.options)
        return self._process

    def _captioned(self) -> list[int]:
        return [int(re.split("-", key)[1]) for key in self.home.worker_keys()]

    def _committed(self) -> set[int]:
        database = self.home.data / "data" / "captiv.db"
        if not database.exists():
            return set()
        with Store.open(database, read_only=True) as store:
            return store.read(_received_jobs)


def _received_jobs(conn: Connection) -> set[int]:
    rows = conn.execute("SELECT id FROM jobs WHERE state IN ('captioned', 'done')")
    return {int(job) for (job,) in rows}
