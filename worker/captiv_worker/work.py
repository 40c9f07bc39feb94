"""Keeps work by its key, so that no answer is lost with a connection and none computed twice.

A key is `running` from its first POST until it ends in a caption or a problem. A second POST with
the same key and content joins it; with other content it is refused. What ended is kept for
`KEEP_S` seconds, at most `KEEP_RESULTS` of them, the oldest going first. A caption, or a problem of
the image itself, is the answer for good; a problem of the worker is told to whoever asks for the
key, and a new POST computes it again. Nothing here survives the process: a new boot id says so.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import anyio

from captiv.errors import Fault, error_class
from captiv.wire import CaptionReply, CaptionRequest, Problem

KEEP_S = 15 * 60.0
KEEP_RESULTS = 10_000

Ending = CaptionReply | Problem


@dataclass(slots=True)
class Work:
    """One image under its key, running or ended."""

    key: str
    fingerprint: bytes
    ending: Ending | None = None
    ended_s: float = 0.0
    done: anyio.Event = field(default_factory=anyio.Event)


class Opened(Enum):
    """What a POST finds under its key."""

    NEW = auto()
    JOINED = auto()
    REUSED = auto()
    """The key names other content."""


def fingerprint(request: CaptionRequest, image: bytes) -> bytes:
    """Return what tells one work's content from another's: a hash of request and image."""
    digest = hashlib.sha256(request.model_dump_json().encode())
    digest.update(hashlib.sha256(image).digest())
    return digest.digest()


class WorkStore:
    """Work by key, in memory. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], *, keep: int = KEEP_RESULTS) -> None:
        self._clock = clock
        self._keep = keep
        self._running: dict[str, Work] = {}
        self._ended: OrderedDict[str, Work] = OrderedDict()

    def open(self, key: str, content: bytes) -> tuple[Opened, Work]:
        """Return the work under this key, new or joined; of a reused key, the work it names."""
        found = self.find(key)
        if found is not None and found.fingerprint != content:
            return Opened.REUSED, found
        if found is not None and not _again(found.ending):
            return Opened.JOINED, found
        self._ended.pop(key, None)
        work = self._running[key] = Work(key, content)
        return Opened.NEW, work

    def find(self, key: str) -> Work | None:
        """Return the work under this key, or None if it is unknown or forgotten."""
        self._forget()
        return self._running.get(key) or self._ended.get(key)

    def end(self, work: Work, ending: Ending) -> None:
        """Keep how this work ended and wake whoever waits for it."""
        work.ending = ending
        work.ended_s = self._clock()
        if self._running.pop(work.key, None) is not None:
            self._ended[work.key] = work
        work.done.set()
        self._forget()

    def running(self) -> list[Work]:
        """Return the work that has not ended."""
        return list(self._running.values())

    def _forget(self) -> None:
        oldest_s = self._clock() - KEEP_S
        while self._ended:
            first = next(iter(self._ended.values()))
            if len(self._ended) <= self._keep and first.ended_s > oldest_s:
                return
            self._ended.popitem(last=False)


def _again(ending: Ending | None) -> bool:
    """Whether a new POST computes the work anew: it ended by no fault of the image."""
    if not isinstance(ending, Problem):
        return False
    cls = error_class(ending.code)
    return cls is not None and cls.fault is Fault.WORKER
