"""The lanes of one need: several workers that are fed from the same runs, each at its own speed.

A lane ends as soon as nothing waits for it and nothing of its own is under way, whatever the others
still have at their workers: a pod bills by the second. One that gets no worker, or loses it for
good, ends alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio

from captiv.core.jobs import Run, RunId
from captiv.core.phase import Phase
from captiv.core.plan import Assignment, Need
from captiv.dispatch.claims import AHEAD, Claims
from captiv.dispatch.events import LaneView, Reporter
from captiv.dispatch.lane import Lane

_PLENTY = 2
"""So many times what a lane claims ahead, for each lane, is enough to claim ahead at all."""


@dataclass(slots=True)
class _Member:
    number: int
    claims: Claims
    lane: Lane | None = None
    phase: Phase | None = None


class Pool:
    """Who serves a need now."""

    def __init__(self, need: Need, reporter: Reporter) -> None:
        self.need = need
        self.given_up = 0
        """Lanes that ended, for no worker was to be had."""
        self.closing = False
        """Whether the last lane is ending."""
        self._reporter = reporter
        self._members: dict[int, _Member] = {}
        self._joined = 0
        self._most = 1
        """How many lanes there were at the same time."""
        self._told: list[LaneView] = []
        self._scouting = anyio.Lock()
        self._found = False

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return len(self._members)

    @property
    def shared(self) -> bool:
        """Whether several lanes are fed from the same runs."""
        return self.lanes > 1

    def join(self, claims: Claims) -> int:
        """A lane is about to open; return its number."""
        self._joined += 1
        self._members[self._joined] = _Member(self._joined, claims)
        self._most = max(self._most, self.lanes)
        return self._joined

    def opened(self, number: int, lane: Lane) -> None:
        """The lane of that number is there."""
        self._members[number].lane = lane

    def leave(self, number: int) -> bool:
        """A lane has ended; return whether it was the last: then no other opens in this pool."""
        del self._members[number]
        self.closing = not self._members
        return self.closing

    async def scout(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Have one lane look whether there is anything to do, for all of them."""
        async with self._scouting:
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

    def phase(self, number: int, phase: Phase | None) -> None:
        """Take note of what a lane waits for, and tell; whose it is, where there are several."""
        member = self._members[number]
        changed, member.phase = phase != member.phase, phase
        if self._most == 1:
            self._reporter.phase(phase)
        elif changed:
            self._reporter.phase(phase, pod=number)
            self.tell()

    def tell(self) -> None:
        """Tell how far each lane is, if there are several."""
        views = [
            LaneView(m.number, m.phase, m.lane.captioned if m.lane else 0)
            for m in self._members.values()
        ]
        if self._most > 1 and views != self._told:
            self._told = views
            self._reporter.lanes(views)

    def _share(
        self, member: _Member, assignment: Assignment | None, runs: Mapping[RunId, Run]
    ) -> tuple[RunId, ...]:
        """Return the runs that this lane is fed from: where others go on, only while some wait."""
        if assignment is None or not self.shared:
            return assignment.runs if assignment else ()
        return tuple(
            run_id
            for run_id in assignment.runs
            if runs[run_id].counts.pending
            or not runs[run_id].scanned
            or member.claims.holds(run_id)
        )
