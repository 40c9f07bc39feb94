"""The lanes of one need: several workers that are fed from the same runs, each at its own speed.

A lane of a rented worker ends as soon as nothing waits for it and nothing of its own is under way,
whatever the others still have at their workers: a pod bills by the second. A worker that costs
nothing stays, for another one may have to give back what it has. A lane that gets no worker, or
loses it for good, ends alone: it is given up, and the others go on.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import anyio

from captiv.core.jobs import Run, RunId
from captiv.core.phase import Phase
from captiv.core.plan import Assignment, Need
from captiv.core.sites import name_of
from captiv.core.spec import Site
from captiv.dispatch.claims import AHEAD, Claims
from captiv.dispatch.events import LaneView, Reporter
from captiv.dispatch.lane import Lane
from captiv.dispatch.neighbours import Progress
from captiv.errors import CaptivError

_PLENTY = 2
"""So many times what a lane claims ahead, for each lane, is enough to claim ahead at all."""


class Member:
    """One lane's place in its pool: what the pool knows of it, and what it sees of the pool."""

    def __init__(self, site: Site, slot: int, name: str, pool: "Pool", claims: Claims) -> None:
        """Args: `slot` tells it from others at the same site, `name` from all others."""
        self.site, self.slot, self.name = site, slot, name
        self.claims = claims
        self.lane: Lane | None = None
        self.waits_for: Phase | None = None
        self._pool = pool

    @property
    def shared(self) -> bool:
        """Whether several lanes are fed from the same runs."""
        return self._pool.shared

    @property
    def captioned(self) -> int:
        """Captions that came through its lane."""
        return self.lane.captioned if self.lane else 0

    def phase(self, phase: Phase | None) -> None:
        """Take note of what the lane waits for, and tell."""
        changed, self.waits_for = phase != self.waits_for, phase
        self._pool.told(self, changed=changed)

    def warned(self, message: str) -> None:
        """Tell a person something of the worker."""
        self._pool.warned(self, message)

    def progress(self) -> Progress:
        """Return how far all lanes are."""
        return self._pool.progress()

    async def worthwhile(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Whether there is an image to caption; one lane looks for all of them."""
        return await self._pool.worthwhile(look)


class Pool:
    """Who serves a need."""

    def __init__(self, need: Need, reporter: Reporter) -> None:
        self.need = need
        self.given_up: Counter[Site] = Counter()
        """Lanes that ended, for no worker was to be had; by where it would have been."""
        self.error: CaptivError | None = None
        """Why the last of them did."""
        self.closing = False
        """Whether the last lane is ending: no other opens meanwhile."""
        self._reporter = reporter
        self._members: list[Member] = []
        self._most = 1
        """How many lanes there were at the same time."""
        self._captioned: Counter[str] = Counter()
        """What came through lanes that have ended, by the names of their workers."""
        self._told: list[LaneView] = []
        self._looking = anyio.Lock()
        self._found = False

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return len(self._members)

    @property
    def opened(self) -> Counter[Site]:
        """How many lanes there are at each site."""
        return Counter(member.site for member in self._members)

    @property
    def busy(self) -> bool:
        """Whether a lane is open, or the end of the last one is not over."""
        return bool(self._members) or self.closing

    @property
    def shared(self) -> bool:
        """Whether several lanes are fed from the same runs."""
        return self.lanes > 1

    def join(self, assignment: Assignment, site: Site, claims: Claims) -> Member:
        """Return the place of a lane that is about to open."""
        taken = {member.slot for member in self._members if member.site == site}
        slot = next(n for n in range(1, len(taken) + 2) if n not in taken)
        member = Member(site, slot, name_of(site, assignment.sites, slot), self, claims)
        self._members.append(member)
        self._most = max(self._most, self.lanes)
        return member

    def leave(self, member: Member) -> bool:
        """A lane has ended; return whether it was the last: no other opens until `close`."""
        self._members.remove(member)
        self._captioned[member.name] += member.captioned
        self.closing = not self._members
        self.tell()
        return self.closing

    def close(self) -> None:
        """The end of the last lane is over; what comes now is looked at anew."""
        self.closing = self._found = False

    async def worthwhile(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Have one lane look whether there is anything to do, for all of them."""
        async with self._looking:
            if not self._found:
                self._found = await look()
            return self._found

    def progress(self) -> Progress:
        """Return how far all lanes are, those that have ended among them."""
        return Progress(
            self._captioned.total() + sum(member.captioned for member in self._members),
            sum(member.lane.at_worker for member in self._members if member.lane),
        )

    def give_up(self, site: Site, lanes: int, error: CaptivError) -> None:
        """Open so many lanes less at this site."""
        self.given_up[site] += lanes
        self.error = error

    def forsaken(self, wanted: Counter[Site]) -> CaptivError | None:
        """Return why no lane is open, nor will be for those `wanted`; None if one may be."""
        return None if self.busy or wanted - self.given_up else self.error

    def drain(self) -> None:
        """Claim no more."""
        for member in self._members:
            if member.lane is not None:
                member.lane.drain()

    def serve(self, assignment: Assignment | None, runs: Mapping[RunId, Run]) -> None:
        """Feed every lane from these runs, or from none."""
        pending = assignment.pending if assignment else 0
        ahead = AHEAD if pending >= _PLENTY * AHEAD * self.lanes or not self.shared else 0
        for member in self._members:
            served = self._share(member, assignment, runs)
            member.claims.serve(served, ahead=ahead)
            if not served and member.lane is not None and member.claims.empty_handed:
                member.lane.dismiss()

    def told(self, member: Member, *, changed: bool) -> None:
        """Tell what a lane waits for; of which worker, where there are several."""
        if self._most == 1:
            self._reporter.phase(member.waits_for)
        elif changed:
            self._reporter.phase(member.waits_for, worker=member.name)
            self.tell()

    def warned(self, member: Member, message: str) -> None:
        """Tell a person something of a worker; of which, where there are several."""
        self._reporter.warned(message if self._most == 1 else f"{member.name}: {message}")

    def tell(self) -> None:
        """Tell how far each lane is, if there are several."""
        views = self._views()
        if self._most > 1 and views != self._told:
            self._told = views
            self._reporter.lanes(views)

    def _views(self) -> list[LaneView]:
        here = {member.name: member for member in self._members}
        return [
            LaneView(
                name,
                member.waits_for if member else None,
                self._captioned[name] + (member.captioned if member else 0),
                over=member is None,
            )
            for name in dict.fromkeys((*here, *self._captioned))
            for member in [here.get(name)]
        ]

    def _share(
        self, member: Member, assignment: Assignment | None, runs: Mapping[RunId, Run]
    ) -> tuple[RunId, ...]:
        """Return the runs that this lane is fed from: one that costs, only while images wait."""
        if assignment is None or member.site not in assignment.sites:
            return ()
        if not self.shared or member.site.kind != "rented":
            return assignment.runs
        return tuple(
            run_id
            for run_id in assignment.runs
            if runs[run_id].counts.pending
            or not runs[run_id].enqueued
            or member.claims.holds(run_id)
        )
