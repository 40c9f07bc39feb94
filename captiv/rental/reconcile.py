"""When a pod ended, if nobody was there to see it.

captiv was killed, and the pod was ended by its guard, or by hand in the provider's console. A
provider forgets a pod that has ended, and no later question tells when that was. Counted until
somebody comes back, a night would stand in the bill, and be spent of `--max-cost`.
"""

import logging
from decimal import Decimal

from captiv.core.jobs import SessionId
from captiv.core.pods import PodRow, unseen_end_ms
from captiv.errors import ProviderError
from captiv.rental.account import Account
from captiv.rental.billing import records
from captiv.store import Store, pods
from captiv.store.commit import commit

_log = logging.getLogger(__name__)

GONE = "its provider does not know it any more"


async def close_if_gone(
    account: Account,
    ledger: Store,
    row: PodRow,
    *,
    session: SessionId | None,
    now_ms: int,
) -> bool:
    """End a pod in the ledger that its provider does not know; tell whether it is gone.

    An answer that does not come leaves it as it is. Args: as of `unseen_end`.
    """
    try:
        if await account.provider.get(row.pod_id or "") is not None:
            return False
    except ProviderError as error:
        _log.warning("pod unknown pod=%s reason=%s", row.pod_id, error.message)
        return False
    at_ms = await unseen_end(account, ledger, row, session=session, now_ms=now_ms)
    await commit(ledger, pods.ended, row.id, at_ms, GONE)
    return True


async def unseen_end(
    account: Account,
    ledger: Store,
    row: PodRow,
    *,
    session: SessionId | None,
    now_ms: int,
) -> int:
    """Return until when a pod is to be paid that is gone, and was not ended from here.

    Args:
        account: the account, whose records are asked for.
        ledger: the pods of this installation.
        row: the pod.
        session: this process's own, if it dispatches.
        now_ms: the time.
    """
    heard_ms = await ledger.aread(pods.heard_ms, row, session)
    billed: dict[str, Decimal] = {}
    if row.pod_id is not None and row.created_ms is not None:
        billed = await records(account.provider, {row.pod_id: row.created_ms})
    recorded = billed.get(row.pod_id or "", Decimal(0))
    return unseen_end_ms(row, account.policy.guarded, heard_ms, recorded, now_ms)
