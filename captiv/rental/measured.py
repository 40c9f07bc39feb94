"""How this installation's own runs went: how long pods took to start, and how fast they captioned.

Nobody's measurement holds for another host, network and prompt; one's own of yesterday comes close.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from captiv.catalog.engines import Engine
from captiv.core.estimate import Started
from captiv.core.jobs import Run, RunId
from captiv.core.pods import PodRow
from captiv.core.spec import Captioning, Placement
from captiv.store import Connection, captions, pods, runs, starts

_RUNS: Final = 60
STARTS: Final = 200
"""So many of the last pods are read for how long they took to start."""
_LEAST_IMAGES: Final = 20
_LAST_IMAGES: Final = 5_000
"""Of so many at the end of a run the rate is taken: it is asked for at each change of a wish."""
_PAUSE_S: Final = 60
"""Longer without a caption is no work: a pod was replaced, or the run was interrupted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of the same model on the same GPU, or at the same worker."""

    run: RunId
    images_per_s: float
    """Of one pod or worker."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs tell of the next one at a provider."""

    starts: Sequence[Started]
    """How long pods took to start, the newest first."""
    paces: Mapping[str, Measured]
    """How fast each GPU captioned so, by its type."""


def past(conn: Connection, provider: str, captioning: Captioning, engine: Engine) -> Past:
    """Return what this installation knows of captioning so, by an engine, on a provider's pods."""
    found: dict[str, Measured] = {}
    for run in _alike_runs(conn, captioning):
        if any(site.kind != "rented" for site in run.spec.placement.sites):
            continue
        rented = [pod for pod in pods.of_run(conn, run.id) if pod.pod_id is not None]
        gpus = {pod.gpu for pod in rented if pod.provider == provider}
        if len(gpus) != 1 or gpus <= found.keys() or _engines(run, rented) != {engine}:
            continue
        per_s = images_per_s(captions.per_second(conn, run.id, _LAST_IMAGES))
        if per_s is not None:
            found[gpus.pop()] = Measured(run.id, per_s / len(rented))
    return Past(starts.latest(conn, provider, STARTS), found)


def elsewhere(
    conn: Connection, captioning: Captioning, placed: Callable[[Placement], bool]
) -> Measured | None:
    """Return the last run that one worker did alone, so placed; None if there is none."""
    for run in _alike_runs(conn, captioning):
        placement = run.spec.placement
        if len(placement.sites) == 1 and placed(placement):
            per_s = images_per_s(captions.per_second(conn, run.id, _LAST_IMAGES))
            if per_s is not None:
                return Measured(run.id, per_s)
    return None


def _engines(run: Run, rented: Sequence[PodRow]) -> set[Engine]:
    """Return what drove the model in a run's pods; it chose itself in images of other people."""
    named = run.spec.placement.engine == "vllm"
    return {"vllm" if named else pod.engine for pod in rented}


def _alike_runs(conn: Connection, captioning: Captioning) -> list[Run]:
    return [run for run in runs.page(conn, None, _RUNS) if _alike(run.spec.captioning, captioning)]


def images_per_s(seconds: Sequence[tuple[int, int]]) -> float | None:
    """Return the rate at which captions came, pauses left out; None where too few came to tell.

    Args:
        seconds: the seconds in which captions came, in milliseconds, and how many in each.
    """
    steps = [((b - a) / 1000, n) for (a, _), (b, n) in pairwise(seconds)]
    worked = [(gap_s, n) for gap_s, n in steps if gap_s <= _PAUSE_S]
    images = sum(n for _, n in worked)
    return images / sum(gap_s for gap_s, _ in worked) if images >= _LEAST_IMAGES else None


def _alike(one: Captioning, other: Captioning) -> bool:
    return (one.model, one.variant, one.mode) == (other.model, other.variant, other.mode)
