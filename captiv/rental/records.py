"""What a provider's own records say of pods, beside what the ledger knows."""

from collections.abc import Mapping
from decimal import Decimal

from captiv.clock import monotonic_s
from captiv.core.bill import PodBill
from captiv.core.cost import dollars
from captiv.core.pods import PodRow
from captiv.rental.billing import records
from captiv.rental.provider import Provider

_EVERY_S = 60.0
"""Providers bill every few minutes, and limit how often they may be asked."""


class Billed:
    """A provider's records, asked for at most once a minute and never waited for long."""

    def __init__(self) -> None:
        self._known: dict[str, Decimal] = {}
        self._asked_s: float | None = None

    async def of(self, provider: Provider, since_ms: Mapping[str, int]) -> Mapping[str, Decimal]:
        """Return what it has billed so far, by the pod's id; `since_ms` says when each began.

        Never an error: what it does not say in time is as it was.
        """
        now_s = monotonic_s()
        if self._asked_s is None or now_s - self._asked_s >= _EVERY_S:
            self._asked_s = now_s
            self._known |= await records(provider, since_ms)
        return self._known


def drawn(row: PodRow, recorded: Decimal, now_ms: int) -> PodBill | None:
    """Return the bill of a pod in the ledger; None of one that was never made."""
    if row.pod_id is None or row.created_ms is None:
        return None
    return PodBill(
        provider=row.provider,
        pod_id=row.pod_id,
        gpu=row.gpu,
        price_micro=row.price_micro,
        share=Decimal(0),
        created_ms=row.created_ms,
        ended_ms=row.ended_ms,
        now_ms=now_ms,
        recorded=recorded,
    )


def told(label: str, recorded: Decimal, whole: PodBill | None) -> str:
    """Return the own word of a provider of that label on a pod, for a person."""
    if whole is not None and whole.billed is not None:
        return f"{dollars(whole.billed)} by {label}'s own records"
    if not recorded:
        return f"nothing yet in {label}'s own records, which come later"
    return f"{dollars(recorded)} so far by {label}'s own records, which come later"
