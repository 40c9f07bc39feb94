"""What a person sees of a run: a bar on a terminal, plain lines elsewhere, JSON on request."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from captiv.cli.nothing import not_read
from captiv.cli.outlet import Outlet
from captiv.clock import monotonic_s
from captiv.core.bill import Bill
from captiv.core.cost import dollars
from captiv.core.jobs import Run
from captiv.core.phase import Phase, Step
from captiv.core.spec import Kind
from captiv.dispatch.events import FIRST_LINE_ONLY, LaneView
from captiv.errors import AnswerError
from captiv.gui.phases import size, worded

_log = logging.getLogger(__name__)

_PLAIN_EVERY_S = 10.0
_NAMED = 20
"""How many names of a kind the summary lists."""

_DOWNLOADS: dict[Kind | None, tuple[str, str]] = {
    "local": ("This machine", " It is kept for the next time."),
    "rented": ("The pod", ""),
    "url": ("The worker", ""),
    None: ("A worker", ""),
}
"""Whose download it is, and what a person may want to know of it; None is one of several kinds."""

Verbosity = Literal["quiet", "normal", "verbose"]


@dataclass(slots=True)
class Tally:
    """What happened in this command, for its summary."""

    captioned: int = 0
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Code and reason by path: an image may be told of by the scan, and by who follows."""
    kept: dict[str, None] = field(default_factory=dict)
    unwritten: list[tuple[str, str]] = field(default_factory=list)
    cut_short: int = 0
    """Captions of several lines."""
    by_worker: dict[str, int] = field(default_factory=dict)
    """Captions that each of several workers has brought, by its name."""


class Display:
    """A reporter for standard error, and for JSON lines or captions on standard output."""

    def __init__(
        self,
        *,
        verbosity: Verbosity = "normal",
        as_json: bool = False,
        print_captions: bool = False,
        err: Console | None = None,
        out: TextIO | Outlet | None = None,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        """Args: `abandoned` tells that captions are printed for nobody any more."""
        self.tally = Tally()
        self.on_abandoned: Callable[[], None] = lambda: None
        """Called once when that is so."""
        self._abandoned = abandoned
        self.started_s = monotonic_s()
        self._verbosity = verbosity
        self._json = as_json
        self._print_captions = print_captions
        self._err = err or Console(stderr=True, highlight=False, soft_wrap=True)
        self._out: TextIO | Outlet = out or sys.stdout
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._phase = ""
        self._cost = ""
        """What the run's pods have cost so far, in words; empty without any."""
        self._where: Kind | None = "local"
        """On what kind of worker the run is now: it may fall back to this machine."""
        self._told: set[Kind | None] = set()
        """On which of them a download was told."""
        self._each = ""
        """What each worker does, where there are several."""
        self._plain_due_s = self.started_s + _PLAIN_EVERY_S
        self._done: int | None = None
        """How many were done when this command began."""
        self._first: tuple[float, int] | None = None
        """When captions began, and how many were done by then: the rate without the loading."""

    def __enter__(self) -> "Display":
        if self._err.is_terminal and self._verbosity != "quiet" and not self._json:
            self._bar = _bar(self._err)
            self._bar.start()
            self._task = self._bar.add_task(
                "looking for images", total=None, rate="", cost="", failed=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    # -- the reporter ----------------------------------------------------------------------------

    def opened(self, run: Run, *, resumed: bool) -> None:
        """A run begins, or goes on."""
        self._where = _kind(run)
        if resumed and run.counts.total:
            done = run.counts.done + run.counts.failed
            self._say(f"Going on with run {run.id}: {done} of {run.counts.total} are through.")

    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None:
        """What is being waited for."""
        if phase is not None:
            self._tell_download(phase)
        text = _phase(phase, worker)
        if text == self._phase:
            return
        self._phase = text
        if self._bar is not None:
            self._bar.update(self._task, description=self._each or text or "captioning")
        elif text and self._verbosity == "verbose":
            self._say(text)

    def _tell_download(self, phase: Phase) -> None:
        """Say once for each kind of worker, on a line that stays, how much is being downloaded."""
        if phase.name is not Step.DOWNLOADING or not phase.total_bytes or self._where in self._told:
            return
        self._told.add(self._where)
        if self._verbosity != "quiet" and not self._json:
            whose, kept = _DOWNLOADS[self._where]
            self._say(f"{whose} downloads the model first: {size(phase.total_bytes)}.{kept}")

    def lanes(self, views: Sequence[LaneView]) -> None:
        """How far each worker is, where there are several."""
        self.tally.by_worker |= {view.name: view.captioned for view in views}
        self._each = ", ".join(_lane(view) for view in views if not view.over)
        if self._bar is not None:
            self._bar.update(self._task, description=self._each or self._phase or "captioning")

    def warned(self, message: str) -> None:
        """Something that a person should know now."""
        self._err.print(Text(message, style="yellow"))

    def priced(self, message: str) -> None:
        """What is about to be rented, for how long and for how much money."""
        if self._verbosity != "quiet":
            self._say(message)

    def paid(self, dollars: Decimal) -> None:
        """What the run's pods have cost so far, in dollars."""
        self._cost = _so_far(dollars)
        if self._bar is not None:
            self._bar.update(self._task, cost=self._cost)

    def counted(self, run: Run) -> None:
        """The run's counters moved."""
        if self._abandoned():
            self._abandoned = lambda: False
            self.on_abandoned()
        self._where = _kind(run)
        counts = run.counts
        ended = counts.total - counts.pending - counts.running
        now = monotonic_s()
        if self._done is None:
            self._done = counts.done
        if self._first is None and counts.done > self._done:
            self._first = (now, ended)
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=ended,
                total=counts.total if run.enqueued else None,
                rate=self._rate(now, ended),
                failed=f"{counts.failed} failed" if counts.failed else "",
            )
        elif now >= self._plain_due_s and self._verbosity != "quiet" and not self._json:
            self._plain_due_s = now + _PLAIN_EVERY_S
            of = f" of {counts.total}" if run.enqueued else ""
            failed = f", {counts.failed} failed" if counts.failed else ""
            what = self._each or self._phase
            waiting = f" ({what})" if what else ""
            rate = self._rate(now, ended)
            cost = self._cost and f", {self._cost}"
            self._say(f"{ended}{of} images{failed}{rate and f', {rate}'}{cost}{waiting}")

    def captioned(self, path: str, text: str) -> None:
        """A caption is where it was asked to be."""
        self.tally.captioned += 1
        self.tally.failed.pop(path, None)
        if self._json:
            self._object(path=path, status="captioned", caption=text)
        elif self._print_captions:
            self._line(f"{path}: {text}")
        elif self._verbosity == "verbose":
            self._say(printable(f"{path}: {text}"))

    def failed(self, path: str, code: str, reason: str) -> None:
        """An image has no caption, and why."""
        if path in self.tally.failed:
            return
        self.tally.failed[path] = code, reason
        if self._json:
            self._object(path=path, status="failed", code=code, reason=reason)
        elif self._verbosity == "verbose":
            self._say(printable(f"{path}: {reason}"))

    def kept(self, path: str) -> None:
        """A sidecar was not captiv's to replace."""
        if path in self.tally.kept:
            return
        self.tally.kept[path] = None
        if self._json:
            self._object(path=path, status="kept")

    def unwritten(self, path: str, reason: str) -> None:
        """A caption is safe, but its file cannot be written."""
        self.tally.unwritten.append((path, reason))
        if self._json:
            self._object(path=path, status="unwritten", reason=reason)

    def cut_short(self, path: str) -> None:
        """A caption has several lines."""
        if not self.tally.cut_short:
            _log.warning("answers of several lines path=%s", path)
            self.warned(FIRST_LINE_ONLY)
        self.tally.cut_short += 1

    # -- the end ---------------------------------------------------------------------------------

    def summary(
        self,
        run: Run,
        *,
        where: str,
        exit_code: int,
        error: str | None,
        bill: Bill | None = None,
        untried: int = 0,
        resume: str | None = None,
        strange: int = 0,
    ) -> None:
        """Say what became of everything that was asked for.

        `untried` is how many images failed before and were not tried again. `resume` is the command
        that goes on, for JSON; None where there is none. `strange` is how many captions are of
        pictures that the model was not made for.
        """
        elapsed_s = monotonic_s() - self.started_s
        counts = run.counts
        if self._json:
            self._object(
                run=run.id,
                status="ended",
                captioned=self.tally.captioned,
                skipped=counts.skipped,
                unread=run.unread,
                kept=counts.kept,
                failed=counts.failed,
                not_tried=untried,
                degenerate=self._degenerate,
                tried_again=self._tried_again(run),
                strange=strange,
                several_lines=self.tally.cut_short,
                pending=counts.pending + counts.running,
                unwritten=counts.captioned,
                seconds=round(elapsed_s, 3),
                worker=where,
                workers=self.tally.by_worker,
                cost=None if bill is None else dollars(bill.share),
                pods=[] if bill is None else bill.facts(),
                error=error,
                resume=resume,
                exit_code=exit_code,
            )
            return
        if self._verbosity != "quiet":
            self._say(self._account(run, elapsed_s, where))
            if self.tally.by_worker:
                each = (f"{name} {count}" for name, count in self.tally.by_worker.items())
                self._say(f"By worker: {', '.join(each)}.")
            for line in bill.lines() if bill is not None else ():
                self._say(line)
            again = self._tried_again(run)
            if again:
                answers = "1 answer was" if again == 1 else f"{again} answers were"
                self._say(f"{answers} no caption, and tried again.")
            if self.tally.cut_short:
                self._say(_several_lines(self.tally.cut_short))
        if run.unread and self._verbosity != "quiet":
            self._say(not_read(run.unread))
        self._list_kept()
        self._list_failed()
        if untried:
            self._say(not_tried(untried))
        self._list_unwritten()

    @property
    def _degenerate(self) -> int:
        """How many images failed because no answer was a caption."""
        return sum(code == AnswerError.code for code, _ in self.tally.failed.values())

    def _tried_again(self, run: Run) -> int:
        """How many answers of the run were no caption and were not the last ones of their image."""
        return max(0, run.counts.misses - self._degenerate)

    def _account(self, run: Run, elapsed_s: float, where: str) -> str:
        counts = run.counts
        parts = [f"{self.tally.captioned} captioned"]
        earlier = counts.done - counts.kept - self.tally.captioned
        parts += [f"{earlier} captioned before"] if earlier > 0 else []
        parts += [f"{counts.skipped} skipped (they have captions)"] if counts.skipped else []
        parts += [f"{counts.kept} kept"] if counts.kept else []
        parts += [f"{counts.failed} failed"] if counts.failed else []
        parts += [f"{counts.captioned} not written"] if counts.captioned else []
        waiting = counts.pending + counts.running
        parts += [f"{waiting} still to do"] if waiting else []
        parts += [f"{counts.cancelled} cancelled"] if counts.cancelled else []
        return f"{', '.join(parts)}; {_duration(elapsed_s)} on {where}."

    def _list_failed(self) -> None:
        if not self.tally.failed:
            return
        reasons = Counter(code for code, _ in self.tally.failed.values())
        for code, count in reasons.most_common():
            self._say(f"failed, {code} ({count}):")
            named = [(p, r) for p, (c, r) in self.tally.failed.items() if c == code]
            self._list([f"{path}: {reason}" for path, reason in named])

    def _list_kept(self) -> None:
        if self.tally.kept:
            self._say(f"kept, edited by hand or made meanwhile ({len(self.tally.kept)}):")
            self._list(list(self.tally.kept))

    def _list_unwritten(self) -> None:
        if self.tally.unwritten:
            self._say(f"captioned, but the file cannot be written ({len(self.tally.unwritten)}):")
            self._list([f"{path}: {reason}" for path, reason in self.tally.unwritten])
            self._say("The captions are safe: `captiv queue retry` writes them.")

    def _list(self, lines: Sequence[str]) -> None:
        for line in lines[:_NAMED]:
            self._say(f"  {printable(line)}")
        if len(lines) > _NAMED:
            self._say(f"  and {len(lines) - _NAMED} more: captiv queue list")

    def _rate(self, now: float, ended: int) -> str:
        """Return the rate; nothing until it is known, by more than the first batch."""
        if self._first is None or now - self._first[0] < 1 or ended == self._first[1]:
            return ""
        return f"{(ended - self._first[1]) / (now - self._first[0]):.1f} images/s"

    def _say(self, text: str) -> None:
        self._err.print(Text(text))

    def _line(self, text: str) -> None:
        self._out.write(f"{printable(text)}\n")
        self._out.flush()

    def _object(self, **values: object) -> None:
        self._out.write(json.dumps(values) + "\n")
        self._out.flush()


def _kind(run: Run) -> Kind | None:
    """Return on what kind of worker a run is; None where several kinds are at work."""
    kinds = {site.kind for site in run.spec.placement.sites}
    return kinds.pop() if len(kinds) == 1 else None


def _several_lines(captions: int) -> str:
    have = "1 caption has" if captions == 1 else f"{captions} captions have"
    return f"{have} several lines, of which some trainers read only the first (--one-line)."


def not_tried(images: int) -> str:
    """Return a sentence that says so of these images, and how to have them tried."""
    were, they = ("1 image was", "it") if images == 1 else (f"{images} images were", "they")
    them = "it" if images == 1 else "them"
    return (
        f"{were} not tried again: {they} failed before and nothing changed (`captiv queue retry`,"
        f" or --retry-failed, tries {them}; `captiv queue list --state failed` says why)."
    )


def _phase(phase: Phase | None, worker: str | None) -> str:
    if phase is None:
        return ""
    return worded(phase) if worker is None else f"{worker}: {worded(phase)}"


def _lane(view: LaneView) -> str:
    return _phase(view.phase, view.name) or f"{view.name}: {view.captioned} captioned"


def printable(text: str) -> str:
    """Return `text` on one line, with what a terminal cannot show as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _so_far(amount: Decimal) -> str:
    """Return what was paid, for a person; nothing while nothing was."""
    return dollars(amount) if amount else ""


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[cost]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        console=console,
        transient=True,
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
