"""Days of one run, in a calendar that runs fast: planned ends, preemptions and an outage.

Guards, API, bill and captiv's own wall time go by the calendar; requests, batches and silences take
the real time that they take. So the calendar runs an hour in a few seconds while pods caption, and
slows down to real time for whatever is to be paid by the second: a pod that comes, or that goes.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from captiv.store import Connection, Store
from captiv.testing.clock import FastClock
from captiv.testing.cloud import Pod
from tests.chaos.rentals import Rental, rental
from tests.support import Ended, Home, until

pytestmark = [pytest.mark.timeout(1200), pytest.mark.allow_blocking]

HOUR_S = 3600
BATCH = 4
TAIL = 5 * BATCH
"""Images that are left for when the last hour is over: then the pods end in real time."""
NEAR_S = 60
BLIND_S = 5
"""By so much captiv may be late to know that a pod began or ended, in real time."""


@dataclass
class History:
    """A command that is given once, what its pods live through, and when."""

    rented: Rental
    clock: FastClock
    run: Future[Ended]
    began_s: float
    hours: float
    images: int
    images_s: float
    """How many images the pods caption in a real second, at most."""
    spare: int
    """About how many are still to be captioned while the calendar is slow."""

    @property
    def hour(self) -> float:
        """How many hours it has lasted."""
        return (self.clock() - self.began_s) / HOUR_S

    @property
    def captioned(self) -> int:
        """How many images have their caption."""
        return int(self.ask(_captions))

    def ask(self, question: Callable[[Connection], Any]) -> Any:
        """Look into the job table."""
        with Store.open(self.rented.home.data / "data" / "captiv.db", read_only=True) as store:
            return store.read(question)

    def pods(self) -> list[Pod]:
        """Return the pods that caption now, the oldest first."""
        return [pod for pod in self.rented.cloud.pods() if pod.status == "RUNNING"]

    # -- time passes -----------------------------------------------------------------------------

    def reach(self, hour: float) -> None:
        """Let the pods caption until a minute before this hour; then time is real again."""
        while (left_s := (hour - self.hour) * HOUR_S) > NEAR_S:
            assert not self.run.done(), (self.hour, self.run.result())
            self.clock.run(max(1.0, min(self._rate(), left_s)))
            time.sleep(0.1)
        self.clock.run(1)

    def _rate(self) -> float:
        """Return how fast the calendar has to run for the images to last until the end."""
        lasts_s = max(0.5, (self.images - TAIL - self.spare - self.captioned) / self.images_s)
        return (self.hours - self.hour) * HOUR_S / lasts_s

    @contextmanager
    def slowly(self, rate: float) -> Iterator[None]:
        """Let the calendar run at this rate meanwhile, and then at the rate of real time."""
        before = self.captioned
        self.clock.run(rate)
        yield
        self.clock.run(1)
        self.spare = max(0, self.spare - (self.captioned - before))

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something to happen while the command runs."""
        until(lambda: holds() or self.run.done(), what, every_s=0.1, within_s=120)
        assert not self.run.done(), (what, self.run.result())

    # -- what happens ----------------------------------------------------------------------------

    def captioning(self, count: int) -> None:
        """Wait until so many pods caption."""
        self.wait(
            lambda: len(self.pods()) == count and all(map(_has_captioned, self.pods())),
            f"{count} pods caption",
        )

    def preempted(self, pod: Pod) -> None:
        """Its host takes the pod away; another one has its place."""
        count = len(self.pods())
        with self.slowly(1):
            self.rented.cloud.mischief.arm("preempted", pod=pod.id, after=0)
            self.wait(lambda: pod.terminated, "the pod that was taken away is ended")
            self.captioning(count)

    def cut_off(self, for_s: float, rate: float) -> None:
        """This machine's network is down for a while."""
        with self.slowly(rate):
            outage = self.rented.cloud.mischief.arm("blackout", times=None, for_s=for_s / rate)
            self.wait(lambda: outage.spent, "the outage is over")
            before = self.captioned
            self.wait(lambda: self.captioned > before + BATCH, "captions come again")

    def handed_over(self, pod: Pod, rate: float) -> Pod:
        """The pod's planned end comes; return its successor."""
        count = len(self.pods())
        with self.slowly(rate):
            self.wait(lambda: pod.terminated, "the pod that was near its planned end is ended")
            self.clock.run(1)
            self.captioning(count)
        return self.pods()[-1]

    def over(self) -> Ended:
        """Let the last hours pass and the command end, its pods in real time."""
        self.spare = 0
        while self.captioned < self.images - TAIL and not self.run.done():
            self.clock.run(max(1.0, self._rate()))
            time.sleep(0.1)
        self.clock.run(1)
        return self.run.result(timeout=300)


@contextmanager
def history(
    home: Home, *, hours: float, images: int, spare: int, pods: int, batch_s: float
) -> Iterator[History]:
    """Give one command in a calendar of its own."""
    home.scenes(images)
    clock = FastClock(home.folder / "clock")
    settings = {"CAPTIV_RUNPOD_GUARD_IDLE": "120"}
    with (
        ThreadPoolExecutor(1) as thread,  # without its cloud the command ends, whatever has failed
        rental(home, batch_s=batch_s, clock=clock, env=settings) as rented,
    ):
        rented.options = (*rented.options, "--pods", str(pods))
        run = thread.submit(home.generate, *rented.options, timeout=1000)
        images_s = pods * BATCH / batch_s
        days = History(rented, clock, run, clock(), hours, images, images_s, spare)
        days.captioning(pods)
        yield days


def keeps_no_limits(pod: Pod) -> None:
    """Have the pod's disk refuse new limits of its guard: its planned end cannot be moved."""
    (sign,) = pod.disk.glob("tmp/*/alive")
    sign.with_name("limits.json.part").mkdir()


def renewals(days: History) -> int:
    """Return how often a guard was told of a later end."""
    lines = [line.text for pod in days.rented.cloud.pods() for line in pod.log.lines("container")]
    return sum("limits_renewed" in line for line in lines)


def lost_nothing(days: History, home: Home, expected: dict[str, str]) -> None:
    """See that the command has done what it was to do, and that it knows what it has cost."""
    ended, rented = days.over(), days.rented
    assert ended.code == 0, ended
    assert "were lost within" not in ended.err
    assert home.captions() == expected
    assert rented.computed_again(days.clock.real_s) == []
    rented.gone()
    assert rented.unknown() == []
    assert rented.off_the_bill() <= rented.leeway(BLIND_S), rented.cloud.bill()


def undisturbed(folder: Home, images: int) -> dict[str, str]:
    """Return what a run without any trouble makes of the same pictures."""
    folder.scripted().scenes(images)
    ended = folder.generate(timeout=600)
    assert ended.code == 0, ended
    return folder.captions()


@pytest.mark.chaos
def test_a_pod_that_can_not_be_kept_beyond_its_planned_end_is_handed_over(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(Home(tmp_path_factory.mktemp("calm")), images=320)
    with history(home, hours=26, images=320, spare=160, pods=1, batch_s=0.5) as days:
        (first,) = days.pods()
        keeps_no_limits(first)
        days.reach(23.98)
        days.handed_over(first, rate=10)

        lost_nothing(days, home, expected)
        assert days.hour >= 25
        assert len(days.rented.cloud.pods()) == 2
        assert "its planned end was near" in days.ask(_reasons)


@pytest.mark.chaos
def test_a_run_of_80_hours_with_planned_ends_preemptions_and_an_outage(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(Home(tmp_path_factory.mktemp("calm")), images=2400)
    with history(home, hours=82, images=2400, spare=500, pods=2, batch_s=1.0) as days:
        kept, _ = days.pods()
        keeps_no_limits(kept)
        for hour in (6, 12):
            days.reach(hour)
            days.preempted(_other(days, kept))
        days.reach(23.98)
        kept = days.handed_over(kept, rate=5)
        days.reach(36)
        days.preempted(_other(days, kept))
        days.reach(46)
        days.preempted(_other(days, kept))
        days.reach(52)
        days.cut_off(for_s=600, rate=20)
        for hour in (58, 70):
            days.reach(hour)
            days.preempted(_other(days, kept))

        lost_nothing(days, home, expected)
        assert days.hour >= 80
        assert len(days.rented.cloud.pods()) == 2 + 6 + 1
        assert days.rented.cloud.seconds(kept.id) > 55 * HOUR_S
        assert renewals(days) >= 3
        print(_told(days))


def _other(days: History, kept: Pod) -> Pod:
    return next(pod for pod in days.pods() if pod.id != kept.id)


def _told(days: History) -> str:
    cloud, off = days.rented.cloud, days.rented.off_the_bill()
    return (
        f"{days.hour:.2f} h, {len(cloud.pods())} pods, {days.captioned} captions, "
        f"${cloud.bill():.4f} billed, the ledger off by ${off:.4f}"
    )


def _has_captioned(pod: Pod) -> bool:
    return any(" caption key=" in line.text for line in pod.log.lines("container"))


def _captions(conn: Connection) -> int:
    (count,) = conn.execute("SELECT count(*) FROM captions").fetchone()
    return int(count)


def _reasons(conn: Connection) -> list[str]:
    return [reason for (reason,) in conn.execute("SELECT end_reason FROM pods")]
