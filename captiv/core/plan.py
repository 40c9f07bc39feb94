"""Who is fed, and from which run first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from captiv.core.jobs import Run, RunId
from captiv.core.spec import RunSpec, Site


@dataclass(frozen=True, slots=True)
class Need:
    """What a run needs of its workers. Runs with equal needs share them."""

    sites: tuple[Site, ...]
    """Each once, however many workers are there."""
    model: str
    variant: str
    source: str
    dtype: str
    batch_size: int | None
    engine: str
    insecure: bool

    def on(self, kind: str) -> bool:
        """Whether workers of that kind are among those that serve it."""
        return any(site.kind == kind for site in self.sites)


def need_of(run: Run) -> Need:
    """Return what `run` needs of its workers."""
    return need_of_spec(run.spec)


def need_of_spec(spec: RunSpec) -> Need:
    """Return what a run of this specification needs of its workers."""
    placement, captioning = spec.placement, spec.captioning
    return Need(
        sites=tuple(sorted(set(placement.sites), key=repr)),
        model=captioning.model,
        variant=captioning.variant,
        source=captioning.source,
        dtype=captioning.dtype,
        batch_size=placement.batch_size,
        engine=placement.engine,
        insecure=placement.insecure,
    )


_WORTH = 100
"""Images that have to wait for each lane before one more is opened beside it: a pod takes minutes
to come up."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The runs that the workers of one need serve, first to last."""

    need: Need
    runs: tuple[RunId, ...]
    sites: tuple[Site, ...]
    """Where workers may serve them now, once for each of them, in the order in which they open."""
    pending: int = 0
    """Images of them that wait."""
    scanned: bool = True
    """Whether no more images are being found for them."""

    @property
    def workers(self) -> int:
        """How many workers may serve them at the same time."""
        return len(self.sites)

    def to_open(self, opened: Mapping[Site, int], given_up: Mapping[Site, int]) -> list[Site]:
        """Return where lanes should be opened beside those that there are.

        Args:
            opened: how many there are at each site.
            given_up: how many of each ended, for no worker was to be had there.
        """
        taken = Counter(opened) + Counter(given_up)
        free: list[Site] = []
        for site in self.sites:
            if taken[site] > 0:
                taken[site] -= 1
            else:
                free.append(site)
        return free[: max(0, self._worth(sum(opened.values())))]

    def _worth(self, there: int) -> int:
        """Return how many lanes are worth opening beside `there`."""
        if not self.pending:
            return 0
        if not there:
            return self.pending if self.scanned else self.workers
        return self.pending // _WORTH - there


def assign(runs: Sequence[Run]) -> list[Assignment]:
    """Return which needs are served now, and from which runs, in the order of `runs`.

    Workers on this machine share its memory and devices, so only the first need with any has them;
    another one goes on with its workers elsewhere, if it has some. A run whose scan still goes on
    keeps its workers, although nothing may be pending at the moment.
    """
    order: dict[Need, list[Run]] = {}
    for run in runs:
        if run.counts.pending or run.counts.running or not run.scanned:
            order.setdefault(need_of(run), []).append(run)
    served: list[Assignment] = []
    here_taken = False
    for need, wanting in order.items():
        sites = _sites(wanting)
        if here_taken:
            sites = tuple(site for site in sites if site.kind != "local")
        here_taken = here_taken or need.on("local")
        if sites:
            served.append(_assignment(need, wanting, sites))
    return served


def _sites(wanting: Sequence[Run]) -> tuple[Site, ...]:
    """Return where workers may be: at each site as many as the run that wants most of them."""
    most: Counter[Site] = Counter()
    for run in wanting:
        most |= Counter(run.spec.placement.sites)
    order = dict.fromkeys(site for run in wanting for site in run.spec.placement.sites)
    return tuple(site for site in order for _ in range(most[site]))


def _assignment(need: Need, wanting: Sequence[Run], sites: tuple[Site, ...]) -> Assignment:
    return Assignment(
        need,
        tuple(run.id for run in wanting),
        sites,
        pending=sum(run.counts.pending for run in wanting),
        scanned=all(run.enqueued for run in wanting),
    )
