"""Sidecars of finished images that are gone when their run goes on.

They are written from the job table, by the process that scans: what is written was committed long
ago, and the job stays done. Where a person removed one through captiv, the image is captioned
again.
"""

import os
from collections.abc import Callable, Sequence

from captiv.core.adding import NOTHING
from captiv.core.jobs import Run, Unwritten
from captiv.core.naming import Place
from captiv.dispatch.events import Reporter
from captiv.dispatch.writer import Writer
from captiv.errors import SidecarError
from captiv.offload import offload
from captiv.output.sidecar import Written, has_text
from captiv.store import Store, gone
from captiv.store.commit import commit
from captiv.store.gone import DoneJob


class Restoring:
    """Writes the sidecars of one run again."""

    def __init__(
        self, store: Store, run: Run, reporter: Reporter, *, now_ms: Callable[[], int]
    ) -> None:
        self.needed = run.counts.done > 0 and run.spec.output.save
        """Whether the run has finished images that have sidecars."""
        self._store = store
        self._run = run
        self._reporter = reporter
        # What came to stand in a file meanwhile is newer than what captiv has of it.
        only_missing = run.spec.model_copy(update={"selection": run.spec.selection.only_missing})
        self._writer = Writer(store, spec_of=lambda _: only_missing, now_ms=now_ms)
        self._restored = 0

    async def restore(self, places: Sequence[Place]) -> None:
        """Look after those of these places, which have no sidecar, that are done."""
        made = await self._store.aread(
            gone.made, self._run.id, places, object_of=self._run.spec.object_of
        )
        lost = await offload(_lost, made)
        removed = [job for job in lost if job.text is None]
        if removed:
            await commit(self._store, gone.caption_again, self._run.id, removed)
        await self._write([job for job in lost if job.text is not None])

    def tell(self) -> None:
        """Say how many sidecars were written again."""
        if self._restored:
            were = "1 sidecar was" if self._restored == 1 else f"{self._restored} sidecars were"
            self._reporter.warned(f"{were} gone, and written again from the job table.")

    async def _write(self, lost: Sequence[DoneJob]) -> None:
        if not lost:
            return
        results = await self._writer.put([_unwritten(job, self._run) for job in lost])
        written = []
        for job, result in zip(lost, results, strict=True):
            if isinstance(result, SidecarError):
                why = (result.code, result.message)
                await commit(self._store, gone.wait_for_file, self._run.id, job, *why)
                self._reporter.unwritten(job.place.image, result.message)
            elif result is not Written.KEPT:
                written.append(job)
            self._restored += result is Written.WRITTEN
        await commit(self._store, gone.written_again, self._run.id, written)


def _lost(made: Sequence[DoneJob]) -> list[DoneJob]:
    """Return those whose image is there and of whose files one is not: it may have come."""
    return [
        job for job in made if not all(map(has_text, job.files)) and os.path.exists(job.place.image)
    ]


def _unwritten(job: DoneJob, run: Run) -> Unwritten:
    assert job.text is not None
    return Unwritten(
        *(job.job_id, run.id, job.attempt, job.place.image, job.place.sidecar, job.text),
        found=NOTHING,
        companion=job.companion,
    )
