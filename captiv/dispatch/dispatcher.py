"""Serves the runs that live commands wait for, until the one it was started for is done.

One dispatcher holds the lease of a job table. A few times a second it looks which runs are wanted,
lets `core.plan` decide which workers serve them, and opens or ends lanes accordingly. It returns
when its own run has nothing left that it could do; runs of other live commands are served
meanwhile, and go on under their own command afterwards.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from captiv.core import retry
from captiv.core.jobs import WANTED_MS, Run, RunId, RunState
from captiv.core.plan import Assignment, Need, assign, need_of, need_of_spec
from captiv.core.sites import name_of
from captiv.core.spec import RunSpec, Site
from captiv.dispatch.claims import AHEAD, Claims
from captiv.dispatch.lane import Lane
from captiv.dispatch.pool import Member, Pool
from captiv.dispatch.queue import QueueContext
from captiv.errors import (
    BudgetSpent,
    CaptivError,
    MachineShort,
    SidecarError,
    UsageError,
)
from captiv.store import runs
from captiv.store.commit import commit
from captiv.workers import WorkerSource

_log = logging.getLogger(__name__)

_TICK_S = 0.2
_AGAIN_S = 5.0
_LONGEST_AGAIN_S = 60.0
"""How long `--fallback wait` waits before it asks for a pod again: each time twice as long."""
_FINAL = (BudgetSpent, MachineShort, SidecarError, UsageError)
"""What no other worker of the same kind mends."""
Providers = Callable[[Run], tuple[WorkerSource, Claims]]
"""Makes the worker of a run that is placed at one site, and what feeds it."""
Incapable = Callable[[RunSpec], Awaitable[str | None]]
"""Says why this machine plainly cannot do a run, or None."""


class Dispatcher:
    """Opens and ends lanes as the runs need them."""

    def __init__(self, queue: QueueContext, *, provide: Providers, incapable: Incapable) -> None:
        self._queue = queue
        self._provide = provide
        self._incapable = incapable
        self._pools: dict[Need, Pool] = {}
        self._failed: dict[Need, CaptivError] = {}
        self._waits: Counter[Need] = Counter()
        self._seen: set[RunId] = set()
        """Runs whose leftovers were written since somebody last began to want them."""
        self._draining = False
        self._drained = anyio.Event()
        self._stirred = anyio.Event()

    def drain(self) -> None:
        """Claim no more; `serve` returns when what is in flight has its outcome."""
        self._draining = True
        self._drained.set()
        for pool in self._pools.values():
            pool.drain()
        self.stir()

    def stir(self) -> None:
        """Look again now: jobs were added."""
        self._stirred.set()

    async def serve(self, own: RunId) -> None:
        """Serve until run `own` is done as far as it can be, or drained.

        Raises:
            CaptivError: no worker could be had for `own`; what is open of it stays pending.
        """
        async with anyio.create_task_group() as tg:
            while True:
                self._stirred = anyio.Event()
                wanted = await self._wanted(own)
                mine = next(run for run in wanted if run.id == own)
                self._queue.reporter.counted(mine)
                if not self._draining:
                    await self._steer(tg, wanted)
                if self._ended(mine):
                    break
                with anyio.move_on_after(_TICK_S):
                    await self._stirred.wait()
            self.drain()
        await self._finish(own)

    async def _wanted(self, own: RunId) -> list[Run]:
        """Return the runs that live commands wait for, in the order in which they are served."""
        found = await self._queue.store.aread(runs.wanted, self._queue.now_ms() - WANTED_MS)
        if all(run.id != own for run in found):
            found.append(await self._queue.store.aread(runs.get, own))
        self._seen &= {run.id for run in found}
        self._live = {run.id for run in found if run.state is RunState.ACTIVE}
        for run in found:
            self._queue.specs[run.id] = run.spec
            if run.id not in self._seen:
                self._seen.add(run.id)
                await self._queue.completer.write_leftovers(run)
        return found

    async def _steer(self, tg: TaskGroup, wanted: list[Run]) -> None:
        by_id = {run.id: run for run in wanted}
        able = [
            run
            for run in wanted
            if run.state is RunState.ACTIVE and need_of(run) not in self._failed
        ]
        assignments = {a.need: a for a in assign(able)}
        for need, pool in self._pools.items():
            pool.serve(assignments.get(need), by_id)
            pool.tell()
        for need, assignment in assignments.items():
            pool = self._pools.setdefault(need, Pool(need, self._queue.reporter))
            if (error := pool.forsaken(self._wanted_at(need))) is not None:
                await self._without(need, error)  # whoever wanted more workers has left
                continue
            for site in assignment.to_open(pool.opened, pool.given_up):
                if site.kind == "local" and self._taken(need):
                    continue
                if need not in self._failed and not pool.closing:
                    await self._open(tg, pool, assignment, site, by_id[assignment.runs[0]])

    def _taken(self, need: Need) -> bool:
        """Whether this machine is still another need's, whose workers are ending."""
        others = (pool for other, pool in self._pools.items() if other != need)
        return any(site.kind == "local" for pool in others for site in pool.opened)

    async def _open(
        self, tg: TaskGroup, pool: Pool, assignment: Assignment, site: Site, run: Run
    ) -> None:
        placement = run.spec.placement.at(site)
        alone = replace(run, spec=run.spec.model_copy(update={"placement": placement}))
        try:
            source, claims = self._provide(alone)
        except CaptivError as error:
            name = name_of(site, assignment.sites, 1)
            await self._given_up(pool, site, name, error, last=not pool.lanes)
            return
        claims.serve(assignment.runs, ahead=0 if assignment.workers > 1 else AHEAD)
        member = pool.join(assignment, site, claims)
        member.lane = Lane(self._queue, source, claims, member)
        tg.start_soon(self._run_lane, pool, member, member.lane)

    async def _run_lane(self, pool: Pool, member: Member, lane: Lane) -> None:
        failed: CaptivError | None = None
        try:
            await lane.run()
        except CaptivError as error:
            if not await self._waited(pool.need, member.site, error):
                failed = error
        last = pool.leave(member)
        try:
            if failed is not None:
                await self._given_up(pool, member.site, member.name, failed, last=last)
        finally:
            if last:
                pool.close()
            self.stir()

    async def _given_up(
        self, pool: Pool, site: Site, name: str, error: CaptivError, *, last: bool
    ) -> None:
        """The others go on; without any left, the need has no worker."""
        wanted = self._wanted_at(pool.need)
        paid = isinstance(error, BudgetSpent)
        pool.give_up(site, wanted[site] if paid else 1, error)
        left = wanted - pool.given_up
        if last and (not left or isinstance(error, SidecarError | UsageError)):
            await self._without(pool.need, error)
        elif not self._draining and (not isinstance(error, _FINAL) or (paid and left)):
            others = max(1, pool.lanes)
            what = "pod" if not pool.need.on("local") and not pool.need.on("url") else "worker"
            go_on = f"Another {what} goes" if others == 1 else f"{others} other {what}s go"
            self._queue.reporter.warned(f"{name}: {error.message} {go_on} on.")

    def _wanted_at(self, need: Need) -> Counter[Site]:
        """Return how many workers the runs of this need ask for at each site."""
        wanted: Counter[Site] = Counter()
        for spec in self._specs_of(need).values():
            wanted |= Counter(spec.placement.sites)
        return wanted

    def _specs_of(self, need: Need) -> dict[RunId, RunSpec]:
        """Return the specs of the runs that want this need now; ended ones want nothing."""
        return {
            run_id: spec
            for run_id, spec in self._queue.specs.items()
            if run_id in self._live and need_of_spec(spec) == need
        }

    async def _without(self, need: Need, error: CaptivError) -> None:
        """No worker is to be had for this need: its runs go on on this machine, or stay."""
        _log.warning(
            "worker given up model=%s code=%s reason=%s", need.model, error.code, error.message
        )
        rented = need.on("rented") and not need.on("local")
        if rented and not isinstance(error, _FINAL) and not self._draining:
            await self._fall_back(need, error)
        self._failed[need] = error
        self.stir()

    async def _waited(self, need: Need, site: Site, error: CaptivError) -> bool:
        """Wait a while before a pod is asked for again, if that is what every run of it wants.

        Credit may be added meanwhile; what else only a person can mend is not waited for.
        """
        specs = self._specs_of(need).values()
        here = isinstance(error, MachineShort | SidecarError)
        patient = site.kind == "rented" and retry.passing(error) and not here
        if not patient or any(spec.placement.fallback != "wait" for spec in specs):
            return False
        wait_s = min(_LONGEST_AGAIN_S, _AGAIN_S * 2 ** min(self._waits[need], 10))
        self._waits[need] += 1
        hint = f" {error.hint}" if error.hint and self._waits[need] == 1 else ""
        self._queue.reporter.warned(f"{error.message}{hint} Asking again in {wait_s:.0f} s.")
        with anyio.move_on_after(wait_s):
            await self._drained.wait()
        return True

    async def _fall_back(self, need: Need, error: CaptivError) -> None:
        """Have this machine go on with the runs that want it to, where it can."""
        for run_id, spec in self._specs_of(need).items():
            placement = spec.placement
            if not placement.goes_on_here(passing=retry.passing(error)):
                continue
            if (reason := await self._incapable(spec)) is not None:
                self._queue.reporter.warned(
                    f"{error.message} {error.hint or ''}\nThis machine cannot take over: "
                    f"{reason} The images stay for the next run."
                )
                continue
            self._queue.reporter.warned(
                f"{error.message} {error.hint or ''}\nGoing on with {need.model} on this "
                "machine. `captiv doctor` checks key and balance; --fallback fail keeps the images "
                "for later instead."
            )
            here = placement.at(Site(device=placement.device))
            await commit(self._queue.store, runs.place, run_id, here)
            self._queue.specs[run_id] = spec.model_copy(update={"placement": here})

    def _ended(self, run: Run) -> bool:
        """Whether nothing more can be done for this run now."""
        if self._draining:
            return not any(pool.busy for pool in self._pools.values())
        if need_of_spec(self._queue.specs[run.id]) in self._failed:
            return True
        counts = run.counts
        complete = run.scanned or run.state is not RunState.ACTIVE
        return (
            complete
            and not counts.pending
            and not counts.running
            and self._queue.completer.idle(run.id)
        )

    async def _finish(self, own: RunId) -> None:
        await self._queue.completer.settled()
        run = await self._queue.store.aread(runs.get, own)
        await commit(self._queue.store, runs.finish_if_complete, own, self._queue.now_ms())
        self._queue.reporter.counted(run)
        error = self._failed.get(need_of(run))
        if error is not None and (run.counts.pending or run.counts.running or not run.scanned):
            raise error
