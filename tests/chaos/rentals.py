"""A rental under observation: the command, the cloud that it rents from, and who looks on.

What is looked at afterwards: the captions, what the pods' workers logged, the ledger beside the
bill, and every place where a secret could have been left.
"""

import hashlib
import json
import math
import random
import re
import stat
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from captiv.core.cost import price_of, total
from captiv.core.jobs import RunId
from captiv.settings import installation_secret, worker_token
from captiv.store import Connection, Store, pods
from captiv.testing.clock import FastClock
from captiv.testing.cloud import Cloud, running
from captiv.testing.cloud.conditions import RUNPOD_QUOTA
from tests.roads import IN_THE_IMAGE, Road
from tests.support import Ended, Home, alive, finish, until

PICTURES = 24
BATCH_S = 0.3
CLOCK = "CAPTIV_TEST_CLOCK_AHEAD_S"
_CLOCKS_S = (0, 0, 0, 40, -40, 7200, -7200, 3 * 86_400, -3 * 86_400)
"""How wrong the clock of the user's machine may be."""
_BEFORE_THE_ANSWER = ("the command began", "RunPod was asked", "the pod was asked for")
_CAPTIONED = re.compile(r"^ts=(\S+) .* caption key=[^-\s]+-(\d+)-.* engine_s=([\d.]+)")


Moment = tuple[str, Callable[[], bool], float]
"""A landmark of a rental, how it is told, and how long after it a kill may come, in seconds."""


@dataclass
class Rental:
    """One installation, its cloud, and everything that it said."""

    home: Home
    cloud: Cloud
    said: list[Ended] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    """How many calls the cloud had answered this account when each command was given."""
    lines: set[bytes] = field(default_factory=set)
    """Every command line that was seen on this machine meanwhile."""
    stalled_s: float = 0.0
    """How long in all this machine let somebody wait who had something to do."""
    options: tuple[str, ...] = ("--runpod", "--fallback", "fail", "--batch-size", "4")
    cap: Decimal | None = None
    """What the run may cost at most, in dollars, as every command says."""

    def insist(self, times: int = 5) -> Ended:
        """Give the command, and again while it says that something is left to do."""
        for _ in range(times):
            until(lambda: not self._without_account(), "the account is good again")
            self._give()
            ended = self.home.generate(*self._words())
            self.said.append(ended)
            assert self._is_true(ended), ended
            if ended.code == 0:
                break
        return self.said[-1]

    def _words(self) -> list[str]:
        return [*self.options, *([] if self.cap is None else ["--max-cost", str(self.cap)])]

    def _without_account(self) -> bool:
        """Whether a person would see to credit or key before giving the command again."""
        return self.cloud.balance() <= 0 or any(
            armed.name == "key_refused" and armed.until is not None
            for armed in self.cloud.mischief.armed()
        )

    def _is_true(self, ended: Ended) -> bool:
        """Whether the exit code is what is so: of captions, and of pods that may bill."""
        whole = len(self.home.captions()) == PICTURES
        match ended.code:
            case 0:
                return whole
            case 1 | 3 | 4:
                return not whole and "may still bill" not in ended.err
            case 5:
                return "may still bill" in ended.err
            case _:
                return False

    def busiest(self) -> int:
        """Return how many calls one command made within a minute, at most.

        Commands that a person gives one after the other share RunPod's quota, and wait for it.
        """
        calls = [call for call in list(self.cloud.history) if call.caller == "account"]
        ends = [*self.given[1:], len(calls)]
        return max(
            bisect_left(times, at + 60) - first
            for begin, end in zip(self.given, ends, strict=True)
            if (times := [call.at for call in calls[begin:end]])
            for first, at in enumerate(times)
        )

    def _give(self) -> None:
        calls = [call for call in list(self.cloud.history) if call.caller == "account"]
        self.given.append(len(calls))

    def killed(self, chance: random.Random, moments: Sequence[Moment] = ()) -> str:
        """Give the command and kill it at a moment of the rental; return which that was."""
        name, reached, within_s = chance.choice(moments or self._moments())
        if chance.random() < 0.3:
            # An answer that never comes is waited for, for longer than the later moments are.
            early = name in _BEFORE_THE_ANSWER
            self.cloud.mischief.arm("created_then_timed_out", status=None if early else 504)
        self._give()
        process = self.home.start_generate(*self._words())
        try:
            until(lambda: reached() or process.poll() is not None, name)
            time.sleep(chance.uniform(0, within_s))
        finally:
            process.kill()
            self.said.append(finish(process))
        return name

    def _moments(self) -> list[Moment]:
        """Return landmarks of a rental, and how long after each of them the kill may come."""
        return [
            ("the command began", lambda: True, 1.5),
            ("RunPod was asked", lambda: bool(self.cloud.history), 0.2),
            ("the pod was asked for", lambda: self._asked("create_pod"), 0.1),
            ("the pod was there", lambda: bool(self.cloud.pods()), 1.5),
            ("a caption was there", lambda: bool(self.home.captions()), 1.0),
            ("every caption was there", lambda: len(self.home.captions()) == PICTURES, 0.1),
            ("the end was asked for", lambda: self._asked("delete_pod", "terminate_pod"), 0.1),
        ]

    def of_the_upload(self) -> list[Moment]:
        """Return the same of captiv's code on its way into a pod, and of what it needs there."""
        return [
            ("the pod was there", lambda: bool(self.cloud.pods()), 0.5),
            ("it waited for captiv's code", lambda: self._logged("bootstrap waiting"), 3.0),
            ("it had captiv's code", lambda: self._logged("bootstrap carried"), 0.5),
            ("its worker was started", lambda: self._logged("worker_started"), 2.0),
        ]

    def _logged(self, words: str) -> bool:
        return any(words in line for pod in self.cloud.pods() for line in pod.log.texts())

    def _asked(self, *operations: str) -> bool:
        return any(call.operation in operations for call in list(self.cloud.history))

    def refused_the_guard(self) -> bool:
        """Whether a guard has asked for its pod's end, and been refused."""
        pods = {pod.id for pod in self.cloud.pods()}
        return any(call.caller in pods and call.status == 403 for call in list(self.cloud.history))

    # -- what came of it -------------------------------------------------------------------------

    def gone(self) -> None:
        """See that no pod is left, and no process of one."""
        until(lambda: not self.cloud.pods_alive(), "every pod ended", every_s=0.1)
        until(lambda: not any(map(alive, self.cloud.processes())), "every process of a pod ended")
        assert not self.home.workers()

    def computed_again(self, real_s: Callable[[float], float] = float) -> list[int]:
        """Return the jobs that a worker began to caption when their caption had been received.

        The last lines of a worker that was killed may be lost: those of its first time, at most.
        Workers write down the real time, which `real_s` makes of captiv's.
        """
        ahead_s = float(self.home.env.get(CLOCK, "0"))
        received = {job: real_s(at - ahead_s) for job, at in self._read(_received).items()}
        lines = [line.text for pod in self.cloud.pods() for line in pod.log.lines("container")]
        found = [match for line in lines if (match := _CAPTIONED.match(line))]
        assert found or not received, "the worker's lines are not understood"
        return [
            int(match[2])
            for match in found
            if datetime.fromisoformat(match[1]).timestamp() - float(match[3])
            > received[int(match[2])]
        ]

    def off_the_bill(self) -> Decimal:
        """Return by how much the ledger differs from the bill, in dollars."""
        return round(abs(total(self._read(_shares)) - self.cloud.bill()), 9)

    def over_its_cap(self) -> bool:
        """Whether all pods together were billed more than the run was to cost at most."""
        return self.cap is not None and self.cloud.bill() > self.cap

    def unknown(self) -> list[str]:
        """Return the pods that the ledger has never heard of: nobody would miss them."""
        known = {row.name for row in self._read(_rows)}
        return [pod.name for pod in self.cloud.pods() if pod.name not in known]

    def leeway(self, blind_s: int) -> Decimal:
        """Return what all pods together cost in so many seconds each, on a machine that is free."""
        seconds = blind_s + math.ceil(self.stalled_s)
        rows = {row.pod_id: price_of(row.price_micro) for row in self._read(_rows)}
        paid = (rows[pod.id] * seconds / 3600 for pod in self.cloud.pods() if pod.id in rows)
        return round(sum(paid, Decimal(0)), 9)

    def _read(self, question: Callable[[Connection], Any]) -> Any:
        with Store.open(self.home.data / "data" / "captiv.db", read_only=True) as store:
            return store.read(question)

    # -- secrets ---------------------------------------------------------------------------------

    def leaks(self) -> list[str]:
        """Return every place where a secret is and does not belong, by its name."""
        secret_file = self.home.data / "data" / "secret.json"
        if not secret_file.exists():
            return []
        secret = installation_secret(secret_file)
        names = [pod.name for pod in self.cloud.pods()]
        secrets = {
            "the API key": self.cloud.account_key.encode(),
            "the installation's secret": secret.key.hex().encode(),
            "the installation's secret, raw": secret.key,
        } | {f"the token of {name}": worker_token(secret, name).encode() for name in names}
        return [
            f"{what} in {where}"
            for where, content in self._places(secret_file)
            for what, text in secrets.items()
            if text in content
        ]

    def _places(self, secret_file: Path) -> Iterator[tuple[str, bytes]]:
        for path in _files(self.home.folder):
            if path != secret_file:
                yield str(path.relative_to(self.home.folder)), path.read_bytes()
        for ended in self.said:
            yield "what the command said", (ended.out + ended.err).encode()
        for line in self.lines.copy():  # somebody looks on still
            yield f"a command line ({line[:60]!r})", line
        for call in list(self.cloud.history):
            yield f"{call.method} {call.path}", call.body + call.query.encode()
        for pod in self.cloud.pods():
            yield f"the log of {pod.name}", "\n".join(pod.log.texts()).encode()

    def readable_by_others(self) -> list[str]:
        """Return the folders of the installation, and its databases and logs, that others see."""
        kept = [path for path in self.home.data.rglob("*") if path.is_dir() or _told(path)]
        return [path.name for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077]

    def told_more_than_a_hash(self) -> list[str]:
        """Return the pods whose environment holds anything of the token but its SHA-256."""
        secret = installation_secret(self.home.data / "data" / "secret.json")
        wrong = []
        for pod in self.cloud.pods():
            env = dict(pod.asked.env or {})
            token = worker_token(secret, pod.name).encode()
            told = env.pop("CAPTIV_WORKER_TOKEN_SHA256", None)
            more = [name for name in env if re.search("TOKEN|SECRET|KEY", name)]
            if told != hashlib.sha256(token).hexdigest() or more:
                wrong.append(pod.name)
        return wrong


@contextmanager
def rental(
    home: Home,
    conditions: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    batch_s: float = BATCH_S,
    clock: FastClock | None = None,
    cap: Decimal | None = None,
    road: Road = IN_THE_IMAGE,
) -> Iterator[Rental]:
    """Have a cloud whose pods run the torch-free engine, and look on while it is used."""
    engine = json.dumps({"batch_s": batch_s, "download": True})
    arguments = ("--engine", road.engine, "--engine-options", engine)
    own = {} if clock is None else dict(clock.environment)
    images = {"env": {**own, **road.env}, "layers": road.layers}
    asked: dict[str, Any] = {"quota_per_minute": RUNPOD_QUOTA, **images, **(conditions or {})}
    with running(worker_args=arguments, clock=clock or time.time, **asked) as cloud:
        home.env |= dict(cloud.environment) | {
            **road.settings,
            "CAPTIV_RUNPOD_LOST_AFTER": "10",
            "CAPTIV_RUNPOD_STARTUP_TIMEOUT": "30",
            "CAPTIV_RUNPOD_GUARD_IDLE": "60",
        }
        home.env |= own | dict(env or {})
        observed = Rental(home, cloud, cap=cap)
        with _Onlooker(observed):
            yield observed


def clock_of(seed: int) -> dict[str, str]:
    """Return the environment of a machine whose clock is drawn by the seed."""
    return {CLOCK: str(random.Random(f"clock {seed}").choice(_CLOCKS_S))}


def cap_of(seed: int) -> Decimal | None:
    """Return what a run may cost at most, drawn by the seed; a storm costs less than the least."""
    return random.Random(f"cap {seed}").choice((None, Decimal("0.10"), Decimal("0.50")))


class _Onlooker:
    """Notes the command line of every process, a few times a second, and how late that is."""

    def __init__(self, rental: Rental) -> None:
        self._rental = rental
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._waits():
            for entry in Path("/proc").iterdir():
                with suppress(OSError):  # it may have ended meanwhile
                    if entry.name.isdecimal():
                        self._rental.lines.add((entry / "cmdline").read_bytes())

    def _waits(self) -> bool:
        due_s = time.monotonic() + 0.2
        over = self._over.wait(0.2)
        self._rental.stalled_s += max(0.0, time.monotonic() - due_s)
        return over


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _told(path: Path) -> bool:
    """Whether it is a database, with its side files, or a log; not a lock, which is empty."""
    return path.stat().st_size > 0 and (".db" in path.name or ".log" in path.name)


def _received(conn: Connection) -> dict[int, float]:
    rows = conn.execute("SELECT job_id, min(created_ms) FROM captions GROUP BY job_id")
    return {int(job): at / 1000 for job, at in rows if job is not None}


def _shares(conn: Connection) -> list[Any]:
    runs = conn.execute("SELECT DISTINCT run_id FROM pod_uses").fetchall()
    return [each for (run,) in runs for each in pods.share(conn, RunId(run), 2**53)]


def _rows(conn: Connection) -> list[Any]:
    names = conn.execute("SELECT name FROM pods").fetchall()
    return [pods.named(conn, name) for (name,) in names]
