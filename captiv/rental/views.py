"""Pods as they are shown: what the provider says of each, what the ledger knows, its queue.

What the provider lists is the truth about what exists; the ledger says whose it is and what it is
for. A pod's phase comes from both and from its own worker, for a provider calls anything running.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import anyio

from captiv.clock import monotonic_s, now_ms
from captiv.core.cost import cost, price_of
from captiv.core.jobs import WANTED_MS, Run, RunId
from captiv.core.phase import Phase
from captiv.core.pods import Listed, Owner, PodRow, PodState, parse_pod_name, sweepable
from captiv.core.startup import Seen, Start, Waiting
from captiv.errors import CaptivError
from captiv.offload import offload
from captiv.rental.account import Account
from captiv.rental.provider import Pod
from captiv.rental.records import Billed
from captiv.store import Connection, Store, lease, pods, runs
from captiv.wire import Health

RANDOM_DIGITS = 8
"""Of the name of a pod that is made by hand, after what the person called it."""

_HEALTH_S = 4.0
_SAMPLE_S = 1.0
"""Shortest time over which a rate is worth saying."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a listed pod."""

    row: PodRow | None = None
    orphan: str | None = None
    """Why nobody needs it; None if somebody does, or it is not ours."""
    users: tuple[Run, ...] = ()
    """The runs that it works for."""


@dataclass(frozen=True, slots=True)
class View:
    """A pod as it is shown."""

    pod: Pod
    known: Known
    ours: bool
    """Made by this installation."""
    health: Health | None = None
    images_per_s: float | None = None
    recorded: Decimal = Decimal(0)
    """What stands in the provider's own records so far; they come later."""

    @property
    def startup(self) -> Phase | None:
        """How far a pod of ours is on its way to ready; None if it is stopped or failed."""
        if not self.ours or self.pod.state in (PodState.STOPPED, PodState.FAILED):
            return None
        seen = Seen(self.pod.state, self.pod.started, self.health)
        looked = Waiting(0, math.inf).look(seen, 0)
        return None if looked.start is Start.GIVE_UP else looked.phase

    @property
    def phase(self) -> str:
        """How far it is, in a word or two."""
        if self.pod.state in (PodState.STOPPED, PodState.FAILED) or not self.ours:
            return self.pod.state.value
        return "failed" if self.startup is None else self.startup.name.value

    @property
    def price(self) -> Decimal:
        """What it costs now, in dollars an hour."""
        return self.pod.price_usd_h

    @property
    def up_s(self) -> float | None:
        """For how long it has billed; None if that is not known, as of a stopped one."""
        if self.pod.state is PodState.STOPPED or self.pod.created_ms is None:
            return None
        return max(0, now_ms() - self.pod.created_ms) / 1000

    @property
    def spent(self) -> Decimal | None:
        """What it has cost at most since it was made, at its price; None if it is stopped."""
        up_s = self.up_s
        if up_s is None:
            return None
        row = self.known.row
        price = price_of(row.price_micro) if row and row.state == "live" else self.price
        return cost(price, 0, round(up_s * 1000))

    @property
    def done(self) -> int:
        """Images done of the runs that it works for."""
        return sum(run.counts.done for run in self.known.users)

    @property
    def waiting(self) -> int:
        """Images of these runs that still wait for their caption."""
        return sum(run.counts.pending + run.counts.running for run in self.known.users)

    @property
    def left_s(self) -> float | None:
        """How long these runs still take at the present rate."""
        return self.waiting / self.images_per_s if self.images_per_s else None


class Rates:
    """Images done a second, seen over the looks so far."""

    def __init__(self) -> None:
        self._first: dict[RunId, tuple[float, int]] = {}

    def seen(self, users: Sequence[Run]) -> float | None:
        """Return the rate of these runs together since they were first seen, if it is known yet."""
        now, found = monotonic_s(), []
        for run in users:
            began, done = self._first.setdefault(run.id, (now, run.counts.done))
            if now - began >= _SAMPLE_S:
                found.append((run.counts.done - done) / (now - began))
        return sum(found) if found else None


def known(
    conn: Connection,
    owner: Owner,
    listed: Sequence[Listed],
    at_ms: int,
    *,
    leaderless: bool,
) -> dict[str, Known]:
    """Return what the ledger knows of each listed pod, by its id; `leaderless` as `runs.heard`."""
    alive = runs.heard(conn, at_ms - WANTED_MS, leaderless=leaderless)
    found = {}
    for pod in listed:
        row = pods.listed(conn, owner.provider, pod)
        rows = [] if row is None else [row]
        reason = next(
            (o.reason for o in sweepable(owner, [pod], rows, alive, at_ms)),
            None,
        )
        if row is not None and row.state == "ended" and reason is None:
            reason = f"the ledger calls it ended ({row.end_reason})"
        users = [runs.find(conn, run) for run in sorted(row.users)] if row else []
        found[pod.pod_id] = Known(row, reason, tuple(run for run in users if run is not None))
    return found


async def views(
    account: Account,
    ledger: Store | None,
    rates: Rates | None = None,
    billed: Billed | None = None,
) -> list[View]:
    """Return every pod of the account, this installation's first, then captiv's, then by age."""
    return await looked(account, ledger, await account.provider.list(), rates, billed)


async def looked(
    account: Account,
    ledger: Store | None,
    found: Sequence[Pod],
    rates: Rates | None = None,
    billed: Billed | None = None,
) -> list[View]:
    """Return these pods as they are shown.

    Without `rates` of earlier looks, runs that are at work are looked at for a second.
    """
    since, bills = Rates() if rates is None else rates, Billed() if billed is None else billed
    seen = await _described(account, ledger, found, since, bills)
    if rates is None and any(view.waiting for view in seen):
        await anyio.sleep(_SAMPLE_S)
        seen = await _described(account, ledger, found, since, bills)
    return seen


async def _described(
    account: Account, ledger: Store | None, found: Sequence[Pod], rates: Rates, billed: Billed
) -> list[View]:
    listed = [Listed(pod.id, pod.name) for pod in found]
    at = now_ms()
    ledgers: Mapping[str, Known] = {}
    if ledger is not None:
        free = await offload(lease.is_free, account.paths.lock_file)
        ledgers = await ledger.aread(
            known,
            account.owner,
            listed,
            at,
            leaderless=free,
        )
    answers: dict[str, Health] = {}
    made: list[View] = []

    async def ask(pod: Pod) -> None:
        answer = await worker_health(account, pod)
        if answer is not None:
            answers[pod.id] = answer

    ours = {pod.id for pod in found if _ours(pod, account, ledgers.get(pod.id, Known()))}
    recorded: dict[str, Decimal] = {}

    async def read() -> None:
        recorded.update(await billed.of(account.provider, _since_ms(found, ours)))

    async with anyio.create_task_group() as tg:
        tg.start_soon(read)
        for pod in found:
            if pod.id in ours and pod.state is not PodState.STOPPED:
                tg.start_soon(ask, pod)
    for pod in found:
        about = ledgers.get(pod.id, Known())
        per_s = rates.seen(about.users)
        bill = recorded.get(pod.id, Decimal(0))
        made.append(View(pod, about, pod.id in ours, answers.get(pod.id), per_s, bill))
    return sorted(made, key=_order)


async def worker_health(account: Account, pod: Pod) -> Health | None:
    """Return what the worker in one of our pods says, or None if it says nothing for a moment."""
    with suppress(CaptivError), anyio.move_on_after(_HEALTH_S):
        async with account.worker(pod.id, pod.name) as worker:
            return await worker.look()  # an open page must not keep a pod alive
    return None


def as_json(view: View) -> dict[str, Any]:
    """Return a pod for JSON."""
    pod, row = view.pod, view.known.row
    spent = view.spent
    return {
        "pod": pod.id,
        "name": pod.name,
        "ours": view.ours,
        "status": pod.said,
        "phase": view.phase,
        "gpu": pod.gpu,
        "cloud": pod.cloud or None,
        "price_usd_h": float(view.price),
        "up_s": None if view.up_s is None else round(view.up_s, 1),
        "spent_usd": None if spent is None else float(round(spent, 6)),
        "billed_by_provider_usd": float(round(view.recorded, 6)) if view.recorded else None,
        "orphan": view.known.orphan,
        "made_by": row.made_by if row else None,
        "run": row.run_id if row else None,
        "users": [run.id for run in view.known.users],
        "done": view.done,
        "waiting": view.waiting,
        "images_per_s": view.images_per_s,
        "left_s": view.left_s,
    }


def duration(seconds: float | None) -> str:
    """Return a time as a person reads it: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def label_of(name: str) -> str | None:
    """Return what a person called the pod of this name, if anything."""
    parsed = parse_pod_name(name)
    if parsed is None or parsed.run_id is not None:
        return None
    return parsed.token[:-RANDOM_DIGITS].removesuffix("-") or None


def pool(cloud: str) -> str:
    """Return a provider's pool of hosts as it follows a GPU's name; nothing where it has one."""
    return f", {cloud} cloud" if cloud else ""


def queue(view: View) -> str:
    """Return how far the runs are that a pod works for."""
    if not view.known.users:
        return ""
    numbers = ", ".join(f"run {run.id}" for run in view.known.users)
    said = f"{numbers}: {view.done:,} done, {view.waiting:,} waiting"
    if view.images_per_s is not None:
        said += f", {view.images_per_s:.1f} images/s"
    return said + (f", {duration(view.left_s)} left" if view.left_s is not None else "")


def note(view: View) -> str:
    """Return what else is to be known of a pod."""
    if view.known.orphan:
        return f"orphan: {view.known.orphan}"
    if not view.ours:
        other = parse_pod_name(view.pod.name)
        return "not captiv's" if other is None else "of another installation of captiv"
    if view.health is not None and view.health.reason:
        return view.health.reason
    row = view.known.row
    if row is None:
        return ""
    return "made by hand" if row.made_by == "hand" else f"rented by run {row.run_id}"


def _ours(pod: Pod, account: Account, about: Known) -> bool:
    name = parse_pod_name(pod.name)
    return about.row is not None or (name is not None and account.owner.has(name))


def _since_ms(found: Sequence[Pod], ours: Collection[str]) -> dict[str, int]:
    """Return when our pods were made: of others, the records may be months of hours."""
    return {
        pod.id: pod.created_ms for pod in found if pod.id in ours and pod.created_ms is not None
    }


def _order(view: View) -> tuple[bool, bool, int]:
    return not view.ours, parse_pod_name(view.pod.name) is None, view.pod.created_ms or 0
