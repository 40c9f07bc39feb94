"""The sweep: pods of this installation that nobody needs are ended, and the ledger is put right.

It lists first and decides afterwards, in one transaction of the ledger, so that a pod made in
between is nobody's orphan. Then what was condemned is ended, and asked for until it is gone. A list
that cannot be had is an error and never an empty one: without it nothing is done at all.

Three kinds of rows come out of it right:

- a pod that no living run needs is `ended`, here and, as far as the provider does it, there;
- an intent whose answer never came is ended once it is too old to be under way; its pod, if there
  is one, too;
- a pod that its provider does not know any more is `ended`. The list may miss one, or show one
  that is gone, so each is asked for.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from captiv.clock import now_ms
from captiv.core.jobs import WANTED_MS, SessionId
from captiv.core.pods import Listed, Orphan, Owner, PodRow, awaited, spared
from captiv.errors import ProviderError
from captiv.offload import offload
from captiv.rental.account import Account
from captiv.rental.provider import Provider
from captiv.rental.reconcile import GONE, close_if_gone
from captiv.store import Connection, Lease, Store, pods, runs
from captiv.store.commit import commit

_log = logging.getLogger(__name__)

SETTLED_MS = 300_000
"""An intent so old is not under way any more: a create is answered, or given up, within 2 min."""
YOUNG_MS = 60_000
"""A provider's list and its other answers may not know a pod yet that is younger."""
CONFIRM_S = 60.0
_LOOK_S = 1.0
_LONGEST_LOOK_S = 5.0
"""Calls are counted by the minute: each time twice as long, and several pods may end at once."""
_ANSWER_S = 2.0
"""An order that is not answered in this time may have been carried out all the same."""

NEVER_ANSWERED = "it was asked for, and the answer never came"

Outcome = Literal["terminated", "still there", "gone", "never came", "left"]


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sweep did about one pod, and why."""

    name: str
    pod_id: str | None
    outcome: Outcome
    """`gone`: its provider did not know it any more; `never came`: it was asked for and never made;
    `left`: somebody may need it, and it may bill."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    orphans: list[Orphan]
    never_came: list[PodRow]
    missing: list[PodRow]
    """Live in the ledger and not in the list."""
    left: list[Swept]


async def sweep(
    account: Account,
    ledger: Store,
    *,
    session: SessionId | None = None,
    by_hand: bool = False,
    now_ms: Callable[[], int] = now_ms,
    confirm_s: float = CONFIRM_S,
) -> list[Swept]:
    """End the pods of this installation that nobody needs; return what was done.

    Runs that somebody has waited for in the last 15 s are alive. A sweep by hand holds the lease
    for a moment if it is free: then no captiv is at work, and the pods of one that was killed a
    moment ago are nobody's at once. It returns the pods that are left, too.

    Args:
        account: whose pods.
        ledger: the pods of this installation, to be written.
        session: this process's own, if it dispatches.
        by_hand: whether a person asked for it.
        now_ms: the time.
        confirm_s: how long each pod's end is asked for; one that is still there then is found
            again by the next sweep.

    Raises:
        ProviderError: the list cannot be had; nothing was done.
    """
    provider = account.provider
    listed = [Listed(pod.id, pod.name) for pod in await provider.list()]
    async with _leaderless(account.paths.lock_file if by_hand else None) as leaderless:
        verdict = await commit(
            ledger, _judged, account.owner, listed, now_ms(), leaderless=leaderless
        )
    names = {pod.pod_id: pod.name for pod in listed}
    swept = [Swept(row.name, None, "never came", NEVER_ANSWERED) for row in verdict.never_came]
    swept += verdict.left if by_hand else []
    async with anyio.create_task_group() as tg:

        async def terminate(orphan: Orphan) -> None:
            before = await _unknown(provider, orphan.pod_id)
            gone = await end(provider, orphan.pod_id, within_s=confirm_s)  # a young one may hide
            if before and gone:
                return  # the list is behind: it bills no more, and its row has its end
            if gone and orphan.row_id is not None:
                await commit(ledger, pods.gone, orphan.row_id, now_ms())
            outcome: Outcome = "terminated" if gone else "still there"
            swept.append(Swept(names[orphan.pod_id], orphan.pod_id, outcome, orphan.reason))

        for orphan in verdict.orphans:
            tg.start_soon(terminate, orphan)
    for row in verdict.missing:
        if await close_if_gone(account, ledger, row, session=session, now_ms=now_ms()):
            swept.append(Swept(row.name, row.pod_id, "gone", GONE))
    for one in swept:
        _log.info("pod swept pod=%s outcome=%s reason=%s", one.pod_id, one.outcome, one.reason)
    return swept


async def _unknown(provider: Provider, pod_id: str) -> bool:
    """Whether the provider says that there is no such pod; silence says nothing."""
    with suppress(ProviderError):
        return await provider.get(pod_id) is None
    return False


async def end(provider: Provider, pod_id: str, *, within_s: float = CONFIRM_S) -> bool:
    """Ask for a pod's end until it is gone; False if it is still there after `within_s`.

    A cancellation waits for it: a pod whose end was begun is a pod that is known to be gone, or
    said not to be.
    """
    pause_s = _LOOK_S
    with anyio.move_on_after(within_s, shield=True):
        while not await _ordered(provider, pod_id):
            await anyio.sleep(pause_s)
            pause_s = min(_LONGEST_LOOK_S, 2 * pause_s)
        return True
    return False


async def _ordered(provider: Provider, pod_id: str) -> bool:
    """Order a pod's end; tell whether it is gone.

    While the answer to the order does not come, the pod is looked for: what passes until its end is
    noticed is counted against the run, and waited for by a person.
    """
    answered = anyio.Event()

    async def order() -> None:
        with suppress(ProviderError):
            await provider.terminate(pod_id)
        answered.set()

    async with anyio.create_task_group() as tg:
        tg.start_soon(order)
        gone = False
        while not gone:
            with anyio.move_on_after(_ANSWER_S):
                await answered.wait()
            last = answered.is_set()
            with suppress(ProviderError):
                gone = await provider.get(pod_id) is None
            if last:
                break
        tg.cancel_scope.cancel()
    return gone


@asynccontextmanager
async def _leaderless(lock: Path | None) -> AsyncIterator[bool]:
    """Hold the lease if it is free, so that nobody takes it up meanwhile; tell whether it was."""
    if lock is None:
        yield False
        return
    lease = await offload(Lease, lock)
    try:
        yield await offload(lease.acquire)
    finally:
        with anyio.CancelScope(shield=True):
            await offload(lease.release)


def _judged(
    conn: Connection,
    owner: Owner,
    listed: Sequence[Listed],
    now_ms: int,
    *,
    leaderless: bool,
) -> _Verdict:
    """Decide, and keep what was decided, in one transaction."""
    wanted_since_ms = now_ms - WANTED_MS
    orphans = pods.condemn(conn, owner, listed, wanted_since_ms, now_ms, leaderless=leaderless)
    heard = runs.heard(conn, wanted_since_ms, leaderless=leaderless)
    by_name = {pod.name: pod for pod in listed}
    never_came, unanswered = [], []
    for row in pods.unsettled(conn, owner.provider):
        if row.run_id in heard or now_ms - row.intended_ms < SETTLED_MS:
            unanswered.append(row)
            continue
        pods.ended(conn, row.id, now_ms, NEVER_ANSWERED)
        if (pod := by_name.get(row.name)) is None:
            never_came.append(row)
        else:
            orphans.append(Orphan(pod.pod_id, NEVER_ANSWERED, row.id))
    ids = {pod.pod_id for pod in listed}
    missing = [
        row
        for row in pods.live(conn, owner.provider)
        if row.pod_id not in ids
        and now_ms - row.intended_ms >= YOUNG_MS
        and heard.keys().isdisjoint({row.run_id, *row.users})  # theirs to notice
    ]
    left = [
        Swept(row.name, None, "left", awaited(row, SETTLED_MS, now_ms))
        for row in unanswered
        if row.name not in by_name
    ]
    doomed = {orphan.pod_id for orphan in orphans}
    for pod in listed:
        row_of = pods.listed(conn, owner.provider, pod)
        why = spared(owner, pod, row_of, heard, wanted_since_ms, now_ms)
        if why is not None and pod.pod_id not in doomed:
            left.append(Swept(pod.name, pod.pod_id, "left", why))
    return _Verdict(orphans, never_came, missing, left)
