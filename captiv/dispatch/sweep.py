"""The sweep: pods of this installation that nobody needs are ended, and the ledger is put right.

It lists first and decides afterwards, in one transaction of the ledger, so that a pod made in
between is nobody's orphan. Then what was condemned is ended, and asked for until it is gone. A list
that cannot be had is an error and never an empty one: without it nothing is done at all.

Three kinds of rows come out of it right:

- a pod that no living run needs is `ended`, here and, as far as RunPod does it, there;
- an intent whose answer never came is ended once it is too old to be under way; its pod, if there
  is one, too;
- a pod that RunPod does not know any more is `ended`. The list may miss one, so it is asked for.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import anyio

from captiv.core.pods import Listed, Orphan, PodRow
from captiv.errors import ProviderError
from captiv.runpod import RunpodApi
from captiv.store import Connection, Store, pods, runs

_log = logging.getLogger(__name__)

SETTLED_MS = 300_000
"""An intent so old is not under way any more: a create is answered, or given up, within 2 min."""
_YOUNG_MS = 60_000
"""RunPod's list and its other answers may not know a pod yet that is younger."""
CONFIRM_S = 60.0
_LOOK_S = 1.0

NEVER_ANSWERED = "it was asked for, and the answer never came"
GONE = "RunPod does not know it any more"

Outcome = Literal["terminated", "still there", "gone", "never came"]


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sweep did about one pod, and why."""

    name: str
    pod_id: str | None
    outcome: Outcome
    """`gone`: RunPod did not know it any more; `never came`: it was asked for and never made."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    orphans: list[Orphan]
    never_came: list[PodRow]
    missing: list[PodRow]
    """Live in the ledger and not in the list."""


async def sweep(
    api: RunpodApi,
    store: Store,
    installation: str,
    now_ms: Callable[[], int],
    *,
    wanted_since_ms: int,
    confirm_s: float = CONFIRM_S,
) -> list[Swept]:
    """End the pods of this installation that nobody needs; return what was done.

    Args:
        api: the account.
        store: the ledger, to be written.
        installation: whose pods.
        now_ms: the time.
        wanted_since_ms: runs that somebody has waited for since then are alive.
        confirm_s: how long each pod's end is asked for; one that is still there then is found
            again by the next sweep.

    Raises:
        ProviderError: the list cannot be had; nothing was done.
    """
    listed = [Listed(pod.id, pod.name) for pod in await api.pods()]
    verdict = await store.awrite(_judged, installation, listed, wanted_since_ms, now_ms())
    names = {pod.pod_id: pod.name for pod in listed}
    swept = [Swept(row.name, None, "never came", NEVER_ANSWERED) for row in verdict.never_came]
    async with anyio.create_task_group() as tg:

        async def terminate(orphan: Orphan) -> None:
            gone = await end(api, orphan.pod_id, within_s=confirm_s)
            outcome: Outcome = "terminated" if gone else "still there"
            swept.append(Swept(names[orphan.pod_id], orphan.pod_id, outcome, orphan.reason))

        for orphan in verdict.orphans:
            tg.start_soon(terminate, orphan)
    swept += await _closed(api, store, verdict.missing, now_ms)
    for one in swept:
        _log.info("pod swept pod=%s outcome=%s reason=%s", one.pod_id, one.outcome, one.reason)
    return swept


async def end(api: RunpodApi, pod_id: str, *, within_s: float = CONFIRM_S) -> bool:
    """Ask for a pod's end until it is gone; False if it is still there after `within_s`.

    A cancellation waits for it: a pod whose end was begun is a pod that is known to be gone, or
    said not to be.
    """
    with anyio.move_on_after(within_s, shield=True):
        while True:
            with suppress(ProviderError):
                await api.terminate(pod_id)
                if await api.pod(pod_id) is None:
                    return True
            await anyio.sleep(_LOOK_S)
    return False


def _judged(
    conn: Connection,
    installation: str,
    listed: Sequence[Listed],
    wanted_since_ms: int,
    now_ms: int,
) -> _Verdict:
    """Decide, and keep what was decided, in one transaction."""
    orphans = pods.condemn(conn, installation, listed, wanted_since_ms, now_ms)
    alive = {run.id for run in runs.wanted(conn, wanted_since_ms)}
    by_name = {pod.name: pod for pod in listed}
    never_came = []
    for row in pods.unsettled(conn):
        if row.run_id in alive or now_ms - row.intended_ms < SETTLED_MS:
            continue
        pods.ended(conn, row.id, now_ms, NEVER_ANSWERED)
        if (pod := by_name.get(row.name)) is None:
            never_came.append(row)
        else:
            orphans.append(Orphan(pod.pod_id, NEVER_ANSWERED, row.id))
    ids = {pod.pod_id for pod in listed}
    missing = [
        row
        for row in pods.live(conn)
        if row.pod_id not in ids
        and now_ms - row.intended_ms >= _YOUNG_MS
        and alive.isdisjoint({row.run_id, *row.users})  # theirs to notice
    ]
    return _Verdict(orphans, never_came, missing)


async def _closed(
    api: RunpodApi, store: Store, missing: Sequence[PodRow], now_ms: Callable[[], int]
) -> list[Swept]:
    """End in the ledger those of the missing that RunPod, asked for each, does not know."""
    closed = []
    for row in missing:
        try:
            if await api.pod(row.pod_id or "") is not None:
                continue
        except ProviderError as error:
            _log.warning("pod unknown pod=%s reason=%s", row.pod_id, error.message)
            continue
        if await store.awrite(pods.ended, row.id, now_ms(), GONE):
            closed.append(Swept(row.name, row.pod_id, "gone", GONE))
    return closed
