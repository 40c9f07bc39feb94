"""How long a pod lives: until the deadline of its guard, which price and cap move."""

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import anyio

from captiv.clock import steady_s, waiting_s
from captiv.core.budget import is_planned, outlives
from captiv.core.cost import DEADLINE_CAP_S, micro, price_of, rate, redated_ms
from captiv.core.pods import PodRow
from captiv.errors import WorkerError
from captiv.rental.fleet import Fleet
from captiv.rental.podspec import Terms
from captiv.rental.provider import Pod
from captiv.rental.provision import RentalContext, too_dear
from captiv.store import pods
from captiv.store.commit import commit
from captiv.wire import GuardLimits

_TEND_S: Final = 60.0
_RENEW_S: Final = 7200.0
"""So long before a pod's planned end its guard is told of a later one, and told again if it could
not be."""


@dataclass(slots=True)
class Held:
    """The pod that a lane of a run has, if it has one."""

    row: PodRow | None = None


class Lifespan:
    """Keeps the deadline in the ledger and the one in the pod's guard the same, within the cap."""

    def __init__(self, context: RentalContext, terms: Terms, fleet: Fleet, held: Held) -> None:
        """Look after whichever pod is held.

        Args:
            context: account and ledger.
            terms: what is rented, for which run.
            fleet: what this pod shares with the run's others: the cap.
            held: the pod; a new deadline or price replaces its row.
        """
        self._context = context
        self._terms = terms
        self._fleet = fleet
        self._held = held
        self._untold = False
        """Whether the guard has to be told of a deadline that it does not know."""

    def affordable(self) -> bool:
        """Whether another image may be claimed so that all ends within the run's cap.

        Nor may this pod's part of the cap end before: then its guard would end it.
        """
        row = self._held.row
        if row is None or self._terms.max_cost is None:
            return True
        return self._fleet.affords() and outlives(
            row.intended_ms, row.deadline_ms, self._context.now_ms()
        )

    @property
    def ends_in_s(self) -> float:
        """In how many seconds the pod's guard ends it; infinite where its part of the cap does.

        That part is `affordable`'s.
        """
        row = self._held.row
        if row is None or row.deadline_ms is None:
            return math.inf
        if not is_planned(row.intended_ms, row.deadline_ms):
            return math.inf
        return (row.deadline_ms - self._context.now_ms()) / 1000

    async def tend(self) -> None:
        """Have the guard keep the pod as long as the run goes on. Runs until cancelled."""
        while True:
            await self._renewed()
            await self._retold()
            await _passed(_TEND_S)

    async def _retold(self) -> None:
        """Tell the guard of its deadline, if it does not know it yet."""
        row = self._held.row
        if row is not None and row.deadline_ms is not None and self._untold:
            self._untold = not await self._told(row, row.deadline_ms)

    async def priced(self, pod: Pod) -> None:
        """Reckon with what the pod really costs, once the provider says so.

        Raises:
            TooDear: that is more than is allowed.
        """
        row, price = self._held.row, micro(pod.price_usd_h)
        if row is None or not price or price == row.price_micro:
            return
        deadline = row.deadline_ms
        if deadline is not None and self._terms.max_cost is not None:
            from_ms = row.created_ms or row.intended_ms
            deadline = redated_ms(from_ms, deadline, row.price_micro, price)
        if not await commit(self._context.ledger, pods.priced, row.id, price, deadline):
            return
        self._held.row = replace(row, price_micro=price, deadline_ms=deadline)
        self._untold = deadline != row.deadline_ms
        await self._fleet.reckon()
        was, now = rate(price_of(row.price_micro)), rate(price_of(price))
        self._context.on_note(f"Pod {row.pod_id} costs {now}, not {was} as was said before.")
        if price_of(price) > self._terms.policy.wish.max_price_usd_h:
            raise too_dear(self._terms.policy.wish, row.gpu, price_of(price))

    async def _renewed(self) -> None:
        """Move the pod's planned end, if it is near and the run's cap leaves money for more."""
        row = self._held.row
        if row is None or row.deadline_ms is None or self.ends_in_s > _RENEW_S:
            return
        left = await self._fleet.left()
        until_ms = self._context.now_ms() + DEADLINE_CAP_S * 1000
        if left is not None:
            more_ms = int(left * 3600 / price_of(row.price_micro)) * 1000 if row.price_micro else 0
            until_ms = min(until_ms, row.deadline_ms + more_ms)
        if until_ms > row.deadline_ms and await self._prolonged(row, until_ms):
            await self._fleet.reckon()

    async def prolong(self, dollars: Decimal) -> None:
        """Let the pod live for so much longer, at most a day from now: others left their part."""
        row = self._held.row
        if row is None or row.deadline_ms is None or not row.price_micro:
            return
        more_ms = int(dollars * 3600 / price_of(row.price_micro)) * 1000
        last_ms = self._context.now_ms() + DEADLINE_CAP_S * 1000
        await self._prolonged(row, min(row.deadline_ms + more_ms, last_ms))

    async def _prolonged(self, row: PodRow, deadline: int) -> bool:
        """Move the pod's deadline, in ms. A guard that cannot be told keeps the one that it has."""
        if not await commit(self._context.ledger, pods.prolong, row.id, deadline):
            return False
        if not await self._told(row, deadline):
            return False
        if self._held.row is row:
            self._held.row = replace(row, deadline_ms=deadline)
        return True

    async def _told(self, row: PodRow, deadline_ms: int) -> bool:
        """Tell the pod's guard of its limits; False if it does not answer."""
        deadline = (deadline_ms + self._context.account.provider.clock_ahead_ms) / 1000
        limits = GuardLimits(idle_s=self._terms.policy.guarded.idle_s, deadline=deadline)
        try:
            async with self._context.account.worker(
                row.pod_id or "", row.name, connections=1
            ) as worker:
                await worker.renew(limits)
        except WorkerError:
            return False
        return True


async def _passed(calendar_s: float) -> None:
    """Return when so many seconds of the calendar have passed."""
    until_s = steady_s() + calendar_s
    while (left_s := until_s - steady_s()) > 0:  # noqa: ASYNC110 - a clock tells of nothing
        await anyio.sleep(waiting_s(left_s))
