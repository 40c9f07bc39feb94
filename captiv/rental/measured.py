"""How fast this installation's own runs went on a GPU: what the next one will take.

Nobody's measurement holds for another host, network and prompt; one's own of yesterday comes close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from captiv.core.jobs import RunId
from captiv.core.spec import Captioning
from captiv.store import Connection, captions, pods, runs

_RUNS: Final = 60
_LEAST_IMAGES: Final = 20
_LAST_IMAGES: Final = 5_000
"""Of so many at the end of a run the rate is taken: it is asked for at each change of a wish."""
_PAUSE_S: Final = 60
"""Longer without a caption is no work: a pod was replaced, or the run was interrupted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of the same model on the same GPU."""

    run: RunId
    images_per_s: float
    """Of one pod."""


def measured(conn: Connection, captioning: Captioning, gpu: str) -> Measured | None:
    """Return the last run that tells how fast a GPU captions so; None if there is none."""
    for run in runs.page(conn, None, _RUNS):
        by_pods = all(site.kind == "rented" for site in run.spec.placement.sites)
        if not by_pods or not _alike(run.spec.captioning, captioning):
            continue
        rented = [pod for pod in pods.of_run(conn, run.id) if pod.pod_id is not None]
        if not rented or any(pod.gpu != gpu for pod in rented):
            continue
        per_s = images_per_s(captions.per_second(conn, run.id, _LAST_IMAGES))
        if per_s is not None:
            return Measured(run.id, per_s / len(rented))
    return None


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
