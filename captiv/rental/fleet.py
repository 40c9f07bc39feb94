"""What the pods of one run share: its cap, its replacements, and what an earlier command left.

Each lane has a rental of its own; all of them join one fleet. What one takes, no other has.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Protocol

import anyio

from captiv.clock import steady_s
from captiv.core.budget import Budget
from captiv.core.cost import deadline_ms
from captiv.core.fleet import MAX_LOSSES, Losses, Offer
from captiv.core.jobs import RunId, SessionId
from captiv.core.pods import PodRow, PodRowId
from captiv.errors import BudgetSpent, NoWorker
from captiv.store import Store, pods, runs


class Member(Protocol):
    """The rental of one lane."""

    @property
    def paying(self) -> bool:
        """Whether it has a pod: its part of the cap is taken."""
        ...

    async def prolong(self, dollars: Decimal) -> None:
        """Let its pod live for so much longer."""
        ...


class Fleet:
    """The pods of one run in this process."""

    def __init__(
        self,
        store: Store,
        run_id: RunId,
        cap: Decimal | None,
        *,
        now_ms: Callable[[], int],
        clock_s: Callable[[], float] = steady_s,
        session: SessionId | None = None,
    ) -> None:
        """Args: `cap` is what the run may cost, in dollars; `session` this process's own."""
        self.session = session
        self.began_ms = now_ms()
        """Pods that the run asked for earlier are those of a command that was killed."""
        self.unfit: set[PodRowId] = set()
        """Pods of others that turned out to be of no use to this run."""
        self._store = store
        self._run_id = run_id
        self._now_ms = now_ms
        self._clock_s = clock_s
        self._budget = Budget(cap)
        self._members: list[Member] = []
        self._losses = Losses()
        self._inherited: deque[PodRow] | None = None
        self._announced = False
        self._looking = anyio.Lock()
        self._sharing = anyio.Lock()
        self._reserved: dict[Member, Decimal] = {}
        """Parts of the cap that are promised to pods in the making."""

    @property
    def abandoned(self) -> bool:
        """Whether no lane is left in it."""
        return not self._members

    def announces(self) -> bool:
        """Whether nobody has said yet what the run's pods are expected to cost; True once."""
        first, self._announced = not self._announced, True
        return first

    def join(self, member: Member) -> None:
        """A lane opens."""
        self._members.append(member)

    async def leave(self, member: Member) -> None:
        """A lane ends, without a pod: its part of the cap is for those that are left."""
        if member not in self._members:
            return
        self._members.remove(member)
        self._reserved.pop(member, None)
        async with self._sharing:
            await self.reckon()
            part = self._part(len(self._members))
            for other in list(self._members):
                if part and other.paying:
                    await other.prolong(part)
            await self.reckon()

    async def lost(self) -> None:
        """Take note that a pod of any lane was lost, and is to be replaced.

        Raises:
            NoWorker: too many were, for too few captions.
        """
        counts = (await self._store.aread(runs.get, self._run_id)).counts
        self._losses = self._losses.one_more(self._clock_s(), counts.captioned + counts.done)
        if self._losses.hopeless:
            raise NoWorker(
                f"{MAX_LOSSES} pods were lost within an hour, with fewer than 100 captions between."
            )

    async def inherit(self, find: Callable[[], Awaitable[list[PodRow]]]) -> PodRow | None:
        """Return a pod that an earlier command of the run left, each only once; None if none is.

        Args:
            find: looks for them; it is asked once.
        """
        await self.look_back(find)
        return self._inherited.popleft() if self._inherited else None

    async def look_back(self, find: Callable[[], Awaitable[list[PodRow]]]) -> None:
        """Find out, once, what an earlier command left; the ledger is right about it afterwards."""
        async with self._looking:
            if self._inherited is None:
                self._inherited = deque(await find())

    # -- the cap ---------------------------------------------------------------------------------

    async def reckon(self) -> None:
        """Look into the ledger: a pod came, or is gone."""
        self._budget = await self._store.aread(pods.budget, self._run_id, self._budget.cap)

    async def require_money(self) -> None:
        """Refuse to go on when the cap is spent.

        Raises:
            BudgetSpent: it is.
        """
        await self.reckon()
        if self._budget.exhausted(self._now_ms()):
            raise BudgetSpent("The run has cost what it may (--max-cost); the rest stays pending.")

    async def left(self) -> Decimal | None:
        """Return one pod's part, in dollars, of what is promised to none; None without a cap."""
        await self.reckon()
        return self._part(len(self._members))

    def affords(self) -> bool:
        """Whether another image may be claimed so that all ends within the cap."""
        return self._budget.allows(self._now_ms())

    async def deadline_ms(self, member: Member, offer: Offer) -> int:
        """Return when a pod of this offer has to end itself, in ms; its part is reserved by then.

        Raises:
            BudgetSpent: it could not pay for a caption.
        """
        self._reserved.pop(member, None)
        await self.require_money()
        now, price = self._now_ms(), offer.price_usd_h
        waiting = [m for m in self._members if not m.paying and m not in self._reserved]
        part = self._part(len(waiting))
        if not self._budget.allows(now, price) or not Budget(part).allows(now, price):
            raise BudgetSpent(
                f"What is left of --max-cost does not pay for a caption on {offer.gpu_id}."
            )
        if part is not None:
            self._reserved[member] = part
        return deadline_ms(now, price, part)

    async def made(self, member: Member) -> None:
        """The pod in the making is in the ledger by now, or will not be made."""
        await self.reckon()
        self._reserved.pop(member, None)

    def _part(self, parts: int) -> Decimal | None:
        reserved = sum(self._reserved.values(), Decimal(0))
        return self._budget.part(self._now_ms(), parts, reserved)
