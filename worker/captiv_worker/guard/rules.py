"""Decides what the guard does now. Pure: it is told what happened and when, and asked what to do.

Two things run side by side. The pod: as long as a reason to end it is due, an attempt is made every
`retry_s` or so; life or new limits take the reason away again. The worker: it runs, or is started
again at a certain time; it is stopped (SIGTERM, then SIGKILL) to come back without its model after
a refusal, or for good when the guard is told to quit. Nothing but `quit` leads to `Do.QUIT`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

BACKOFF_S = 30.0
"""Longest wait before a worker that keeps ending is started again."""

STOP_S = 10.0
"""How long a worker may take to end after SIGTERM: it gives running requests 3 s."""


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on both clocks: intervals are measured on the first, the deadline on the other."""

    mono_s: float
    epoch_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the pod may live on."""

    startup_s: float
    """From the guard's start until a model is loaded."""
    idle_s: float
    """From then on, or from the last request with the token."""
    deadline: float | None = None
    """Seconds since the epoch."""


class Due(StrEnum):
    """Why the pod has to end."""

    NOT_READY = "not_ready"
    IDLE = "idle"
    DEADLINE = "deadline"


class Outcome(StrEnum):
    """What came of an attempt to end the pod."""

    GONE = "gone"
    REFUSED = "refused"
    """The guard may not, or has nothing to do it with: trying again will hardly help."""
    FAILED = "failed"


class Do(Enum):
    """What the guard does next."""

    WAIT = auto()
    START = auto()
    """Start the worker."""
    STOP = auto()
    """Send it SIGTERM."""
    KILL = auto()
    """Send it SIGKILL."""
    END_POD = auto()
    """Try to end the pod."""
    QUIT = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do; for `WAIT`, how long nothing else can become due by itself."""

    do: Do
    wait_s: float = 0.0


def backoff_s(restarts: int) -> float:
    """Return the wait before this restart, counted from 1: 1, 2, 4 … `BACKOFF_S`."""
    return min(BACKOFF_S, 2.0 ** min(restarts - 1, 10))


class Rules:
    """The guard's memory, and its judgement. `random` gives numbers from 0 to 1."""

    def __init__(
        self, limits: Limits, now: Now, *, retry_s: float, random: Callable[[], float]
    ) -> None:
        self.limits = limits
        self.restarts = 0
        """Since the last caption."""
        self.killed = True
        """Whether the last worker ended by SIGKILL, as one of an earlier container surely did."""
        self.unloaded = False
        """Whether the worker is to run without a model."""
        self._retry_s = retry_s
        self._random = random
        self._born_s = now.mono_s
        self._lived_s: float | None = None
        self._try_s = -math.inf
        self._running = False
        self._start_s = now.mono_s
        self._stop_due_s: float | None = None
        self._replacing = False
        self._quitting = False

    # What happened

    def alive(self, now: Now) -> None:
        """Note that somebody with the token has spoken."""
        if self._lived_s is not None:
            self._lived_s = now.mono_s

    def ready(self, now: Now) -> None:
        """Note that a model is loaded."""
        self._lived_s = now.mono_s
        self.unloaded = False

    def captioned(self) -> None:
        """Note that an image got its caption."""
        self.restarts = 0

    def renew(self, idle_s: float, deadline: float | None) -> None:
        """Take these limits in the place of the ones before."""
        self.limits = replace(self.limits, idle_s=idle_s, deadline=deadline)

    def started(self) -> None:
        """Note that the worker runs."""
        self._running = True
        self._replacing = False

    def stopping(self, now: Now) -> None:
        """Note that a signal was sent to end the worker."""
        self._stop_due_s = now.mono_s + STOP_S

    def ended(self, now: Now, *, killed: bool) -> None:
        """Note that the worker has ended, or could not be started."""
        on_purpose = self._stop_due_s is not None
        self._running, self._stop_due_s = False, None
        self.killed = killed
        if on_purpose:
            self._start_s = now.mono_s
            return
        self.restarts += 1
        self._start_s = now.mono_s + backoff_s(self.restarts)

    def tried(self, now: Now) -> None:
        """Note that an attempt to end the pod is being made."""
        self._try_s = now.mono_s + self._retry_s * (0.75 + 0.5 * self._random())

    def answered(self, outcome: Outcome, now: Now) -> None:
        """Note what came of an attempt: a refused guard takes the model out of the worker."""
        if outcome is Outcome.REFUSED and not self.unloaded and self.due(now) is not None:
            self.unloaded = True
            self._replacing = self._running

    def quit(self, now: Now) -> None:
        """Note a signal to end; a second one does not wait for the worker."""
        if self._quitting and self._stop_due_s is not None:
            self._stop_due_s = now.mono_s
        self._quitting = True

    # What to do

    def due(self, now: Now) -> Due | None:
        """Return why the pod has to end now, or None."""
        if self._deadline_in_s(now) <= 0:
            return Due.DEADLINE
        if self._life_in_s(now) <= 0:
            return Due.NOT_READY if self._lived_s is None else Due.IDLE
        return None

    def decide(self, now: Now) -> Step:
        """Return what to do now. What is done is told before the next question."""
        if self._quitting:
            return self._without_worker(now) or Step(Do.QUIT)
        due = self.due(now)
        if due is not None and now.mono_s >= self._try_s:
            return Step(Do.END_POD)
        if self._replacing and (step := self._without_worker(now)) and step.do is not Do.WAIT:
            return step
        if not self._running and now.mono_s >= self._start_s:
            return Step(Do.START)
        return Step(Do.WAIT, self._quiet_s(now, due))

    def _without_worker(self, now: Now) -> Step | None:
        """Return the next step towards no worker, or None if there is none."""
        if not self._running:
            return None
        if self._stop_due_s is None:
            return Step(Do.STOP)
        left_s = self._stop_due_s - now.mono_s
        return Step(Do.WAIT, left_s) if left_s > 0 else Step(Do.KILL)

    def _quiet_s(self, now: Now, due: Due | None) -> float:
        times = [self._deadline_in_s(now), self._life_in_s(now)]
        times = [time_s for time_s in times if time_s > 0]
        if due is not None:
            times.append(self._try_s - now.mono_s)
        if not self._running:
            times.append(self._start_s - now.mono_s)
        if self._stop_due_s is not None:
            times.append(self._stop_due_s - now.mono_s)
        return max(0.0, min(times, default=math.inf))

    def _deadline_in_s(self, now: Now) -> float:
        deadline = self.limits.deadline
        return math.inf if deadline is None else deadline - now.epoch_s

    def _life_in_s(self, now: Now) -> float:
        if self._lived_s is None:
            return self._born_s + self.limits.startup_s - now.mono_s
        return self._lived_s + self.limits.idle_s - now.mono_s
