"""Captions a batch so that one bad image fails alone.

Whatever an engine raises for a batch is taken apart by halves: the halves that work are answered,
the ones that break are halved again, until the culprit stands alone (k culprits among n images
cost about k log2 n more runs). Out of memory is halved the same way and lowers the ceiling. An
image on which the engine breaks alone while its neighbours were captioned is `suspect`; if all
break, the engine is to blame and none is.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from captiv.clock import monotonic_s
from captiv.errors import EngineFailed
from captiv_worker.engines.spec import (
    Answer,
    DeviceLost,
    Engine,
    EngineItem,
    Failure,
    Outcome,
    OutOfMemory,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ran:
    """How one item came out, in a batch of how many, and how long that batch took."""

    outcome: Outcome
    batch: int = 1
    engine_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of which items: before a run, and after it that they went well or did not fit."""

    started: Callable[[range], None]
    went_well: Callable[[range], None]
    ran_out: Callable[[range], None]


def caption_batch(engine: Engine, items: Sequence[EngineItem], watch: Watch) -> list[Ran]:
    """Return how each item came out, in their order.

    Raises:
        DeviceLost: the process has to end.
    """
    ran = _run(engine, items, range(len(items)), watch)
    if any(isinstance(r.outcome, Answer) for r in ran):
        return [_suspect(r) for r in ran]
    return ran


def _run(engine: Engine, items: Sequence[EngineItem], span: range, watch: Watch) -> list[Ran]:
    watch.started(span)
    start_s = monotonic_s()
    try:
        outcomes = _outcomes(engine, [items[i] for i in span])
    except DeviceLost:
        raise
    except OutOfMemory:
        _log.warning("out_of_memory batch=%d", len(span))
        watch.ran_out(span)
        if len(span) == 1:
            return [_failed("One image alone does not fit into the memory of the device.")]
    except Exception as error:
        _log.exception("batch_failed batch=%d", len(span))
        if len(span) == 1:
            return [_failed(f"The engine failed on this image alone ({type(error).__name__}).")]
    else:
        engine_s = monotonic_s() - start_s
        if any(isinstance(outcome, Answer) for outcome in outcomes):
            watch.went_well(span)  # what the engine refused says nothing of the memory
        return [Ran(outcome, len(span), engine_s) for outcome in outcomes]
    middle = len(span) // 2
    return _run(engine, items, span[:middle], watch) + _run(engine, items, span[middle:], watch)


def _outcomes(engine: Engine, items: Sequence[EngineItem]) -> list[Outcome]:
    outcomes = engine.caption(items)
    if len(outcomes) != len(items):
        raise RuntimeError(f"the engine gave {len(outcomes)} outcomes for {len(items)} items")
    return outcomes


def _failed(message: str) -> Ran:
    return Ran(Failure(EngineFailed.code, message))


def _suspect(ran: Ran) -> Ran:
    outcome = ran.outcome
    if isinstance(outcome, Failure) and outcome.code == EngineFailed.code:
        return replace(ran, outcome=replace(outcome, suspect=True))
    return ran
