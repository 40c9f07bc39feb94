"""Who is fed, and from which run first."""

from collections.abc import Sequence
from dataclasses import dataclass

from captiv.core.jobs import Run, RunId
from captiv.core.spec import Kind, RunSpec


@dataclass(frozen=True, slots=True)
class Need:
    """What a run needs of a worker. Runs with equal needs share one."""

    kind: Kind
    provider: str | None
    url: str | None
    protocol: str
    model: str
    variant: str
    source: str
    dtype: str
    device: str
    batch_size: int | None
    insecure: bool


def need_of(run: Run) -> Need:
    """Return what `run` needs of a worker."""
    return need_of_spec(run.spec)


def need_of_spec(spec: RunSpec) -> Need:
    """Return what a run of this specification needs of a worker."""
    placement, captioning = spec.placement, spec.captioning
    return Need(
        kind=placement.kind,
        provider=placement.provider,
        url=placement.url,
        protocol=placement.protocol,
        model=captioning.model,
        variant=captioning.variant,
        source=captioning.source,
        dtype=captioning.dtype,
        device=placement.device,
        batch_size=placement.batch_size,
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
    workers: int = 1
    """How many workers may serve them at the same time."""
    pending: int = 0
    """Images of them that wait."""
    scanned: bool = True
    """Whether no more images are being found for them."""

    def lanes(self, opened: int, given_up: int) -> int:
        """Return how many lanes there should be.

        Args:
            opened: how many there are.
            given_up: how many ended, for no worker was to be had.
        """
        most = self.workers - given_up
        if not self.pending:
            return opened
        if not opened:
            return min(most, self.pending) if self.scanned else most
        return max(opened, min(most, self.pending // _WORTH))


def assign(runs: Sequence[Run]) -> list[Assignment]:
    """Return which needs are served now, and from which runs, in the order of `runs`.

    Workers on this machine share its device, so only the first local need is served at a time. A
    run whose scan still goes on keeps its worker, although nothing may be pending at the moment.
    """
    order: dict[Need, list[Run]] = {}
    for run in runs:
        if run.counts.pending or run.counts.running or not run.scanned:
            order.setdefault(need_of(run), []).append(run)
    served: list[Assignment] = []
    local_taken = False
    for need, wanting in order.items():
        if need.kind == "local":
            if local_taken:
                continue
            local_taken = True
        served.append(_assignment(need, wanting))
    return served


def _assignment(need: Need, wanting: Sequence[Run]) -> Assignment:
    return Assignment(
        need,
        tuple(run.id for run in wanting),
        workers=max(run.spec.placement.workers for run in wanting),
        pending=sum(run.counts.pending for run in wanting),
        scanned=all(run.enqueued for run in wanting),
    )
