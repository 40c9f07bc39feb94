"""When a pod ended, if nobody was there to see it.

captiv was killed, and the pod ended by its guard, or by hand in RunPod's console. RunPod forgets a
pod that is terminated, and no later question tells when that was. Counted until somebody comes
back, a night would stand in the bill, and be spent of `--max-cost`.
"""

import logging
from decimal import Decimal

import anyio

from captiv.core.jobs import SessionId
from captiv.core.pods import Guarded, PodRow, unseen_end_ms
from captiv.errors import ProviderError
from captiv.rental.billing import WITHIN_S, records
from captiv.rental.runpod import RunpodApi
from captiv.store import Store, pods

_log = logging.getLogger(__name__)

GONE = "RunPod does not know it any more"


async def close_if_gone(
    api: RunpodApi,
    store: Store,
    row: PodRow,
    guarded: Guarded,
    *,
    session: SessionId | None,
    now_ms: int,
) -> bool:
    """End a pod in the ledger that RunPod, asked for it, does not know; tell whether it is gone.

    An answer that does not come leaves it as it is. Args: as of `unseen_end`.
    """
    try:
        if await api.pod(row.pod_id or "") is not None:
            return False
    except ProviderError as error:
        _log.warning("pod unknown pod=%s reason=%s", row.pod_id, error.message)
        return False
    at_ms = await unseen_end(api, store, row, guarded, session=session, now_ms=now_ms)
    await store.awrite(pods.ended, row.id, at_ms, GONE)
    return True


async def unseen_end(
    api: RunpodApi,
    store: Store,
    row: PodRow,
    guarded: Guarded,
    *,
    session: SessionId | None,
    now_ms: int,
) -> int:
    """Return until when a pod is to be paid that is gone, and was not ended from here.

    Args:
        api: the account, whose records are asked for.
        store: the ledger.
        row: the pod.
        guarded: how long it lived without a word.
        session: this process's own, if it dispatches.
        now_ms: the time.
    """
    heard_ms = await store.aread(pods.heard_ms, row, session)
    billed: dict[str, Decimal] = {}
    if row.pod_id is not None and row.created_ms is not None:
        with anyio.move_on_after(WITHIN_S):
            billed = await records(api, {row.pod_id: row.created_ms})
    recorded = billed.get(row.pod_id or "", Decimal(0))
    return unseen_end_ms(row, guarded, heard_ms, recorded, now_ms)
