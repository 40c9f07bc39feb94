"""What RunPod's own records say of pods, beside what the ledger knows."""

from collections.abc import Mapping
from decimal import Decimal

import anyio

from captiv.clock import monotonic_s
from captiv.core.bill import PodBill
from captiv.core.cost import dollars
from captiv.core.pods import PodRow
from captiv.rental.billing import WITHIN_S, records
from captiv.rental.runpod import RunpodApi

_EVERY_S = 60.0
"""RunPod bills every five minutes, and limits how often it may be asked."""


class Billed:
    """RunPod's records, asked for at most once a minute and never waited for long."""

    def __init__(self) -> None:
        self._known: dict[str, Decimal] = {}
        self._asked_s: float | None = None

    async def of(self, api: RunpodApi, since_ms: Mapping[str, int]) -> Mapping[str, Decimal]:
        """Return what RunPod has billed so far, by the pod's id; `since_ms` says when each began.

        Never an error: what it does not say in time is as it was.
        """
        now_s = monotonic_s()
        if self._asked_s is None or now_s - self._asked_s >= _EVERY_S:
            self._asked_s = now_s
            with anyio.move_on_after(WITHIN_S):
                self._known |= await records(api, since_ms)
        return self._known


def drawn(row: PodRow, recorded: Decimal, now_ms: int) -> PodBill | None:
    """Return the bill of a pod in the ledger; None of one that was never made."""
    if row.pod_id is None or row.created_ms is None:
        return None
    return PodBill(
        pod_id=row.pod_id,
        gpu=row.gpu,
        price_micro=row.price_micro,
        share=Decimal(0),
        created_ms=row.created_ms,
        ended_ms=row.ended_ms,
        now_ms=now_ms,
        recorded=recorded,
    )


def told(recorded: Decimal, whole: PodBill | None) -> str:
    """Return RunPod's own word on a pod for a person."""
    if whole is not None and whole.billed is not None:
        return f"{dollars(whole.billed)} by RunPod's own records"
    if not recorded:
        return "nothing yet in RunPod's own records, which come later"
    return f"{dollars(recorded)} so far by RunPod's own records, which come later"
