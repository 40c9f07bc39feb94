"""The states of a job and of a run, and the values that the store hands out.

A job is one sidecar of one image in one run::

    pending ──claim──► running ──receive──► captioned ──finish──► done
       ▲                 │ │                    │
       └──── release ────┘ └── fail ──► failed  └── keep ──► done (note `kept`)
    pending ──cancel──► cancelled;  failed, cancelled ──retry──► pending

`captioned` means that the text is committed and only its file has to be written: no worker is
needed for it, and no crash makes it be computed again. Recovery returns `running` to `pending`,
uncharged. A run is `active` until nothing of it is open, then `finished`; `cancelled` when set
aside on request, or when another takes the place of one of which nothing was done. A person is told
`active` only of a run that a command works on; any other is `unfinished`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

from captiv.core.naming import Place
from captiv.core.spec import RunSpec

RunId = NewType("RunId", int)
JobId = NewType("JobId", int)
SessionId = NewType("SessionId", int)

WANTED_MS = 15_000
"""A run is alive for so long after its command was last heard of: it speaks every few seconds."""


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    CAPTIONED = "captioned"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Where a run stands."""

    ACTIVE = "active"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Stamp(NamedTuple):
    """What tells that a file was changed since."""

    size: int
    mtime_ns: int


KEPT = "kept"
"""Note of a done job whose sidecar was not captiv's to replace: edited by hand, or newer."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job: `attempt` fences every later transition."""

    id: JobId
    run_id: RunId
    path: str
    sidecar: str
    attempt: int
    tries: int
    """How often a worker answered without a caption; it names the next try, and only grows."""
    crashes: int
    """Processes that died while this image was being worked on alone."""
    suspect: bool
    """To be tried alone: something died while it was in preparation or in the running batch."""
    misses: int = 0
    """Of `tries`: answers that were no caption. At the others the engine broke."""
    objection: str | None = None
    """What was wrong with the last answer, where the model is told it with the next try."""

    @property
    def place(self) -> Place:
        """What its caption belongs to."""
        return Place(self.path, self.sidecar)


class Companion(NamedTuple):
    """The object of a structured answer, and the file for it beside that of the text."""

    sidecar: str
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """A caption that came back, as it is committed."""

    job: Job
    text: str
    """The whole text of the sidecar."""
    prompt: str | None
    model: str
    variant: str
    settings: str
    """Generation settings as JSON."""
    seed: int | None
    tokens: int
    adds: str | None = None
    """`RunSpec.adds` of its run."""
    companion: Companion | None = None


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A job in state `captioned`: its text waits for its file."""

    job_id: JobId
    run_id: RunId
    attempt: int
    path: str
    sidecar: str
    text: str
    found: str | None = None
    """Of a caption that is added: hash of the text that was there (see `captiv.core.adding`)."""
    companion: Companion | None = None

    @property
    def place(self) -> Place:
        """What the text belongs to."""
        return Place(self.path, self.sidecar)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a stable code and a sentence."""

    job: Job
    code: str
    reason: str
    text: str | None = None
    """The answer that was no caption, kept for a person to read."""
    tried: bool = False
    """Whether it came of an answer, so that the next try needs a name of its own."""
    file: Stamp | None = None
    """What the image was when it was tried; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class PastFailure:
    """Why an image has no caption of an earlier try, and of what that was a try."""

    code: str
    file: Stamp | None
    """What the image was; None if nobody knows."""
    asked: str | None
    """`RunSpec.asked` of its run; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it is listed."""

    id: JobId
    path: str
    sidecar: str
    state: JobState
    error_code: str | None
    """Why it failed; of a `captioned` one, why its file could not be written."""
    error: str | None
    note: str | None
    tries: int
    crashes: int
    misses: int = 0
    text: str | None = None
    """The answer that was no caption, of a failed one."""
    finished_ms: int | None = None

    @property
    def place(self) -> Place:
        """What its caption belongs to."""
        return Place(self.path, self.sidecar)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs of a run are in each state; the store moves them with the transitions."""

    pending: int = 0
    running: int = 0
    captioned: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    kept: int = 0
    """Of `done`: sidecars that were not captiv's to replace."""
    skipped: int = 0
    """Images that had a sidecar already; they are no jobs."""
    misses: int = 0
    """Answers that were no caption; no jobs either."""

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return (
            self.pending + self.running + self.captioned + self.done + self.failed + self.cancelled
        )

    @property
    def promised(self) -> int:
        """How many captions the run has made or will make, if no more images of it fail."""
        return self.pending + self.running + self.captioned + self.done - self.kept

    @property
    def open(self) -> int:
        """How many jobs are not at their end."""
        return self.pending + self.running + self.captioned

    @property
    def untouched(self) -> bool:
        """Whether nothing was done: no image has a caption, failed, or was kept."""
        return self.total == self.pending + self.running


@dataclass(frozen=True, slots=True)
class Run:
    """One request of a person."""

    id: RunId
    state: RunState
    spec: RunSpec
    fingerprint: str
    scanned: bool
    """Whether every image that was asked for is a job."""
    created_ms: int
    finished_ms: int | None
    counts: Counts
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many files lie beside its images that captiv does not read, by kind."""

    def standing(self, at_work: Collection[RunId]) -> str:
        """Return where it stands for a person: `active` only while a command works on it.

        Args:
            at_work: the runs that living commands work on.
        """
        left = self.state is RunState.ACTIVE and self.id not in at_work
        return "unfinished" if left else self.state.value

    @property
    def enqueued(self) -> bool:
        """Whether no more jobs are to come: all images are found, or as many as the limit allows.

        At a limit more come only if one of these fails.
        """
        limit = self.spec.selection.limit
        return self.scanned or (limit is not None and self.counts.promised >= limit)
