"""What a run may still spend on all its pods together.

A pod that is running may cost, whatever becomes of captiv, what it costs by its guard's deadline:
so much of the cap is promised to it. A new pod is promised a part of what is left, and gets its
deadline by that; thus all pods of a run together stay below its cap even if nobody is there to end
them. While somebody is, images are claimed as long as what is in flight, at the price of all pods,
fits into the cap.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from captiv.core.cost import DEADLINE_CAP_S, claims_allowed, cost, price_of

IN_FLIGHT_S: Final = 20.0
WIND_DOWN_S: Final = 10.0
"""What is at the workers, and the pods' own end, still cost when claiming stops."""
_RECKONED_S: Final = 60.0
"""By so much a deadline may be reckoned earlier than its pod is asked for."""


class Running(NamedTuple):
    """A pod that the run pays for now."""

    price_micro: int
    """Micro-dollars an hour."""
    from_ms: int
    deadline_ms: int | None
    """When its guard ends it in any case; None of a pod that was made by hand."""

    def spent(self, now_ms: int) -> Decimal:
        """Return what it has cost so far."""
        return cost(price_of(self.price_micro), self.from_ms, now_ms)

    def promised(self, now_ms: int) -> Decimal:
        """Return what it may cost whatever becomes of captiv."""
        until_ms = now_ms if self.deadline_ms is None else max(now_ms, self.deadline_ms)
        return cost(price_of(self.price_micro), self.from_ms, until_ms)


@dataclass(frozen=True, slots=True)
class Budget:
    """The cap of a run, and what its pods have cost, whichever command had them."""

    cap: Decimal | None
    over: Decimal = Decimal(0)
    """Paid for pods that the run has no more."""
    running: tuple[Running, ...] = ()

    def spent(self, now_ms: int) -> Decimal:
        """Return what the run has cost so far."""
        return self.over + sum((pod.spent(now_ms) for pod in self.running), Decimal(0))

    def exhausted(self, now_ms: int) -> bool:
        """Whether nothing is left."""
        return self.cap is not None and self.spent(now_ms) >= self.cap

    def allows(self, now_ms: int, price_usd_h: Decimal = Decimal(0)) -> bool:
        """Whether images may be claimed; also with one more pod of that price."""
        rates = (price_of(pod.price_micro) for pod in self.running)
        rate = sum(rates, price_usd_h) / 3600
        return claims_allowed(self.spent(now_ms), rate, IN_FLIGHT_S, WIND_DOWN_S, self.cap)

    def part(self, now_ms: int, parts: int, reserved: Decimal = Decimal(0)) -> Decimal | None:
        """Return one of so many equal parts of what is promised to no pod; None without a cap.

        Args:
            now_ms: the time.
            parts: how many pods share it.
            reserved: promised to pods that are being made.
        """
        if self.cap is None:
            return None
        promised = sum((pod.promised(now_ms) for pod in self.running), reserved)
        return max(Decimal(0), self.cap - self.over - promised) / max(1, parts)


def is_planned(from_ms: int, deadline_ms: int) -> bool:
    """Whether a pod's deadline stands for no part of a cap: it is a day after the pod's beginning.

    Such an end is put off, or another pod replaces this one when it comes.
    """
    return deadline_ms - from_ms >= (DEADLINE_CAP_S - _RECKONED_S) * 1000


def outlives(from_ms: int, deadline_ms: int | None, now_ms: int) -> bool:
    """Whether what is claimed now ends before the pod's part of the cap does."""
    if deadline_ms is None or is_planned(from_ms, deadline_ms):
        return True
    return now_ms + (IN_FLIGHT_S + WIND_DOWN_S) * 1000 <= deadline_ms
