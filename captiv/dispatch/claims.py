"""What one worker is fed with: the claimed jobs of the runs that it serves, in their order."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from captiv.catalog import ImagePolicy
from captiv.core import retry, structure
from captiv.core.jobs import Job, JobId, RunId, SessionId
from captiv.core.spec import RunSpec
from captiv.store import Store, jobs
from captiv.store.commit import commit
from captiv.wire import CaptionRequest

AHEAD = 32
"""Images that are claimed together, so that one short statement feeds many."""


class Claims:
    """Claims ahead in small batches, so that one short statement feeds many images."""

    def __init__(
        self,
        store: Store,
        session: SessionId,
        *,
        installation: str,
        policy: ImagePolicy,
        specs: Mapping[RunId, RunSpec],
    ) -> None:
        """Args: `specs` has the spec of every run that was ever served here."""
        self.policy = policy
        self._specs = specs
        self._store = store
        self._session = session
        self._installation = installation
        self._runs: tuple[RunId, ...] = ()
        self._ahead = AHEAD
        self._claimed: deque[Job] = deque()
        self._out: dict[JobId, Job] = {}

    @property
    def empty_handed(self) -> bool:
        """Whether no run wants to be served from here any more."""
        return not self._runs and not self._claimed and not self._out

    def holds(self, run_id: RunId) -> bool:
        """Whether an image of this run is here, claimed or at the worker."""
        return any(job.run_id == run_id for job in (*self._claimed, *self._out.values()))

    def serve(self, runs: Iterable[RunId], *, ahead: int = AHEAD) -> None:
        """Serve these runs from now on, first to last; `next` gives back what is of no other.

        With `ahead` 0 no more is claimed than there is room for: other lanes are fed from the same
        runs, and little is left.
        """
        self._runs, self._ahead = tuple(runs), ahead

    async def next(self, room: int, now_ms: int) -> list[Job]:
        """Return up to `room` claimed jobs; none if nothing is pending but suspects."""
        await self.give_back_displaced(room)
        if not self._claimed:
            for run_id in self._runs:
                got = await commit(
                    self._store, jobs.claim, run_id, max(room, self._ahead), self._session, now_ms
                )
                self._claimed.extend(got)
                if self._claimed:
                    break
        taken = [self._claimed.popleft() for _ in range(min(room, len(self._claimed)))]
        self._out.update((job.id, job) for job in taken)
        return taken

    async def suspect(self, now_ms: int) -> Job | None:
        """Return one job that is to be tried alone, or None."""
        for run_id in self._runs:
            job = await commit(self._store, jobs.claim_suspect, run_id, self._session, now_ms)
            if job is not None:
                self._out[job.id] = job
                return job
        return None

    def settled(self, job: Job) -> None:
        """The job has an outcome of its own, or was given back one by one."""
        self._out.pop(job.id, None)

    async def give_back(self, suspects: Collection[str] = ()) -> None:
        """Return everything that is claimed and has no outcome, uncharged.

        What was handed out goes behind the others: the worker was lost, or ended, over it.

        Args:
            suspects: keys of the batch over which the worker died.
        """
        rest = [*self._claimed, *self._out.values()]
        suspected = {job.id for job in self._out.values() if self.key(job) in suspects}
        if rest:
            await commit(
                self._store, jobs.release, rest, suspects=suspected, postponed=set(self._out)
            )
        self._claimed.clear()
        self._out.clear()

    async def release(self, job: Job, *, suspect: bool, postponed: bool = False) -> None:
        """Return one job, uncharged; a postponed one goes behind the others."""
        only = frozenset((job.id,))
        none = frozenset[JobId]()
        await commit(
            self._store,
            jobs.release,
            [job],
            suspects=only if suspect else none,
            postponed=only if postponed else none,
        )
        self.settled(job)

    async def give_back_ahead(self) -> None:
        """Return what was claimed and not handed out."""
        if self._claimed:
            ahead = list(self._claimed)
            self._claimed.clear()
            await commit(self._store, jobs.release, ahead)

    async def give_back_displaced(self, room: int = 0) -> None:
        """Return what was claimed ahead for runs that were cancelled or have to wait, or for long.

        At the end of what several lanes are fed from, another lane may have room at once.
        """
        kept = [job for job in self._claimed if job.run_id in self._runs]
        if not self._ahead:
            kept = kept[: max(room, 0)]
        displaced = [job for job in self._claimed if job not in kept]
        if displaced:
            await commit(self._store, jobs.release, displaced)
            self._claimed = deque(kept)

    def request(self, job: Job) -> CaptionRequest:
        """Return what the worker is asked for this image."""
        captioning = self._specs[job.run_id].captioning
        prompt, schema = captioning.prompt, captioning.answer_schema
        if job.objection is not None:
            prompt = structure.asked_again(prompt, job.objection)
        return CaptionRequest(
            model=captioning.model,
            variant=captioning.variant,
            prompt=prompt,
            answer_schema=None if schema is None else structure.bare(schema),
            generation=retry.asked_with(captioning.generation, job),
            tagging=captioning.tagging,
        )

    def key(self, job: Job) -> str:
        """Return the name of this work: installation, job, settings and try; never the attempt."""
        digest = self._specs[job.run_id].generation_digest()
        return f"{self._installation}-{job.id}-{digest}-{job.tries}"
