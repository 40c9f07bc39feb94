"""The pods of this installation: their names, their rows in the ledger, and which nobody needs.

A pod goes `intended → live → ended` in the ledger. The intent, with a name that is used once, is
kept before the provider is asked, so that a pod whose answer never came is found by its name.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, NewType

from captiv.catalog.engines import Engine
from captiv.core.bill import SETTLED_MS
from captiv.core.cost import price_of
from captiv.core.jobs import RunId

PodRowId = NewType("PodRowId", int)

_GUARD_TRIES_MS: Final = 90_000
"""Within this time a guard whose hour has come has ended its pod; it tries once a minute."""

_WHOSE: Final = r"(?:r([1-9][0-9]*)-([0-9a-z]+)|hand-((?:[0-9a-z]+-)?[0-9a-z]+))"
_NAME: Final = re.compile(rf"captiv-([a-z][0-9a-z]*)-([0-9a-z]+)-{_WHOSE}")
_NAME_OF_0_2: Final = re.compile(rf"captiv-([0-9a-z]+)-{_WHOSE}")
"""Before a second provider could be had, names did not tell it."""
_PROVIDER_OF_0_2: Final = "runpod"


class PodState(StrEnum):
    """Where a pod stands, as its provider sees it.

    None of them means that a worker answers: `RUNNING` may show before anything runs.
    """

    PROVISIONING = "provisioning"
    """No host has it yet."""
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    """Its GPU is given back; its disk may go on billing."""
    FAILED = "failed"
    ENDED = "ended"
    """It does not exist any more: only such a pod costs nothing for certain."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PodName:
    """What the name of a pod tells."""

    provider: str
    installation: str
    run_id: RunId | None
    """The run that rented it; None of one that was made by hand."""
    token: str
    """Random, so that a name is used once; of one made by hand, perhaps a word and `-` before."""


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod in the ledger."""

    id: PodRowId
    provider: str
    """By its name in the settings."""
    name: str
    pod_id: str | None
    """The provider's; None until its answer came."""
    state: Literal["intended", "live", "ended"]
    made_by: Literal["run", "hand"]
    run_id: RunId | None
    """The run that rented it."""
    lingers: bool
    """It is not ended with its run, but left to its guard, so that a later run may use it."""
    gpu: str
    cloud: str
    """The provider's pool of hosts; empty where it has one."""
    price_micro: int
    """Micro-dollars an hour."""
    version: str
    """Of the worker in it."""
    url: str | None
    deadline_ms: int | None
    """When its guard ends it in any case; None of one that only ends when idle."""
    intended_ms: int
    created_ms: int | None
    """When its bill began."""
    ended_ms: int | None
    end_reason: str | None
    users: frozenset[RunId] = frozenset()
    """The runs that use it now, as far as the ledger knows."""

    @property
    def engine(self) -> Engine:
        """What drives models in it, where captiv brought its worker."""
        return engine_of(self.version)


def version_with(engine: Engine, version: str) -> str:
    """Return how the ledger names a worker of that version with that engine."""
    return version if engine == "transformers" else f"{version}.{engine}"


def engine_of(version: str) -> Engine:
    """Return the engine that a version as `version_with` made it names."""
    return "vllm" if version.endswith(".vllm") else "transformers"


@dataclass(frozen=True, slots=True)
class Guarded:
    """How long a pod lives by its guard when nobody speaks to it."""

    idle_s: float
    startup_s: float
    """Before its worker is ready."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose pods: those of one installation at one provider."""

    provider: str
    installation: str

    def has(self, name: PodName) -> bool:
        """Whether a pod of that name is its own."""
        return (name.provider, name.installation) == (self.provider, self.installation)


@dataclass(frozen=True, slots=True)
class Listed:
    """A pod that the provider lists, and that is not terminated."""

    pod_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A pod that nobody needs, and why."""

    pod_id: str
    reason: str
    row_id: PodRowId | None
    """Its row in the ledger, if it has one."""


def pod_name(provider: str, installation: str, run_id: RunId | None, token: str) -> str:
    """Return the name of a pod: `captiv-<provider>-<installation>-r<run>-<token>`.

    Without a run, `hand` stands in the place of `r<run>`.

    Raises:
        ValueError: it could not be read back.
    """
    whose = "hand" if run_id is None else f"r{run_id}"
    name = f"captiv-{provider}-{installation}-{whose}-{token}"
    if parse_pod_name(name) != PodName(provider, installation, run_id, token):
        raise ValueError(f"no name for a pod: {name!r}")
    return name


def parse_pod_name(name: str) -> PodName | None:
    """Return what the name tells, or None if captiv did not give it."""
    old = _NAME_OF_0_2.fullmatch(name)
    match = old or _NAME.fullmatch(name)
    if match is None:
        return None
    provider = _PROVIDER_OF_0_2 if old else match[1]
    installation, run, token, own = match.groups()[-4:]
    return PodName(provider, installation, None if run is None else RunId(int(run)), token or own)


def unseen_end_ms(
    row: PodRow, guarded: Guarded, heard_ms: int | None, billed: Decimal, now_ms: int
) -> int:
    """Return when a pod ended that was rented by a run and is gone, while nobody looked.

    It did not bill until somebody came back: its guard ended it soon after it was last spoken to.
    What the provider has billed for it says more: it is the least before its records are final,
    and the truth after.

    Args:
        row: the pod.
        guarded: how long it lived at most without a word.
        heard_ms: when the dispatcher that had it was last alive; None if that is not known.
        billed: dollars in the provider's records so far.
        now_ms: the time.
    """
    if row.made_by == "hand" or row.created_ms is None or heard_ms is None:
        return now_ms
    spoken_ms = max(heard_ms, row.created_ms + round(guarded.startup_s * 1000))
    due_ms = spoken_ms + round(guarded.idle_s * 1000)
    if row.deadline_ms is not None:
        due_ms = min(due_ms, row.deadline_ms)
    latest_ms = min(now_ms, max(row.created_ms, due_ms + _GUARD_TRIES_MS))
    if not billed or not row.price_micro:
        return latest_ms
    billed_ms = row.created_ms + int(billed * 3_600_000 / price_of(row.price_micro))
    settled = now_ms - latest_ms >= SETTLED_MS
    return min(now_ms, billed_ms if settled else max(latest_ms, billed_ms))


def sweepable(
    owner: Owner,
    listed: Iterable[Listed],
    ledger: Iterable[PodRow],
    live_runs: Collection[RunId],
    now_ms: int,
) -> list[Orphan]:
    """Return the listed pods of this installation that nobody needs.

    List first, and read the ledger and the live runs afterwards: else a pod that was made in
    between looks like nobody's. Never returned are pods of others, pods made by hand (they have
    their guard), and pods that the ledger does not call ended and that belong to a live run or are
    used by one.
    """
    rows = list(ledger)
    by_id = {row.pod_id: row for row in rows if row.pod_id is not None}
    by_name = {row.name: row for row in rows}
    found = []
    for pod in listed:
        row = by_id.get(pod.pod_id) or by_name.get(pod.name)
        reason = _orphaned(pod, row, owner, live_runs, now_ms)
        if reason is not None:
            own = row is not None and row.pod_id in (None, pod.pod_id)
            found.append(Orphan(pod.pod_id, reason, row.id if row is not None and own else None))
    return found


def _orphaned(
    pod: Listed,
    row: PodRow | None,
    owner: Owner,
    live_runs: Collection[RunId],
    now_ms: int,
) -> str | None:
    if row is None:
        name = parse_pod_name(pod.name)
        if name is None or not owner.has(name) or name.run_id is None:
            return None
        return (
            None if name.run_id in live_runs else "the ledger of this installation has no such pod"
        )
    if row.made_by == "hand":
        return None
    if row.state == "ended":
        return (
            f"it was ended {_ago(row.ended_ms, now_ms)} ago ({row.end_reason}) and is still there"
        )
    if row.run_id in live_runs or not row.users.isdisjoint(live_runs):
        return None
    if row.state == "intended":
        return f"run {row.run_id} asked for it {_ago(row.intended_ms, now_ms)} ago and never got it"
    if row.pod_id != pod.pod_id:
        return f"it is a second pod under the name of {row.pod_id}"
    if row.deadline_ms is not None and row.deadline_ms < now_ms:
        return f"its deadline passed {_ago(row.deadline_ms, now_ms)} ago"
    if row.lingers:
        return None
    since = _ago(row.created_ms, now_ms)
    return f"run {row.run_id} rented it {since} ago, and the command of that run is gone"


def spared(
    owner: Owner,
    pod: Listed,
    row: PodRow | None,
    heard_ms: Mapping[RunId, int],
    since_ms: int,
    now_ms: int,
) -> str | None:
    """Say why a listed pod that is not swept is left; None of one that is not this installation's.

    Args:
        owner: whose pods.
        pod: what is listed.
        row: what the ledger has of it.
        heard_ms: when somebody last waited for each run that counts as alive.
        since_ms: what was heard before does not count.
        now_ms: the time.
    """
    name = parse_pod_name(pod.name)
    if row is None and (name is None or not owner.has(name)):
        return None
    run_id = row.run_id if row is not None else name and name.run_id
    if run_id is None:
        return (
            f"it was made by hand, and is left to its guard; "
            f"captiv {owner.provider} terminate {pod.pod_id}"
        )
    alive = {run_id, *(row.users if row is not None else ())} & heard_ms.keys()
    if not alive:
        return f"run {run_id} has left it to its guard ({owner.provider}.auto_terminate is false)"
    run = max(alive, key=heard_ms.__getitem__)
    wait_s = max(0, heard_ms[run] - since_ms) // 1000 + 1
    heard = f"the command of run {run} was heard {_ago(heard_ms[run], now_ms)} ago"
    return f"{heard}; if it is gone, sweep again in {wait_s} s"


def awaited(row: PodRow, settled_ms: int, now_ms: int) -> str:
    """Say why an intent is left open: its pod may come until it is `settled_ms` old."""
    asked_ms = max(0, now_ms - row.intended_ms)
    wait_s = max(0, settled_ms - asked_ms) // 1000 + 1
    asked = f"it was asked for {_ago(row.intended_ms, now_ms)} ago and is not answered"
    return f"{asked}; if that command is gone, sweep again in {wait_s} s"


def _ago(then_ms: int | None, now_ms: int) -> str:
    seconds = max(0, now_ms - (then_ms or now_ms)) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
