"""Runs at work in the page's process: the services of the command line, many beside each other.

Each run is an errand: a `Service` with the page as its reporter. Of several one holds the lease and
dispatches for all; the others follow it, exactly as several commands in several terminals would.
When the page ends the errands drain: what is at a worker is finished, pods are ended. Whoever is
impatient ends them at once, which still ends the pods.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from captiv.core.jobs import Run, RunId
from captiv.core.phase import Phase
from captiv.dispatch.events import FIRST_LINE_ONLY, Silence
from captiv.errors import CaptivError
from captiv.gui.phases import worded
from captiv.service import Outcome, Service
from captiv.settings import Paths, Settings

_log = logging.getLogger(__name__)

_WARNINGS = 30
_ENDED = 100
"""Errands that ended and are still told of."""
_LOOK_S = 0.1


class Stopped(CaptivError):
    """A run was to begin on a page that is about to end."""

    code = "stopped"


@dataclass(slots=True, eq=False)
class Errand(Silence):
    """One service at work, and what it said."""

    on_change: Callable[[], None]
    service: Service | None = None
    run: RunId | None = None
    phase_text: str = ""
    """What is being waited for, in words; empty when captions come."""
    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=_WARNINGS))
    outcome: Outcome | None = None
    error: CaptivError | None = None
    interrupted: bool = False
    over: bool = False
    told_of_lines: bool = False
    """Whether it has warned of captions with several lines."""
    settled: anyio.Event = field(default_factory=anyio.Event)
    """Set once its run is known, or it failed before."""

    def interrupt(self) -> None:
        """Finish what is at a worker and end; the second time, end at once."""
        self.interrupted = True
        if self.service is not None:
            self.service.interrupt()

    def opened(self, run: Run, *, resumed: bool) -> None:
        """A run begins, or goes on."""
        self.run = run.id
        self.settled.set()
        self.on_change()

    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None:
        """What is being waited for."""
        text = "" if phase is None else worded(phase)
        if text and worker is not None:
            text = f"{worker}: {text}"
        if text != self.phase_text:
            self.phase_text = text
            self.on_change()

    def warned(self, message: str) -> None:
        """Something that a person should know now."""
        self.warnings.append(message)
        self.on_change()

    def cut_short(self, path: str) -> None:
        """A caption has several lines."""
        if not self.told_of_lines:
            self.told_of_lines = True
            _log.warning("answers of several lines path=%s", path)
            self.warned(FIRST_LINE_ONLY)


class Errands:
    """Every errand of this page."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._tasks: TaskGroup | None = None
        self._errands: list[Errand] = []
        self.on_change: Callable[[], None] = lambda: None
        """Called when an errand has something to tell."""
        self.on_note: Callable[[str], None] = lambda text: None
        """Told what the person who ends the page should know."""
        self.hurried: Callable[[], bool] = lambda: False
        """Tells whether whoever ends the page does not want to wait."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let errands run as long as the context lasts, and drain at its end."""
        async with anyio.create_task_group() as tg:
            self._tasks = tg
            try:
                yield
            finally:
                self._tasks = None
                self._interrupt_all()
            await self._end()

    async def start(
        self, settings: Settings, begin: Callable[[Service], Awaitable[Outcome]]
    ) -> Errand:
        """Begin an errand; return once its run is in the job table.

        Raises:
            CaptivError: it could not begin, or the page is about to end.
        """
        if self._tasks is None:
            raise Stopped("captiv is about to end.", hint="Start the page again.")
        errand = Errand(lambda: self.on_change())
        errand.service = Service(self._paths, settings, errand, signals=False)
        self._errands.append(errand)
        self._forget()
        self._tasks.start_soon(self._do, errand, begin)
        await errand.settled.wait()
        if errand.run is None:
            assert errand.error is not None
            raise errand.error
        return errand

    def of(self, run: RunId) -> Errand | None:
        """Return what this page does, or last did, for a run."""
        own = [errand for errand in self._errands if errand.run == run]
        return next((e for e in own if not e.over), own[-1] if own else None)

    def interrupt(self, run: RunId) -> bool:
        """Have a run's errands drain, the second time end; return whether there are any."""
        own = [errand for errand in self._errands if errand.run == run and not errand.over]
        for errand in own:
            errand.interrupt()
        self.on_change()
        return bool(own)

    @property
    def busy(self) -> int:
        """How many errands are not over."""
        return sum(not errand.over for errand in self._errands)

    async def _do(self, errand: Errand, begin: Callable[[Service], Awaitable[Outcome]]) -> None:
        assert errand.service is not None
        try:
            errand.outcome = await begin(errand.service)
            errand.error = errand.outcome.error
        except CaptivError as error:
            errand.error = error
        except Exception:
            _log.exception("run broke run=%s", errand.run)
            errand.error = CaptivError(
                "captiv itself failed at this run.", hint=f"Log: {self._paths.log_file}"
            )
        finally:
            errand.over = True
            errand.phase_text = ""
            errand.error = errand.error or (None if errand.run else Stopped("It was ended."))
            errand.settled.set()
            self.on_change()

    async def _end(self) -> None:
        """Wait for the errands; end them at once if somebody does not want to wait."""
        if self.busy:
            self.on_note(
                "finishing what is at the worker; a second Ctrl-C or SIGTERM stops at once."
            )
        while self.busy:
            if self.hurried():
                self._interrupt_all()
                return
            await anyio.sleep(_LOOK_S)

    def _interrupt_all(self) -> None:
        for errand in self._errands:
            if not errand.over:
                errand.interrupt()

    def _forget(self) -> None:
        over = [errand for errand in self._errands if errand.over]
        for errand in over[:-_ENDED]:
            self._errands.remove(errand)
