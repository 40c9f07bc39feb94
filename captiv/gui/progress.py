"""How far runs are: this page's and those of every other captiv of this installation.

The job table is looked at twice a second, and told by the topic `runs` when it changed. How many
images had ended when is kept while the page is there, for the pace; a run's own service, if it is
at work here, adds what it waits for and what it warned of.
"""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import anyio

from captiv.clock import now_ms
from captiv.core.bill import Bill
from captiv.core.cost import dollars
from captiv.core.jobs import WANTED_MS, JobId, JobRow, JobState, Run, RunId, RunState
from captiv.core.unread import told
from captiv.errors import StoreError
from captiv.gui.entry import image_id, shown
from captiv.gui.live import Live
from captiv.gui.pace import Pace
from captiv.gui.show import readable
from captiv.gui.work import Errand, Errands
from captiv.offload import offload
from captiv.store import Connection, Store, captions, jobs, pods, runs

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.5
_RUNS: Final = 40
_RATE_MS: Final = 10_000
"""A rate is told over the last so long."""
_NAMED: Final = 300
"""Failed images that are named in all."""
_CAPTIONS: Final = 100
_PATHS: Final = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """A run as the job table has it."""

    run: Run
    wanted: bool
    """Whether somebody is at work for it."""
    bill: Bill | None


class Progress:
    """Follows every run and tells of it."""

    def __init__(self, store: Store, live: Live, work: Errands) -> None:
        self._store = store
        self._live = live
        self._work = work
        self._paces: dict[RunId, Pace] = {}
        self._recent: dict[RunId, deque[tuple[int, int]]] = {}
        self._billing = False
        self._stirred = anyio.Event()
        work.on_change = self._stir

    async def follow(self) -> None:
        """Tell of the runs until cancelled."""
        version = -1
        while True:
            self._stirred = anyio.Event()
            with anyio.move_on_after(_TICK_S):
                await self._stirred.wait()
            try:
                now = await offload(self._store.data_version)
                if now != version or self._stirred.is_set() or self._billing:
                    version = now
                    self._live.tell("runs", await self.now())
            except StoreError as error:
                _log.warning("runs not read reason=%s", error.message)

    async def now(self) -> dict[str, Any]:
        """Return the last runs."""
        found = await self._store.aread(_last, now_ms())
        self._note(found)
        return {"runs": [self._told(one) for one in found], "at_ms": now_ms()}

    async def whole(self, run: Run) -> dict[str, Any]:
        """Return everything about one run."""
        one, groups, failed, unwritten = await self._store.aread(_whole, run.id, now_ms())
        pace = await self._pace_of(one)
        errand = self._work.of(run.id)
        return {
            **self._told(one),
            "warnings": list(errand.warnings) if errand else [],
            "roots": [readable(root) for root in run.spec.selection.roots[:_PATHS]],
            "more_roots": max(0, len(run.spec.selection.roots) - _PATHS),
            "prompt": run.spec.captioning.prompt,
            "generation": run.spec.captioning.generation.model_dump(exclude_none=True),
            "dtype": run.spec.captioning.dtype,
            "engine": run.spec.placement.engine,
            "pace": pace.samples,
            "failures": _failures(groups, failed),
            "unwritten": _failures(_grouped(unwritten), unwritten),
            "bill": [] if one.bill is None else _bill(one.bill, errand),
        }

    async def _pace_of(self, one: _Found) -> Pace:
        """Return how a run went; of one that nobody watched here, by when its captions came."""
        run = one.run
        pace = self._paces.get(run.id)
        if pace is None:
            pace = Pace.of(await self._store.aread(captions.per_second, run.id))
            if run.state is not RunState.ACTIVE:
                self._paces[run.id] = pace
        return pace

    async def captions(self, run: Run) -> list[dict[str, Any]]:
        """Return the first captions that the run has brought."""
        found = await self._store.aread(captions.of_run, run.id, _CAPTIONS)
        return [
            {
                "id": shown(image_id(path)),
                "name": readable(path.rpartition("/")[2]),
                "text": text,
            }
            for path, text in found
        ]

    def _stir(self) -> None:
        self._stirred.set()

    def _note(self, found: Iterable[_Found]) -> None:
        at_ms = now_ms()
        found = list(found)
        self._billing = any(
            one.bill is not None and any(pod.billing for pod in one.bill.pods) for one in found
        )
        for one in found:
            self._pace(one, at_ms)

    def _pace(self, one: _Found, at_ms: int) -> None:
        run, ended = one.run, _ended(one.run)
        pace, recent = self._paces.get(run.id), self._recent.get(run.id)
        if run.state is RunState.ACTIVE and one.wanted:
            pace = self._paces.setdefault(run.id, pace or Pace())
            recent = self._recent.setdefault(run.id, recent or deque())
            pace.rest(at_ms)
            pace.note(at_ms, ended)
            recent.append((at_ms, ended))
            while len(recent) > 2 and recent[0][0] < at_ms - _RATE_MS:
                recent.popleft()
            return
        self._recent.pop(run.id, None)
        if pace is not None and pace.samples and pace.samples[-1][1] != ended:
            pace.note(at_ms, ended)

    def _told(self, one: _Found) -> dict[str, Any]:
        run, spec = one.run, one.run.spec
        errand = self._work.of(run.id)
        here = errand is not None and not errand.over
        return {
            "id": run.id,
            "state": _state(one, here=here),
            "here": here,
            "pausing": errand is not None and here and errand.interrupted,
            "phase": errand.phase_text if errand and here else "",
            "warned": len(errand.warnings) if errand else 0,
            "error": _error(errand),
            "model": spec.captioning.model,
            "variant": spec.captioning.variant,
            "mode": spec.captioning.mode,
            "what": _what(run),
            "save": spec.output.save,
            "overwrite": spec.selection.overwrite,
            "accept_truncated": spec.selection.accept_truncated,
            "add": spec.selection.add,
            "where": spec.placement.provider or spec.placement.kind,
            "url": spec.placement.url,
            "max_cost": spec.placement.max_cost_usd,
            "scanned": run.scanned,
            "unread": told(run.unread),
            "counts": {**asdict(run.counts), "total": run.counts.total, "open": run.counts.open},
            "images_per_s": self._rate(run.id),
            "created_ms": run.created_ms,
            "finished_ms": run.finished_ms,
            "cost": None if one.bill is None else dollars(one.bill.share),
            "billing": one.bill is not None and any(pod.billing for pod in one.bill.pods),
        }

    def _rate(self, run: RunId) -> float | None:
        recent = self._recent.get(run)
        if not recent or recent[-1][0] - recent[0][0] < 900:
            return None
        (began, before), (now, after) = recent[0], recent[-1]
        return round((after - before) * 1000 / (now - began), 2)


def _last(conn: Connection, at_ms: int) -> list[_Found]:
    last = runs.page(conn, None, _RUNS)
    known = {run.id for run in last}
    older = [run for run in reversed(runs.active(conn)) if run.id not in known]
    wanted = {run.id for run in runs.wanted(conn, at_ms - WANTED_MS)}
    return [_found(conn, run, run.id in wanted, at_ms) for run in (*last, *older)]


def _found(conn: Connection, run: Run, wanted: bool, at_ms: int) -> _Found:
    drawn = pods.bill(conn, run.id, at_ms)
    return _Found(run, wanted, Bill(tuple(drawn)) if drawn else None)


_Whole = tuple[_Found, list[tuple[str, str, int]], list[JobRow], list[JobRow]]


def _whole(conn: Connection, run_id: RunId, at_ms: int) -> _Whole:
    wanted = any(run.id == run_id for run in runs.wanted(conn, at_ms - WANTED_MS))
    one = _found(conn, runs.get(conn, run_id), wanted, at_ms)
    groups = jobs.failure_groups(conn, run_id)
    failed = jobs.page(conn, run_id, JobState.FAILED, JobId(0), _NAMED)
    unwritten = jobs.page(conn, run_id, JobState.CAPTIONED, JobId(0), _NAMED)
    return one, groups, failed, [job for job in unwritten if job.error]


def _grouped(found: Iterable[JobRow]) -> list[tuple[str, str, int]]:
    numbers: dict[tuple[str, str], int] = {}
    for job in found:
        key = (job.error_code or "", job.error or "")
        numbers[key] = numbers.get(key, 0) + 1
    return [(code, reason, n) for (code, reason), n in numbers.items()]


def _failures(groups: Iterable[tuple[str, str, int]], named: list[JobRow]) -> list[dict[str, Any]]:
    return [
        {
            "code": code,
            "reason": readable(reason or ""),
            "images": n,
            "named": [
                {
                    "id": shown(image_id(job.path)),
                    "name": readable(job.path.rpartition("/")[2]),
                    "text": job.text,
                }
                for job in named
                if (job.error_code, job.error) == (code, reason)
            ],
        }
        for code, reason, n in groups
    ]


def _bill(bill: Bill, errand: Errand | None) -> list[dict[str, Any]]:
    """Return the pods of a run; with RunPod's own word, where its service has asked."""
    asked = errand.outcome.bill if errand and errand.outcome else None
    said = {pod.pod_id: pod for pod in asked.pods} if asked else {}
    known = Bill(tuple(said.get(pod.pod_id, pod) for pod in bill.pods))
    return [
        {**facts, "share": dollars(pod.share), "total": dollars(pod.total), "line": pod.line()}
        for facts, pod in zip(known.facts(), known.pods, strict=True)
    ]


def _state(one: _Found, *, here: bool) -> str:
    if one.run.state is not RunState.ACTIVE:
        return one.run.state.value
    return "running" if one.wanted or here else "unfinished"


def _error(errand: Errand | None) -> dict[str, str | None] | None:
    if errand is None or errand.error is None:
        return None
    return {
        "code": errand.error.code,
        "detail": readable(errand.error.message),
        "hint": errand.error.hint,
    }


def _what(run: Run) -> str:
    """Return what a run is about, in a few words."""
    roots = run.spec.selection.roots
    if not roots:
        return ""
    first = readable(roots[0].rstrip("/").rpartition("/")[2] or roots[0])
    return first if len(roots) == 1 else f"{first} and {len(roots) - 1} more"


def _ended(run: Run) -> int:
    return run.counts.done + run.counts.failed
