"""Prepares images on threads, and leaves a trace of which ones are being prepared.

A decoder that crashes takes captiv with it. The trace, a small mapped file with one slot a thread,
is what the next start reads: only images that were in preparation when captiv died are suspect.
Mapped memory survives the death of the process without a sync for each image; after a power cut it
says nothing, and nothing is suspected.
"""

import mmap
import os
import stat
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import anyio
from anyio import CapacityLimiter

from captiv.catalog import ImagePolicy
from captiv.core.jobs import Job, JobId, Stamp
from captiv.images.prepare import Prepared, prepare
from captiv.offload import offload

_SLOT = struct.Struct("<q")
_MAX_THREADS = 8


def has_text(sidecar: str) -> bool:
    """Whether a sidecar is there; an empty file is no caption, whoever left it, nor is a folder."""
    try:
        status = os.stat(sidecar)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


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


class Preparation:
    """Threads that turn files into what the model can see."""

    def __init__(self, trace: Path, *, threads: int | None = None) -> None:
        self.threads = threads or min(_MAX_THREADS, os.cpu_count() or 1)
        self._trace = trace
        self._limiter = CapacityLimiter(self.threads)
        self._aloneness = anyio.Lock()
        self._slots = deque(range(self.threads))
        self._map: mmap.mmap | None = None
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
        self, job: Job, policy: ImagePolicy, *, unless: str | None = None
    ) -> Prepared | None:
        """Return what is sent for this image; None if by now there is text in the file `unless`.

        A suspect is prepared with no other image in preparation, whichever lane it is for: should
        captiv die of it, it alone is charged.

        Raises:
            ImageError: the file is no image that can be read.
        """
        if not job.suspect:
            return await self._on_thread(job, policy, unless)
        async with self._aloneness, self._others_kept_out():
            return await self._on_thread(job, policy, unless)

    def stamp(self, job: Job) -> Stamp | None:
        """Return what the image was when it was prepared, until it is forgotten."""
        return self._stamps.get(job.id)

    def forget(self, job: Job) -> None:
        """Keep nothing of this image."""
        self._stamps.pop(job.id, None)

    async def _on_thread(
        self, job: Job, policy: ImagePolicy, unless: str | None
    ) -> Prepared | None:
        return await offload(self._traced, job, policy, unless, limiter=self._limiter)

    @asynccontextmanager
    async def _others_kept_out(self) -> AsyncIterator[None]:
        """Take every thread but one."""
        taken: list[object] = []
        try:
            for _ in range(self.threads - 1):
                borrower = object()
                await self._limiter.acquire_on_behalf_of(borrower)
                taken.append(borrower)
            yield
        finally:
            for borrower in taken:
                self._limiter.release_on_behalf_of(borrower)

    def _traced(self, job: Job, policy: ImagePolicy, unless: str | None) -> Prepared | None:
        assert self._map is not None
        if unless is not None and has_text(unless):
            return None
        slot = self._slots.pop()
        at = slot * _SLOT.size
        self._map[at : at + _SLOT.size] = _SLOT.pack(job.id)
        self._stamps[job.id] = stamp_of(job.path)  # before it is read: it may change meanwhile
        try:
            return prepare(job.path, policy)
        finally:
            self._map[at : at + _SLOT.size] = _SLOT.pack(0)
            self._slots.append(slot)


def _open_trace(path: Path, threads: int) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = threads * _SLOT.size
    with path.open("w+b") as file:
        file.write(b"\0" * size)
        file.flush()
        return mmap.mmap(file.fileno(), size)
