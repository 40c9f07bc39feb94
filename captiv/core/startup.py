"""How far a rented pod is, and whether to wait on.

Each look at it gives what was `Seen`; `Waiting` takes that and says what becomes of it (`Start`).
"""

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from captiv.core.phase import Phase, Step, loading_phase
from captiv.core.pods import PodState
from captiv.core.transfer import Transfer
from captiv.errors import ConfigurationError, DiskFull, HostUnfit, ModelError, error_class
from captiv.wire import Health

_CRASH_LOOP: Final = 3
_FIRST: Final = Phase(Step.RENTING)
_STALL_S: Final = 60.0
"""A pull or download that was not seen to advance for so long has stalled."""
_SLOW_S: Final = 180.0
"""A host that was too slow for so long is left."""
_NO_IMAGE: Final = re.compile(
    r"\bpull access denied\b|\baccess to the resource is denied\b|\bunauthorized:"
    r"|\bmanifest unknown\b|\bmanifest for \S+ not found\b|\brepository does not exist\b",
    re.IGNORECASE,
)
"""What a registry says of an image that no host will get. A host's own disk, network or
architecture is not among it: another host has another one."""
_PULL_ELSE: Final = (
    "Name an image that pods can pull, or set runpod.registry to the credentials of a private one."
)
_NOT_INSTALLED: Final = re.compile(r"^captiv cannot be installed in it: (?P<why>.+)")
_NOT_INSTALLABLE: Final = re.compile(
    r"\bthe image has (?:no )?Python\b|\brequires? a different python\b"
    r"|\bNo module named (?:pip|venv)\b"
    r"|\(from versions: (?!none\))|\bNo space left on device\b",
    re.IGNORECASE,
)
"""What pip, or what starts it, says of the image, the package or the size of the disk that was
asked for: all the same on every host. That an index cannot be reached, or has nothing, may be the
host's network."""
_INSTALL_ELSE: Final = (
    "Name another package or another image; it needs Python 3.11 or newer, pip, and room on the "
    "pod's disk."
)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a pod is not waited for any longer."""

    reason: str
    """In words that go on a sentence about the pod."""
    alike: bool | None = False
    """Whether it would end so on every host; None where only a second host can tell."""
    code: str | None = None
    """The code of the error that it is, where it has one."""
    hint: str | None = None
    """What to do about it, where somebody can."""

    def repeats(self, before: "GivenUp") -> bool:
        """Whether a second host has shown that every one would end so.

        Last words don't count: they carry times and numbers of processes.
        """
        return self.alike is before.alike is None and self.code == before.code


class Start(Enum):
    """What becomes of a pod that was waited for."""

    WAIT = "wait on"
    READY = "ready"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a starting pod showed."""

    state: PodState | None = None
    """What the provider says of it; None while it says nothing. Of these only the ends are
    believed: RUNNING shows before anything runs."""
    started: bool = False
    """Whether the provider or the pod's log reports that the container runs."""
    health: Health | None = None
    """What the worker answered."""
    pulling: bool = False
    """Whether the pod's log says that the image is being fetched."""
    progress_s: float | None = None
    """When the pod's log last told of a pull or download that advanced."""
    restarts: int = 0
    """How often the container or the worker was started again."""
    trouble: str | None = None
    """Why it will never start, as its log tells."""
    last_words: str = ""
    """What its container wrote last."""
    pulled: tuple[int, int] | None = None
    """How many bytes of the image the host has, and of how many."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod on its way to `ready`; each look returns the next state. Times in s, of one clock.

    It is waited for `timeout_s`, and up to twice that while a pull or download advances. A host
    that is too slow for that is left after a few minutes. A worker
    that says `failed`, a pod that ended, an image that cannot be pulled and a crash loop end the
    wait at once.
    """

    began_s: float
    timeout_s: float
    phase: Phase = _FIRST
    start: Start = Start.WAIT
    given_up: GivenUp | None = None
    advanced_s: float | None = None
    done_bytes: int = 0
    transfer: Transfer = field(default_factory=Transfer)
    slow_since_s: float | None = None
    """Since when what arrives will not be there in twice the time."""

    def look(self, seen: Seen, now_s: float) -> "Waiting":
        """Return the state after this look. What is ready or given up stays so."""
        if self.start is not Start.WAIT:
            return self
        if seen.health is not None and seen.health.status == "ready":
            return replace(self, phase=Phase(Step.READY), start=Start.READY)
        after = replace(self._advanced(seen, now_s), phase=_phase(seen))
        why = _broken(seen) or after._overdue(now_s)
        return after if why is None else replace(after, start=Start.GIVE_UP, given_up=why)

    def limit_s(self, now_s: float) -> float:
        """Return for how long, from its beginning, it is waited for as things stand."""
        advancing = self.advanced_s is not None and now_s - self.advanced_s <= _STALL_S
        return self.timeout_s * (2 if advancing else 1)

    def _advanced(self, seen: Seen, now_s: float) -> "Waiting":
        times = [time for time in (self.advanced_s, seen.progress_s) if time is not None]
        loading = seen.health.loading if seen.health else None
        done = (loading and loading.done_bytes) or 0
        if done > self.done_bytes:
            times.append(now_s)
        after = replace(
            self, advanced_s=max(times, default=None), done_bytes=max(done, self.done_bytes)
        )
        return after._paced(seen, now_s)

    def _paced(self, seen: Seen, now_s: float) -> "Waiting":
        """Take note of how fast the model, or else the image, arrives."""
        loading = seen.health.loading if seen.health else None
        size = seen.pulled if seen.health is None else None
        if loading is not None and loading.done_bytes is not None and loading.total_bytes:
            size = loading.done_bytes, loading.total_bytes
        if size is None:
            return replace(self, transfer=Transfer(), slow_since_s=None)
        transfer = self.transfer.look(now_s, *size)
        left_s = transfer.left_s
        slow = left_s is not None and now_s + left_s > self.began_s + 2 * self.timeout_s
        since_s = (now_s if self.slow_since_s is None else self.slow_since_s) if slow else None
        return replace(self, transfer=transfer, slow_since_s=since_s)

    def _overdue(self, now_s: float) -> GivenUp | None:
        waited_s = now_s - self.began_s
        if self.slow_since_s is not None and now_s - self.slow_since_s >= _SLOW_S:
            mbit_s = (self.transfer.bytes_s or 0) * 8 / 1e6
            left = self.transfer.total_bytes - self.transfer.seen[-1][1]
            return GivenUp(
                f"its host is too slow: {left / 1e9:.1f} GB to go at {mbit_s:.1f} Mbit/s"
            )
        if waited_s < self.limit_s(now_s):
            return None
        return GivenUp(f"it was not ready after {waited_s:.0f} s (last seen: {self.phase.name})")


def _phase(seen: Seen) -> Phase:
    if seen.health is not None:
        return loading_phase(seen.health.loading)
    return Phase(_step(seen))


def _step(seen: Seen) -> Step:
    if seen.pulling:
        return Step.PULLING
    if seen.started:
        return Step.STARTING
    if seen.state is None or seen.state is PodState.PROVISIONING:
        return Step.RENTING
    return Step.PULLING


def _broken(seen: Seen) -> GivenUp | None:
    health = seen.health
    if health is not None and health.status == "failed":
        reason = health.reason or "its worker failed without a reason"
        if _NOT_INSTALLED.match(reason):
            return _troubled(reason)
        return GivenUp(reason, alike=_alike(health.code), code=health.code)
    if seen.trouble is not None:
        return _troubled(seen.trouble)
    if seen.state in (PodState.STOPPED, PodState.FAILED, PodState.ENDED):
        return GivenUp(f"the pod ended while it was starting ({seen.state})")
    if seen.restarts >= _CRASH_LOOP:
        said = f" ({seen.last_words})" if seen.last_words else ""
        reason = f"it crashed {seen.restarts} times while starting{said}"
        return GivenUp(reason, alike=None)
    return None


def _troubled(trouble: str) -> GivenUp:
    """Return how a pod is given up whose log says why it will never start."""
    if found := _NOT_INSTALLED.match(trouble):
        lasting = _NOT_INSTALLABLE.search(found["why"]) is not None
        return GivenUp(trouble, lasting or None, ConfigurationError.code, _INSTALL_ELSE)
    if _NO_IMAGE.search(trouble):
        return GivenUp(trouble, True, ConfigurationError.code, _PULL_ELSE)
    return GivenUp(trouble)


def _alike(code: str | None) -> bool | None:
    """Whether the error of this code is about the model that was asked for, not about the host.

    A disk that is full may be a host's own, or too small for this model everywhere.
    """
    cls = error_class(code or "")
    if cls is DiskFull:
        return None
    return cls is not None and issubclass(cls, ModelError) and not issubclass(cls, HostUnfit)
