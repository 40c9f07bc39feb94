"""The bill of a run: its share of each pod, what the pod cost in all, and whether it still bills.

The ledger knows it to the second. The provider's own records come later, and are shown beside it
once they have caught up: when they hold nearly what the ledger expects, or long enough after the
pod's end for them to be final.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from captiv.core.cost import cost, dollars, price_of, rate

SETTLED_MS: Final = 2 * 3_600_000
"""So long after a pod's end the provider's records are final; they come by the hour."""

_SLACK_S: Final = 5
"""The ledger counts until the end was confirmed, which is later than the provider's last second."""
_SLACK_SHARE: Final = Decimal("0.02")


@dataclass(frozen=True, slots=True)
class PodBill:
    """What one pod cost."""

    provider: str
    pod_id: str
    gpu: str
    price_micro: int
    """Micro-dollars an hour."""
    share: Decimal
    """What this run pays of it, in dollars."""
    created_ms: int
    ended_ms: int | None
    """None of one that still bills as far as the ledger knows."""
    now_ms: int
    """When the bill was drawn."""
    gone: bool | None = None
    """What the provider says: whether it bills no more; None if it was not asked, or said nothing.
    """
    recorded: Decimal = Decimal(0)
    """What stands in the provider's own records so far."""

    @property
    def billing(self) -> bool:
        """Whether it still bills; the provider knows better than the ledger."""
        return self.ended_ms is None if self.gone is None else not self.gone

    @property
    def total(self) -> Decimal:
        """What it cost in all, whoever used it: until now if it still bills."""
        until_ms = self.now_ms if self.billing or self.ended_ms is None else self.ended_ms
        return cost(price_of(self.price_micro), self.created_ms, until_ms)

    @property
    def billed(self) -> Decimal | None:
        """What the provider has billed, or None while its records lag behind."""
        if self.billing or not self.recorded:
            return None
        slack = price_of(self.price_micro) * _SLACK_S / 3600 + self.total * _SLACK_SHARE
        settled = self.ended_ms is not None and self.now_ms - self.ended_ms >= SETTLED_MS
        return self.recorded if settled or self.recorded + slack >= self.total else None

    def line(self) -> str:
        """Return it for a person."""
        said = f"Pod {self.pod_id} ({self.gpu}, {rate(price_of(self.price_micro))}): "
        said += f"{dollars(self.total)} in all"
        if self.billing:
            return (
                f"{said} so far; it still bills, until its guard or "
                f"`captiv {self.provider} terminate {self.pod_id}` ends it."
            )
        if self.billed is not None:
            said += f", {dollars(self.billed)} by the provider's own records"
        return f"{said}; it has ended."


@dataclass(frozen=True, slots=True)
class Bill:
    """What the pods of one run cost, the oldest first."""

    pods: tuple[PodBill, ...]

    @property
    def share(self) -> Decimal:
        """What the run pays, in dollars."""
        return sum((pod.share for pod in self.pods), Decimal(0))

    def lines(self) -> list[str]:
        """Return it for a person."""
        share = f"This run's share of its pods cost {dollars(self.share)}."
        return [share, *(pod.line() for pod in self.pods)]

    def facts(self) -> list[dict[str, object]]:
        """Return the pods for JSON; sums of money as decimals in text."""
        return [
            {
                "pod": pod.pod_id,
                "gpu": pod.gpu,
                "price_usd_h": float(price_of(pod.price_micro)),
                "share_usd": _text(pod.share),
                "total_usd": _text(pod.total),
                "still_bills": pod.billing,
                "billed_by_provider_usd": None if pod.billed is None else _text(pod.billed),
            }
            for pod in self.pods
        ]


def _text(amount: Decimal) -> str:
    return f"{amount:.6f}"
