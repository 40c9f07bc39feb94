"""Prepares images on threads, and leaves a trace of which ones are being prepared.

A decoder that crashes takes captiv with it. The trace, a small mapped file with one slot a thread,
is what the next start reads: only images that were in preparation when captiv died are suspect.
Mapped memory survives the death of the process without a sync for each image; after a power cut it
says nothing, and nothing is suspected.

Where this machine is short of something (open files, memory, a disk that fails) the image is tried
again after a pause, and fewer are prepared at once. An image fails of it only if others could be
prepared since it first could not, and it alone still cannot. What lasts for a minute is raised: a
shortage that any image would meet ends the run. One that may be of this file alone does not, as
long as other images are captioned: the lane takes them first, and comes back to it.
"""

import logging
import mmap
import os
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import anyio
from anyio import CapacityLimiter

from captiv.catalog import ImagePolicy
from captiv.catalog.model import ImageQuality
from captiv.clock import monotonic_s
from captiv.core.jobs import Job, JobId, Stamp
from captiv.errors import ImageError, ImageUnreadable, MachineShort
from captiv.images.prepare import Prepared, prepare
from captiv.offload import offload
from captiv.output.sidecar import has_text

_log = logging.getLogger(__name__)

_SLOT = struct.Struct("<q")
_MAX_THREADS = 8
_PATIENCE_S = 60.0
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_OWN_TRIES = 5
"""So often a file cannot be read, while others can, before it is the file's own fault."""
_GOOD = 16
"""After so many images without a shortage one more is prepared at once."""


def stamp_of(path: str) -> Stamp | None:
    """Return what tells that a file was changed since; None if that cannot be seen."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def leftover(trace: Path) -> frozenset[JobId]:
    """Return the jobs that were in preparation when the last dispatcher died."""
    try:
        data = trace.read_bytes()
    except OSError:
        return frozenset()
    whole = len(data) - len(data) % _SLOT.size
    ids = (value for (value,) in _SLOT.iter_unpack(data[:whole]))
    return frozenset(JobId(i) for i in ids if i > 0)


class _Unread(NamedTuple):
    """A file that could not be read so far."""

    tries: int
    good_before: int
    """How many others had been prepared when it first could not."""


class Preparation:
    """Threads that turn files into what the model can see."""

    def __init__(
        self, trace: Path, *, threads: int | None = None, patience_s: float = _PATIENCE_S
    ) -> None:
        """Args: `patience_s` is how long this machine may be short of something."""
        self.threads = threads or min(_MAX_THREADS, os.cpu_count() or 1)
        self._trace = trace
        self._limiter = CapacityLimiter(self.threads)
        self._aloneness = anyio.Lock()
        self._slots = deque(range(self.threads))
        self._map: mmap.mmap | None = None
        self._patience_s = patience_s
        self._short_since: float | None = None
        """Since when nothing could be prepared, for want of what every image needs."""
        self._good = 0
        """Images that could be prepared, or were found to be bad."""
        self._unread: dict[JobId, _Unread] = {}
        self._stamps: dict[JobId, Stamp | None] = {}

    async def __aenter__(self) -> "Preparation":
        self._map = await offload(_open_trace, self._trace, self.threads)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._map is not None:
            self._map.close()
            with anyio.CancelScope(shield=True):
                await offload(lambda: self._trace.unlink(missing_ok=True))

    async def prepare(
        self,
        job: Job,
        policy: ImagePolicy,
        *,
        unless: Sequence[str] = (),
        accept_truncated: bool = False,
        quality: ImageQuality = "standard",
        patient: Callable[[], bool] = lambda: True,
    ) -> Prepared | None:
        """Return what is sent for this image; None if by now there is text in all of `unless`.

        A suspect is prepared with no other image in preparation, whichever lane it is for: should
        captiv die of it, it alone is charged.

        Args:
            job: its image.
            policy: what the model can see.
            unless: the files that the image is to have; none if it is captioned in any case.
            accept_truncated: whether a file that is cut off is shown as far as it came.
            quality: of what is sent.
            patient: whether to wait while this machine is short of something.

        Raises:
            ImageError: the file is no image that can be read.
            MachineShort: it has lasted too long, or nobody waits for that. It is the file's `own`
                if others might be prepared meanwhile.
        """
        first_s, tries = None, 0
        shown = partial(
            prepare, job.path, policy, accept_truncated=accept_truncated, quality=quality
        )
        looked = partial(self._traced, job, unless, shown)
        while True:
            try:
                prepared = await self._tried(job, looked)
            except ImageError:
                self._went_well(job)
                raise
            except MachineShort as error:
                tries += 1
                first_s = first_s or monotonic_s()
                since_s = self._fell_short(job, error) or first_s
                if not patient() or monotonic_s() - since_s > self._patience_s:
                    raise
                await anyio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2**tries))
                if not patient():
                    raise
            else:
                self._went_well(job)
                return prepared

    def _fell_short(self, job: Job, error: MachineShort) -> float | None:
        """Prepare fewer at once from now on; return since when every image falls short, if so.

        Raises:
            ImageUnreadable: it is this file's own fault.
        """
        if not self._aloneness.locked():  # who keeps the others out has counted the threads
            self._limiter.total_tokens = max(1, self._limiter.total_tokens // 2)
        if error.own:
            self._blame(job, error)
            return None
        if self._short_since is None:
            self._short_since = monotonic_s()
            _log.warning("machine short reason=%s", error.message)
        return self._short_since

    def _blame(self, job: Job, error: MachineShort) -> None:
        """Take note that this file could not be read.

        Raises:
            ImageUnreadable: it alone cannot, however often it is tried.
        """
        tries, good_before = self._unread.get(job.id, _Unread(0, self._good))
        if tries == 0:
            _log.warning("file not read job=%s reason=%s", job.id, error.message)
        self._unread[job.id] = _Unread(tries + 1, good_before)
        if tries + 1 >= _OWN_TRIES and self._good > good_before:
            del self._unread[job.id]  # and this one proves nothing about the next
            raise _unreadable(error) from error

    def _went_well(self, job: Job) -> None:
        self._short_since = None
        self._unread.pop(job.id, None)
        self._good += 1
        if self._good % _GOOD == 0 and not self._aloneness.locked():
            self._limiter.total_tokens = min(self.threads, self._limiter.total_tokens + 1)

    async def _tried(self, job: Job, looked: Callable[[], Prepared | None]) -> Prepared | None:
        if not job.suspect:
            return await offload(looked, limiter=self._limiter)
        async with self._aloneness, self._others_kept_out():
            return await offload(looked, limiter=self._limiter)

    def stamp(self, job: Job) -> Stamp | None:
        """Return what the image was when it was prepared, until it is forgotten."""
        return self._stamps.get(job.id)

    def forget(self, job: Job) -> None:
        """Keep nothing of this image but that it could not be read, if so."""
        self._stamps.pop(job.id, None)

    @asynccontextmanager
    async def _others_kept_out(self) -> AsyncIterator[None]:
        """Take every thread but one."""
        taken: list[object] = []
        try:
            for _ in range(int(self._limiter.total_tokens) - 1):
                borrower = object()
                await self._limiter.acquire_on_behalf_of(borrower)
                taken.append(borrower)
            yield
        finally:
            for borrower in taken:
                self._limiter.release_on_behalf_of(borrower)

    def _traced(
        self, job: Job, unless: Sequence[str], shown: Callable[[], Prepared]
    ) -> Prepared | None:
        assert self._map is not None
        if unless and all(map(has_text, unless)):
            return None
        slot = self._slots.pop()
        at = slot * _SLOT.size
        self._map[at : at + _SLOT.size] = _SLOT.pack(job.id)
        self._stamps[job.id] = stamp_of(job.path)  # before it is read: it may change meanwhile
        try:
            return shown()
        finally:
            self._map[at : at + _SLOT.size] = _SLOT.pack(0)
            self._slots.append(slot)


def _unreadable(error: MachineShort) -> ImageError:
    return ImageUnreadable(f"the file cannot be read, though others can: {error.reason}")


def _open_trace(path: Path, threads: int) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = threads * _SLOT.size
    with path.open("w+b") as file:
        file.write(b"\0" * size)
        file.flush()
        return mmap.mmap(file.fileno(), size)
