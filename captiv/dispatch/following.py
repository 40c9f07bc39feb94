"""Tells of a run what another process, or an earlier command, did for it."""

from anyio import to_thread

from captiv.core.jobs import JobId, JobRow, JobState, RunId
from captiv.dispatch.events import Reporter
from captiv.store import Connection, Store, captions, jobs

_PAGE = 500
_ENDED = (JobState.DONE, JobState.FAILED)

_Told = tuple[JobRow, str]
"""A job, and its caption if it has one."""


class Following:
    """Reports what becomes of a run in another process's hands, image by image."""

    def __init__(self, store: Store, run_id: RunId, reporter: Reporter) -> None:
        self._store = store
        self._run_id = run_id
        self._reporter = reporter
        self._before: set[JobId] = set()

    async def begin(self) -> None:
        """Remember what had ended before; that is no news."""
        self._before = await to_thread.run_sync(self._ended)

    async def tell(self, *, at_end: bool) -> None:
        """Report what ended since; `at_end`, also the captions whose file cannot be written."""
        after = JobId(0)
        while page := await self._store.aread(_page, self._run_id, None, after):
            after = page[-1][0].id
            for job, text in page:
                if job.id not in self._before:
                    self._tell(job, text, at_end=at_end)

    def _ended(self) -> set[JobId]:
        ended: set[JobId] = set()
        after = JobId(0)
        while page := self._store.read(jobs.page, self._run_id, None, after, _PAGE):
            after = page[-1].id
            ended.update(job.id for job in page if job.state in _ENDED)
        return ended

    def _tell(self, job: JobRow, text: str, *, at_end: bool) -> None:
        if job.state is JobState.FAILED:
            self._reporter.failed(job.path, job.error_code or "", job.error or "")
        elif job.state is JobState.DONE and job.note:
            self._reporter.kept(job.path)
        elif job.state is JobState.DONE:
            self._reporter.captioned(job.path, text)
        elif job.state is JobState.CAPTIONED and at_end:
            self._reporter.unwritten(job.path, job.error or "its file is not written yet")


async def tell_failures(store: Store, run_id: RunId, reporter: Reporter) -> None:
    """Report the failures of a run that goes on: they are of what was asked for."""
    after = JobId(0)
    while page := await store.aread(_page, run_id, JobState.FAILED, after):
        after = page[-1][0].id
        for job, _ in page:
            reporter.failed(job.path, job.error_code or "", job.error or "")


def _page(conn: Connection, run_id: RunId, state: JobState | None, after: JobId) -> list[_Told]:
    return [(job, _text(conn, job)) for job in jobs.page(conn, run_id, state, after, _PAGE)]


def _text(conn: Connection, job: JobRow) -> str:
    if job.state is not JobState.DONE or job.note:
        return ""
    caption = captions.latest(conn, job.path)
    return "" if caption is None else caption.text
