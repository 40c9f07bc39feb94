"""Who is fed, and from which run first."""

from collections.abc import Sequence
from dataclasses import dataclass

from captiv.core.jobs import Run, RunId
from captiv.core.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Need:
    """What a run needs of a worker. Runs with equal needs share one."""

    kind: str
    url: str | None
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
        url=placement.url,
        model=captioning.model,
        variant=captioning.variant,
        source=captioning.source,
        dtype=captioning.dtype,
        device=placement.device,
        batch_size=placement.batch_size,
        insecure=placement.insecure,
    )


@dataclass(frozen=True, slots=True)
class Assignment:
    """The runs that one worker serves, first to last."""

    need: Need
    runs: tuple[RunId, ...]


def assign(runs: Sequence[Run]) -> list[Assignment]:
    """Return which needs are served now, and from which runs, in the order of `runs`.

    Workers on this machine share its device, so only the first local need is served at a time. A
    run whose scan still goes on keeps its worker, although nothing may be pending at the moment.
    """
    order: dict[Need, list[RunId]] = {}
    for run in runs:
        if run.counts.pending or run.counts.running or not run.scanned:
            order.setdefault(need_of(run), []).append(run.id)
    served: list[Assignment] = []
    local_taken = False
    for need, ids in order.items():
        if need.kind == "local":
            if local_taken:
                continue
            local_taken = True
        served.append(Assignment(need, tuple(ids)))
    return served
