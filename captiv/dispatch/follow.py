"""Tells of a run what another process did for it."""

from captiv.core.jobs import JobId, JobRow, JobState, Run, RunId
from captiv.dispatch.events import Reporter
from captiv.store import Connection, Store, captions, jobs
from captiv.store.captions import Caption

_PAGE = 500

_Told = tuple[JobRow, Caption | None]
"""A job, and its caption if it is done."""


class Follower:
    """Reports what became of a run in another process's hands, image by image."""

    def __init__(self, store: Store, run: Run, reporter: Reporter, *, since_ms: int) -> None:
        """Args: captions and failures from before `since_ms` are no news."""
        self._store = store
        self._run_id = run.id
        self._output = run.spec.output
        self._reporter = reporter
        self._since_ms = since_ms

    async def tell(self, *, at_end: bool) -> None:
        """Report what ended since; `at_end`, also the captions whose file cannot be written."""
        after = JobId(0)
        while page := await self._store.aread(_page, self._run_id, after):
            after = page[-1][0].id
            for job, caption in page:
                if job.state is not JobState.CAPTIONED or at_end:
                    self._tell(job, caption)

    def _tell(self, job: JobRow, caption: Caption | None) -> None:
        if job.state is JobState.FAILED:
            if (job.finished_ms or 0) >= self._since_ms:
                self._reporter.failed(job.path, job.error_code or "", job.error or "")
        elif job.state is JobState.DONE and job.note:
            self._reporter.kept(job.path)
        elif job.state is JobState.CAPTIONED:
            self._reporter.unwritten(job.path, job.error or "its file is not written yet")
        elif caption is not None and caption.created_ms >= self._since_ms:
            self._reporter.captioned(job.path, caption.text)
            if self._output.cut_short(self._output.answer_in(caption.text)):
                self._reporter.cut_short(job.path)


def _page(conn: Connection, run_id: RunId, after: JobId) -> list[_Told]:
    return [(job, _caption(conn, job)) for job in jobs.page(conn, run_id, None, after, _PAGE)]


def _caption(conn: Connection, job: JobRow) -> Caption | None:
    if job.state is not JobState.DONE or job.note:
        return None
    return captions.latest(conn, job.place)
