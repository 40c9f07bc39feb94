"""Before a worker is begun: one image is prepared, and its folder is tried if a pod is paid for.

Images that cannot be read fail on the way, as they would later, and cost no pod and no loading of a
model. What is found good goes back, uncharged; the lane claims it again.
"""

from pathlib import Path

from captiv.core.jobs import Failure, Job
from captiv.dispatch.claims import Claims
from captiv.dispatch.folders import try_folder
from captiv.dispatch.queue import QueueContext
from captiv.errors import ImageError, MachineShort, SidecarError
from captiv.offload import offload

_MOST = 256
"""Images that cannot be used, each for another one's sake, after which no other is looked for."""


class Preflight:
    """Looks whether there is anything that a worker could do."""

    def __init__(self, queue: QueueContext, claims: Claims, *, paid: bool) -> None:
        """Args: `paid` tells whether the worker costs money, so that folders are looked at, too."""
        self._paid = paid
        self._queue = queue
        self._claims = claims
        self._refused: dict[str, SidecarError] = {}
        """Folders that cannot be written."""

    async def look(self) -> bool:
        """Tell whether an image is there whose caption can be had and written.

        A file that its disk fails to read may be bad alone: others are looked at before it is
        waited for.

        Raises:
            SidecarError: there are images, and none of their folders can be written.
            MachineShort: no image can be read.
        """
        held: list[Job] = []
        short: list[Job] = []
        try:
            while len(held) < _MOST:
                batch = await self._claims.next(1, self._queue.now_ms())
                if not batch:
                    break
                (job,) = batch
                if not self._queue.completer.begin(job):  # another run has it in work: it is good
                    held.append(job)
                    return True
                try:
                    if not await self._prepared(job, patient=False):
                        continue
                except MachineShort:
                    held.append(job)
                    short.append(job)
                    continue
                held.append(job)
                if await self._writable(job):
                    return True
            if self._refused:
                raise next(iter(self._refused.values()))
            if short:
                if await self._prepared(short[0], patient=True):
                    return True
                held.remove(short[0])
            return await self._suspect()
        finally:
            for job in held:
                self._queue.completer.released(job)
                await self._claims.release(job, suspect=False)

    async def _prepared(self, job: Job, *, patient: bool) -> bool:
        """Tell whether the image can be sent; one that cannot, or need not, has its outcome."""
        try:
            prepared = await self._queue.preparation.prepare(
                job,
                self._claims.policy,
                accept_truncated=self._queue.specs[job.run_id].selection.accept_truncated,
                quality=self._queue.specs[job.run_id].image_quality,
                patient=lambda: patient,
            )
        except ImageError as error:
            self._claims.settled(job)
            file = self._queue.preparation.stamp(job)
            self._queue.completer.failed(Failure(job, error.code, error.message, file=file))
            return False
        finally:
            self._queue.preparation.forget(job)
        return prepared is not None

    async def _writable(self, job: Job) -> bool:
        output = self._queue.specs[job.run_id].output
        if not (self._paid and output.save):
            return True
        folder = str(Path(job.sidecar).parent)
        if folder not in self._refused:
            try:
                await offload(try_folder, job.place, output)
            except SidecarError as error:
                self._refused[folder] = error
        return folder not in self._refused

    async def _suspect(self) -> bool:
        """Tell whether an image is left that is to be tried alone."""
        suspect = await self._claims.suspect(self._queue.now_ms())
        if suspect is None:
            return False
        await self._claims.release(suspect, suspect=True)
        return True
