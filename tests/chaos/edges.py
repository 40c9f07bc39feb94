"""A storm at the edges of a run: its terminal, its limits, its sidecars, its worker, the wire.

Each fault is drawn by seed and meets a run under way. Whatever the command then says is held
against what is on disk: exit code 0 may only be said when every picture has its caption, and no
fault of these is a fault of captiv's (70).
"""

import json
import os
import random
import re
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from captiv.store import Connection, Store
from captiv.store.texts import encode_path
from tests.chaos.terminal import Terminal
from tests.dispatch.mixing import Mixing, mixing
from tests.serving import started_by_hand
from tests.support import Home, kill, until

Fault = Literal[
    "captiv killed",
    "worker killed",
    "terminal closed",
    "terminal not read",
    "terminal gone before",
    "few files",
    "small files",
    "sidecars removed",
    "captions unset",
    "worker hangs",
    "worker stopped",
    "answers mixed up",
]
FAULTS: tuple[Fault, ...] = Fault.__args__  # type: ignore[attr-defined]
DEADLINE_S = 180.0
_SAID = frozenset({0, 1, 3, 4, 130, -signal.SIGKILL})
"""How a command may end under these faults."""
_FEW_FILES = (24, 40, 64)
_SMALL_FILES = (16_384, 65_536, 262_144)


@dataclass(frozen=True)
class Confused:
    """A worker that was started by hand, as a proxy gives it that mixes answers up."""

    url: str
    token: str
    log: Path

    def keys(self) -> list[str]:
        """Return the keys of every image that it captioned."""
        return re.findall(r" caption key=(\S+)", self.log.read_text())


@contextmanager
def confused(home: Home) -> Iterator[Confused]:
    """Start such a worker with the engine of this home."""
    token, log = "a-token-of-the-tests", home.folder / "confused.log"
    script = json.loads(home.env["CAPTIV_ENGINE_OPTIONS"])
    with (
        started_by_hand(home, token, "--model", "shapes", script=script, log=log) as url,
        mixing(Mixing(url, repeats=lambda n: n % 3 == 0)) as proxy,
    ):
        yield Confused(proxy, token, log)


@dataclass
class Edges:
    """One storm over the pictures of one installation, until its faults or its pictures end."""

    home: Home
    expected: dict[str, str]
    seed: int
    hold: Path
    """While this file exists, the worker's engine hangs."""
    confused: Confused
    """A worker behind a proxy that mixes answers up."""
    rhythm: int = 6
    """Up to so many images are captioned between two faults."""
    struck: list[Fault] = field(default_factory=list)
    paid_twice: list[int] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    """Exit codes that what is on disk contradicts."""
    _terminal: Terminal | None = None
    _received: set[int] = field(default_factory=set)
    _unset_jobs: set[int] = field(default_factory=set)
    """Whose captions were removed by a person: they are captioned again."""
    _read: Counter[int] = field(default_factory=Counter)

    def blow(self, faults: list[Fault]) -> None:
        """Let these faults happen, in order, as long as there is something to caption."""
        chance = random.Random(self.seed)
        for fault in faults:
            if self._complete():
                break
            self._strike(fault, chance)
            self.struck.append(fault)
            self.look()
        self._end()

    def last(self, *options: str, gone: bool = False) -> int:
        """Give the command once more, to its end; with `gone` its terminal is closed already."""
        terminal = self._start(*options, gone=gone)
        code = terminal.wait(DEADLINE_S)
        self._ended()
        self.look()
        return code

    def failures(self) -> set[str]:
        """Return the codes of what failed."""

        def look(conn: Connection) -> set[str]:
            rows = conn.execute("SELECT error_code FROM jobs WHERE state = 'failed'")
            return {row[0] for row in rows}

        with Store.open(self.home.data / "data" / "captiv.db", read_only=True) as store:
            return store.read(look)

    def look(self) -> None:
        """Compare what the workers did since the last look with what had been received by then."""
        done = Counter(self._captioned()) - self._read
        self.paid_twice += [job for job in done.elements() if job in self._received]
        self._received |= self._jobs("state IN ('captioned', 'done')") - self._unset_jobs
        self._read = Counter(self._captioned())

    def _strike(self, fault: Fault, chance: random.Random) -> None:
        acts: dict[Fault, Callable[[random.Random], None]] = {
            "captiv killed": self._killed,
            "worker killed": self._worker_killed,
            "terminal closed": self._closed,
            "terminal gone before": self._gone_before,
            "terminal not read": self._not_read,
            "few files": self._few_files,
            "small files": self._small_files,
            "sidecars removed": self._removed,
            "captions unset": self._unset,
            "worker hangs": self._hung,
            "worker stopped": self._stopped,
            "answers mixed up": self._mixed_up,
        }
        acts[fault](chance)

    # -- the faults ------------------------------------------------------------------------------

    def _killed(self, chance: random.Random) -> None:
        self._progressed(chance)
        self._end()

    def _worker_killed(self, chance: random.Random) -> None:
        self._progressed(chance)
        kill(self._workers())

    def _closed(self, chance: random.Random) -> None:
        terminal = self._running()
        if chance.random() < 0.5:
            self._progressed(chance)
        else:
            time.sleep(chance.uniform(0, 1.5))
        terminal.close()
        self._ended()

    def _gone_before(self, chance: random.Random) -> None:
        self._end()
        self._start(gone=True)
        self._progressed(chance)

    def _not_read(self, chance: random.Random) -> None:
        self._running().read = False
        self._progressed(chance)

    def _few_files(self, chance: random.Random) -> None:
        self._limited(resource.RLIMIT_NOFILE, chance.choice(_FEW_FILES), chance)

    def _small_files(self, chance: random.Random) -> None:
        self._limited(resource.RLIMIT_FSIZE, chance.choice(_SMALL_FILES), chance)

    def _removed(self, chance: random.Random) -> None:
        self._killed(chance)
        for path in self._some(chance):
            path.unlink()

    def _limited(self, which: int, limit: int, chance: random.Random) -> None:
        self._end()
        self._start(limits={which: limit})
        self._progressed(chance, within_s=10)
        self._end()

    def _hung(self, chance: random.Random) -> None:
        self._progressed(chance)
        before = self._workers()
        self.hold.touch()
        try:
            self._while_running(lambda: bool(self._workers()) and self._workers() == before)
        finally:
            self.hold.unlink()

    def _stopped(self, chance: random.Random) -> None:
        self._progressed(chance)
        stopped = self._workers()
        for pid in stopped:
            _signalled(pid, signal.SIGSTOP)
        try:
            self._while_running(lambda: self._workers() == stopped)
        finally:
            for pid in stopped:
                _signalled(pid, signal.SIGCONT)

    def _mixed_up(self, chance: random.Random) -> None:
        self._end()
        self._start("--worker", self.confused.url, CAPTIV_WORKER_TOKEN=self.confused.token)
        self._progressed(chance, within_s=20)
        self._end()

    def _unset(self, chance: random.Random) -> None:
        self._killed(chance)
        for path in self._some(chance)[:1]:
            picture = self._picture(path)
            self._unset_jobs |= self._jobs("path = ?", encode_path(str(picture)))
            self._received -= self._unset_jobs
            unset = self.home.run("caption", "unset", str(picture))
            assert unset.code == 0, unset

    # -- the command -----------------------------------------------------------------------------

    def _running(self) -> Terminal:
        """Return the command under way, given again if it has ended."""
        if self._terminal is not None and self._terminal.code is not None:
            self._ended()
        return self._terminal or self._start()

    def _start(
        self,
        *options: str,
        limits: dict[int, int] | None = None,
        gone: bool = False,
        **env: str,
    ) -> Terminal:
        command = self.home.command(
            "caption", "generate", "--model", "shapes", "-r", str(self.home.pictures)
        )
        self._terminal = Terminal(
            [*command, "--batch-size", "4", *options],
            env=self.home.env | env,
            cwd=self.home.pictures,
            limits=limits or {},
            gone=gone,
        )
        return self._terminal

    def _end(self) -> None:
        """End the command with kill -9."""
        if self._terminal is not None:
            self._terminal.kill()
            self._ended()

    def _ended(self) -> None:
        """Wait for the command's end, and hold what it says against what is there."""
        assert self._terminal is not None
        code = self._terminal.wait(DEADLINE_S)
        there = self._complete()
        unheard = code == -signal.SIGHUP and not self._terminal.said  # Python was still starting
        if (code not in _SAID and not unheard) or (code == 0 and not there):
            self.lies.append(f"exit {code}, {'all' if there else 'not all'} captions are there")
        self._terminal = None
        until(lambda: not self._workers(), "the worker of an ended command ended")

    def _progressed(self, chance: random.Random, *, within_s: float = DEADLINE_S) -> None:
        """Return when some more images are captioned, or the command has ended."""
        self._running()
        goal = len(self._captioned()) + chance.randint(0, self.rhythm)
        end = time.monotonic() + within_s
        while len(self._captioned()) < goal and self._running().code is None:
            if time.monotonic() > end:
                assert within_s < DEADLINE_S, "the storm makes no progress"
                return
            if self._complete():
                return
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))

    def _while_running(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_S
        while holds() and self._terminal is not None and self._terminal.code is None:
            assert time.monotonic() < end, "a worker that hangs is waited for for ever"
            time.sleep(0.02)

    # -- what is there ---------------------------------------------------------------------------

    def _some(self, chance: random.Random) -> list[Path]:
        """Return some sidecars of this run."""
        there = sorted(self.home.pictures.rglob("*.txt"))
        return chance.sample(there, min(len(there), chance.randint(1, 5)))

    def _picture(self, sidecar: Path) -> Path:
        (picture,) = (p for p in sidecar.parent.glob(f"{sidecar.stem}.*") if p != sidecar)
        return picture

    def _complete(self) -> bool:
        return self.home.captions() == self.expected

    def _workers(self) -> list[int]:
        return self.home.workers()

    def _captioned(self) -> list[int]:
        keys = [*self.home.worker_keys(), *self.confused.keys()]
        return [int(key.split("-")[1]) for key in keys]

    def _jobs(self, which: str, *values: object) -> set[int]:
        database = self.home.data / "data" / "captiv.db"
        if not database.exists():
            return set()

        def look(conn: Connection) -> set[int]:
            return {row[0] for row in conn.execute(f"SELECT id FROM jobs WHERE {which}", values)}

        with Store.open(database, read_only=True) as store:
            return store.read(look)


def _signalled(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
