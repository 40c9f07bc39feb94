"""The lanes of one need: several workers that are fed from the same runs, each at its own speed.

A lane ends as soon as nothing waits for it and nothing of its own is under way, whatever the others
still have at their workers: a pod bills by the second. One that gets no worker, or loses it for
good, ends alone.
"""

from collections.abc import Awaitable, Callable, Mapping

import anyio

from captiv.core.jobs import Run, RunId
from captiv.core.phase import Phase
from captiv.core.plan import Assignment, Need
from captiv.dispatch.claims import AHEAD, Claims
from captiv.dispatch.events import LaneView, Reporter
from captiv.dispatch.lane import Lane

_PLENTY = 2
"""So many times what a lane claims ahead, for each lane, is enough to claim ahead at all."""


class Member:
    """One lane's place in its pool: what the pool knows of it, and what it sees of the pool."""

    def __init__(self, number: int, pool: "Pool", claims: Claims) -> None:
        self.number = number
        self.claims = claims
        self.lane: Lane | None = None
        self.waits_for: Phase | None = None
        self._pool = pool

    @property
    def shared(self) -> bool:
        """Whether several lanes are fed from the same runs."""
        return self._pool.shared

    @property
    def view(self) -> LaneView:
        """How far its lane is."""
        return LaneView(self.number, self.waits_for, self.lane.captioned if self.lane else 0)

    def phase(self, phase: Phase | None) -> None:
        """Take note of what the lane waits for, and tell."""
        changed, self.waits_for = phase != self.waits_for, phase
        self._pool.told(self, changed=changed)

    async def worthwhile(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Whether there is an image to caption; one lane looks for all of them."""
        return await self._pool.worthwhile(look)


class Pool:
    """Who serves a need now."""

    def __init__(self, need: Need, reporter: Reporter) -> None:
        self.need = need
        self.given_up = 0
        """Lanes that ended, for no worker was to be had."""
        self.closing = False
        """Whether the last lane is ending."""
        self._reporter = reporter
        self._members: dict[int, Member] = {}
        self._joined = 0
        self._most = 1
        """How many lanes there were at the same time."""
        self._told: list[LaneView] = []
        self._looking = anyio.Lock()
        self._found = False

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return len(self._members)

    @property
    def shared(self) -> bool:
        """Whether several lanes are fed from the same runs."""
        return self.lanes > 1

    def join(self, claims: Claims) -> Member:
        """Return the place of a lane that is about to open."""
        self._joined += 1
        member = self._members[self._joined] = Member(self._joined, self, claims)
        self._most = max(self._most, self.lanes)
        return member

    def leave(self, member: Member) -> bool:
        """A lane has ended; return whether it was the last: then no other opens in this pool."""
        del self._members[member.number]
        self.closing = not self._members
        return self.closing

    async def worthwhile(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Have one lane look whether there is anything to do, for all of them."""
        async with self._looking:
            if not self._found:
                self._found = await look()
            return self._found

    def drain(self) -> None:
        """Claim no more."""
        for member in self._members.values():
            if member.lane is not None:
                member.lane.drain()

    def serve(self, assignment: Assignment | None, runs: Mapping[RunId, Run]) -> None:
        """Feed every lane from these runs, or from none."""
        pending = assignment.pending if assignment else 0
        ahead = AHEAD if pending >= _PLENTY * AHEAD * self.lanes or not self.shared else 0
        for member in self._members.values():
            served = self._share(member, assignment, runs)
            member.claims.serve(served, ahead=ahead)
            if not served and member.lane is not None and member.claims.empty_handed:
                member.lane.dismiss()

    def told(self, member: Member, *, changed: bool) -> None:
        """Tell what a lane waits for; of which pod, where there are several."""
        if self._most == 1:
            self._reporter.phase(member.waits_for)
        elif changed:
            self._reporter.phase(member.waits_for, pod=member.number)
            self.tell()

    def tell(self) -> None:
        """Tell how far each lane is, if there are several."""
        views = [member.view for member in self._members.values()]
        if self._most > 1 and views != self._told:
            self._told = views
            self._reporter.lanes(views)

    def _share(
        self, member: Member, assignment: Assignment | None, runs: Mapping[RunId, Run]
    ) -> tuple[RunId, ...]:
        """Return the runs that this lane is fed from: where others go on, only while some wait."""
        if assignment is None or not self.shared:
            return assignment.runs if assignment else ()
        return tuple(
            run_id
            for run_id in assignment.runs
            if runs[run_id].counts.pending
            or not runs[run_id].enqueued
            or member.claims.holds(run_id)
        )
