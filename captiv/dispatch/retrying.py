"""Which images that failed before are tried again: `core.retry.again` decides, here is looked."""

from collections.abc import Iterable, Mapping, Sequence

from captiv.core import retry
from captiv.core.jobs import JobId, Run, RunId, Stamp
from captiv.core.naming import Place
from captiv.core.spec import RunSpec
from captiv.dispatch.preparation import stamp_of
from captiv.errors import SidecarShared, SidecarUnreadable
from captiv.images.find import FOLDER_UNREADABLE
from captiv.offload import offload
from captiv.store import Store, past
from captiv.store.commit import commit
from captiv.store.past import FailedJob

_PAGE = 1_000
_SCANS = frozenset((SidecarShared.code, SidecarUnreadable.code, FOLDER_UNREADABLE))
"""What only a scan can tell again."""


async def untried(store: Store, run: Run, places: Sequence[Place]) -> list[FailedJob]:
    """Return a failure in another run for each of these places that is not to be tried again."""
    if run.spec.selection.retry_failed or not places:
        return []
    found = await store.aread(past.standing, run.id, places)
    if not found:
        return []
    return await offload(_one_each, found, run.spec)


def foreseen(store: Store | None, spec: RunSpec, places: Sequence[Place]) -> set[Place]:
    """Return those of these places that a run which is not there yet would not try. Blocks."""
    if store is None or spec.selection.retry_failed or not places:
        return set()
    lasting = _one_each(store.read(past.standing, RunId(0), places), spec)
    return {job.place for job in lasting}


async def revive(store: Store, run: Run) -> None:
    """Make those failed images of an unfinished run pending again that are to be tried again.

    What its scan refused is forgotten if it is going to be scanned: that tells it anew.
    """
    if not run.scanned:
        await commit(store, past.forget_refused, run.id)
    selection = run.spec.selection
    after = JobId(0)
    while page := await store.aread(past.page, run.id, after, _PAGE):
        after = page[-1].id
        tried = [job for job in page if job.failure.code not in _SCANS]
        if not selection.retry_failed:
            kept = {job.id for job in await offload(_lasting, tried, run.spec)}
            tried = [job for job in tried if job.id not in kept]
        await commit(store, past.revive, run.id, [job.id for job in tried], selection.limit)


def stamps(paths: dict[JobId, str]) -> dict[JobId, Stamp | None]:
    """Return what these images are now."""
    return {job_id: stamp_of(path) for job_id, path in paths.items()}


def _one_each(found: Mapping[Place, Sequence[FailedJob]], spec: RunSpec) -> list[FailedJob]:
    """Return a failure for each place of which one would only be repeated."""
    lasting = _lasting([job for jobs in found.values() for job in jobs], spec)
    return list({job.place: job for job in lasting}.values())


def _lasting(failed: Iterable[FailedJob], spec: RunSpec) -> list[FailedJob]:
    """Return those that would only fail again. Belongs on a thread: it looks at their files."""
    asked = spec.asked()
    return [
        job
        for job in failed
        if retry.lasting(job.failure.code)
        and not retry.again(job.failure, stamp_of(job.place.image), asked)
    ]
