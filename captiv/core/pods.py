"""The pods of this installation: their names, their rows in the ledger, and which nobody needs.

A pod goes `intended → live → ended` in the ledger. The intent, with a name that is used once, is
kept before the provider is asked, so that a pod whose answer never came is found by its name.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal, NewType

from captiv.core.fleet import Cloud
from captiv.core.jobs import RunId

PodRowId = NewType("PodRowId", int)

_NAME: Final = re.compile(r"captiv-([0-9a-z]+)-(?:r([1-9][0-9]*)|hand)-([0-9a-z]+)")


@dataclass(frozen=True, slots=True)
class PodName:
    """What the name of a pod tells."""

    installation: str
    run_id: RunId | None
    """The run that rented it; None of one that was made by hand."""
    token: str
    """Random, so that a name is used once."""


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod in the ledger."""

    id: PodRowId
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
    cloud: Cloud
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


def pod_name(installation: str, run_id: RunId | None, token: str) -> str:
    """Return the name of a pod: `captiv-<installation>-r<run>-<token>`, or `-hand-` without a run.

    Raises:
        ValueError: it could not be read back.
    """
    name = f"captiv-{installation}-{'hand' if run_id is None else f'r{run_id}'}-{token}"
    if parse_pod_name(name) != PodName(installation, run_id, token):
        raise ValueError(f"no name for a pod: {name!r}")
    return name


def parse_pod_name(name: str) -> PodName | None:
    """Return what the name tells, or None if it is none of captiv's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    installation, run, token = match.groups()
    return PodName(installation, None if run is None else RunId(int(run)), token)


def sweepable(
    installation: str,
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
        reason = _orphaned(pod, row, installation, live_runs, now_ms)
        if reason is not None:
            own = row is not None and row.pod_id in (None, pod.pod_id)
            found.append(Orphan(pod.pod_id, reason, row.id if row is not None and own else None))
    return found


def _orphaned(
    pod: Listed,
    row: PodRow | None,
    installation: str,
    live_runs: Collection[RunId],
    now_ms: int,
) -> str | None:
    if row is None:
        name = parse_pod_name(pod.name)
        if name is None or name.installation != installation or name.run_id is None:
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


def _ago(then_ms: int | None, now_ms: int) -> str:
    seconds = max(0, now_ms - (then_ms or now_ms)) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
