"""What a guard decides: pure, over moments that a test makes up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from captiv_worker.guard.rules import (
    BACKOFF_S,
    STOP_S,
    Do,
    Due,
    Limits,
    Now,
    Outcome,
    Rules,
    backoff_s,
)
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH_S = 1_790_000_000.0
RETRY_S = 60.0


@dataclass
class Pod:
    """A guard whose clock passes when a test says so, and what it did."""

    limits: Limits = field(default_factory=lambda: Limits(startup_s=900, idle_s=900))
    skew_s: float = 0.0
    """How far the wall clock has jumped."""
    random: Callable[[], float] = Random(3).random
    mono_s: float = 50.0
    done: list[tuple[Do, float]] = field(default_factory=list)
    running: bool = False
    loaded: bool = False
    """Whether the worker was started to load a model."""

    def __post_init__(self) -> None:
        self.rules = Rules(self.limits, self.now, retry_s=RETRY_S, random=self.random)

    @property
    def now(self) -> Now:
        return Now(self.mono_s, EPOCH_S + self.mono_s + self.skew_s)

    def turn(self) -> float:
        """Do all that is to be done now; return how long to wait."""
        for _ in range(9):
            step = self.rules.decide(self.now)
            if step.do is Do.WAIT:
                return step.wait_s
            self.done.append((step.do, self.mono_s))
            self._do(step.do)
            if step.do is Do.QUIT:
                return 0.0
        raise AssertionError(f"it never waits: {self.done}")

    def _do(self, do: Do) -> None:
        match do:
            case Do.START:
                assert not self.running, "two workers"
                self.running, self.loaded = True, not self.rules.unloaded
                self.rules.started()
            case Do.STOP | Do.KILL:
                assert self.running, "a signal to nobody"
                self.rules.stopping(self.now)
            case Do.END_POD:
                self.rules.tried(self.now)
            case Do.QUIT:
                assert not self.running, "a worker is left behind"

    def dies(self, *, killed: bool = False) -> None:
        self.running = False
        self.rules.ended(self.now, killed=killed)

    def passes(self, seconds: float) -> "Pod":
        """Let time pass, turning whenever the guard wants to."""
        end_s = self.mono_s + seconds
        while (wait_s := self.turn()) <= end_s - self.mono_s:
            self.mono_s += max(wait_s, 0.001)
        self.mono_s = end_s
        self.turn()
        return self

    def times(self, do: Do) -> list[float]:
        return [at_s for what, at_s in self.done if what is do]


def ready(**given: object) -> Pod:
    pod = Pod(**given)  # type: ignore[arg-type]
    pod.turn()
    pod.rules.ready(pod.now)
    return pod


def test_a_worker_is_started_at_once_and_nothing_else_happens() -> None:
    pod = Pod().passes(899)

    assert pod.done == [(Do.START, 50.0)]


def test_a_pod_that_is_not_ready_in_time_is_ended() -> None:
    pod = Pod().passes(901)

    assert pod.times(Do.END_POD) == [950.0]
    assert pod.rules.due(pod.now) is Due.NOT_READY


def test_idle_counts_from_ready_and_then_from_the_last_word() -> None:
    pod = Pod().passes(800)
    pod.rules.ready(pod.now)
    pod.passes(800)
    pod.rules.alive(pod.now)
    pod.passes(899)

    assert pod.times(Do.END_POD) == []
    pod.passes(2)
    assert len(pod.times(Do.END_POD)) == 1
    assert pod.rules.due(pod.now) is Due.IDLE


def test_a_word_before_it_is_ready_does_not_prolong_the_start() -> None:
    pod = Pod().passes(800)
    pod.rules.alive(pod.now)
    pod.passes(101)

    assert pod.rules.due(pod.now) is Due.NOT_READY


def test_a_deadline_is_absolute_and_outranks_life() -> None:
    pod = ready(limits=Limits(startup_s=900, idle_s=900, deadline=EPOCH_S + 350))
    for _ in range(299):
        pod.passes(1)
        pod.rules.alive(pod.now)

    assert pod.times(Do.END_POD) == []
    pod.passes(1)
    assert pod.times(Do.END_POD) == [350.0]
    assert pod.rules.due(pod.now) is Due.DEADLINE


def test_a_jump_of_the_wall_clock_makes_nobody_idle() -> None:
    pod = ready()
    pod.skew_s = 1e6
    pod.passes(500)
    pod.skew_s = -1e6
    pod.passes(399)

    assert pod.times(Do.END_POD) == []


def test_it_tries_to_end_the_pod_for_ever() -> None:
    pod = ready().passes(900 + 7200)
    times = pod.times(Do.END_POD)
    apart = [after - before for before, after in pairwise(times)]

    assert min(apart) >= 0.75 * RETRY_S
    assert max(apart) <= 1.25 * RETRY_S
    assert len(set(apart)) > 50
    assert pod.rules.due(pod.now) is Due.IDLE


def test_life_in_between_ends_the_attempts() -> None:
    pod = ready().passes(1000)
    tried = len(pod.times(Do.END_POD))
    pod.rules.alive(pod.now)
    pod.passes(899)

    assert tried > 0
    assert len(pod.times(Do.END_POD)) == tried


def test_new_limits_take_the_place_of_both() -> None:
    pod = ready(limits=Limits(startup_s=900, idle_s=900, deadline=EPOCH_S + 350))
    pod.passes(299)
    pod.rules.renew(5000, None)
    pod.passes(4600)

    assert pod.times(Do.END_POD) == []
    pod.rules.renew(5000, 0)
    pod.turn()
    assert len(pod.times(Do.END_POD)) == 1


def test_a_worker_that_keeps_ending_is_started_more_and_more_slowly() -> None:
    pod = Pod(limits=Limits(startup_s=1e6, idle_s=1e6))
    waits = []
    for _ in range(8):
        pod.passes(100)
        pod.dies()
        died_s = pod.mono_s
        pod.passes(31)
        waits.append(pod.times(Do.START)[-1] - died_s)

    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30], abs=0.01)
    assert pod.rules.restarts == 8
    assert backoff_s(100_000) == BACKOFF_S


def test_a_caption_makes_the_crashes_before_it_forgotten() -> None:
    pod = ready()
    for _ in range(4):
        pod.passes(30)
        pod.dies()
    pod.passes(30)
    pod.rules.captioned()
    assert pod.rules.restarts == 0

    pod.dies()
    died_s = pod.mono_s
    pod.passes(5)

    assert pod.rules.restarts == 1
    assert pod.times(Do.START)[-1] == pytest.approx(died_s + 1, abs=0.01)


@pytest.mark.parametrize("killed", [True, False])
def test_how_the_worker_died_is_remembered_for_the_next(killed: bool) -> None:
    pod = ready()
    pod.dies(killed=killed)
    pod.passes(2)

    assert pod.rules.killed is killed


def test_a_refused_guard_takes_the_model_out_of_the_worker() -> None:
    pod = ready().passes(900)
    pod.rules.answered(Outcome.REFUSED, pod.now)
    pod.turn()
    stopped = pod.done[-1]
    pod.dies()
    pod.turn()

    assert stopped[0] is Do.STOP
    assert pod.done[-1][0] is Do.START
    assert pod.rules.unloaded
    assert pod.rules.restarts == 0
    pod.passes(3600)
    assert pod.done.count((Do.STOP, stopped[1])) == len(pod.times(Do.STOP)) == 1
    assert len(pod.times(Do.END_POD)) > 40


def test_a_worker_that_does_not_end_when_told_is_killed() -> None:
    pod = ready().passes(900)
    pod.rules.answered(Outcome.REFUSED, pod.now)
    pod.passes(STOP_S + 1)

    assert pod.times(Do.KILL) == [pytest.approx(950 + STOP_S)]


def test_a_model_loaded_after_a_refusal_stays_until_the_next_one() -> None:
    pod = ready().passes(900)
    pod.rules.answered(Outcome.REFUSED, pod.now)
    pod.turn()
    pod.dies()
    pod.turn()
    pod.rules.ready(pod.now)
    assert not pod.rules.unloaded

    pod.passes(900)
    pod.rules.answered(Outcome.REFUSED, pod.now)
    pod.turn()
    assert len(pod.times(Do.STOP)) == 2


def test_a_refusal_that_comes_after_new_life_changes_nothing() -> None:
    pod = ready().passes(900)
    pod.rules.alive(pod.now)
    pod.rules.answered(Outcome.REFUSED, pod.now)
    pod.turn()

    assert pod.times(Do.STOP) == []


def test_told_to_quit_it_ends_its_worker_first() -> None:
    pod = ready()
    pod.rules.quit(pod.now)
    pod.passes(1)
    pod.dies()
    pod.turn()

    assert [do for do, _ in pod.done] == [Do.START, Do.STOP, Do.QUIT]


def test_told_twice_it_does_not_wait_for_its_worker() -> None:
    pod = ready()
    for _ in range(2):
        pod.rules.quit(pod.now)
        pod.turn()

    assert [do for do, _ in pod.done[-2:]] == [Do.STOP, Do.KILL]


EVENTS = st.sampled_from(
    ["alive", "ready", "captioned", "dies", "killed", "gone", "refused", "failed", "renew", "past"]
)


@settings(deadline=None)
@given(
    events=st.lists(st.tuples(EVENTS, st.floats(0, 700))),
    deadline_s=st.none() | st.floats(0, 9000),
    random=st.floats(0, 1),
)
def test_whatever_happens_it_never_quits_and_ends_the_pod_when_it_is_due(
    events: list[tuple[str, float]], deadline_s: float | None, random: float
) -> None:
    deadline = None if deadline_s is None else EPOCH_S + deadline_s
    pod = Pod(Limits(startup_s=900, idle_s=600, deadline=deadline), random=lambda: random)
    for event, seconds in events:
        pod.passes(seconds)
        happens(pod, event)
        pod.turn()
        if pod.running and pod.loaded and pod.rules.unloaded:
            assert pod.times(Do.STOP)
            assert pod.times(Do.STOP)[-1] >= pod.times(Do.START)[-1]
        if pod.rules.due(pod.now) is not None:
            assert pod.mono_s - pod.times(Do.END_POD)[-1] <= 1.25 * RETRY_S

    assert pod.times(Do.QUIT) == []
    pod.rules.renew(600, 0)
    tries = len(pod.times(Do.END_POD))
    pod.passes(1.25 * RETRY_S + 0.1)
    assert len(pod.times(Do.END_POD)) > tries
    pod.passes(BACKOFF_S + STOP_S)
    pod.rules.quit(pod.now)
    pod.turn()
    if pod.running:
        pod.dies()
    pod.turn()
    assert pod.done[-1][0] is Do.QUIT


def happens(pod: Pod, event: str) -> None:
    match event:
        case "dies" | "killed" if pod.running:
            pod.dies(killed=event == "killed")
        case "alive":
            pod.rules.alive(pod.now)
        case "ready" if pod.running:
            pod.rules.ready(pod.now)
        case "captioned":
            pod.rules.captioned()
        case "gone" | "refused" | "failed":
            pod.rules.answered(Outcome(event), pod.now)
        case "renew":
            pod.rules.renew(600, pod.now.epoch_s + 1000)
        case "past":
            pod.rules.renew(600, 0)
