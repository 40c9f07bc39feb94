"""Pods as a table."""

from collections.abc import Sequence
from decimal import Decimal

from captiv.cli import show
from captiv.core.cost import dollars, rate
from captiv.core.pods import PodState
from captiv.gui.phases import worded
from captiv.rental.views import View, duration, note, queue

HEADINGS = ("Pod", "Name", "Phase", "GPU", "Price", "Up", "Spent", "Queue", "Note")


def table(found: Sequence[View]) -> None:
    """Print pods, one a row, and what to do about orphans."""
    if not found:
        show.line("No pods.")
        return
    show.table(HEADINGS, [_row(view) for view in found], right=(4, 5, 6))
    if any(view.known.orphan and view.ours for view in found):
        show.note("captiv runpod sweep ends orphans of runs; captiv runpod terminate any pod.")


def phase_of(view: View) -> str:
    """Return how far a pod is, with what is known of its progress."""
    return view.phase if view.startup is None else worded(view.startup)


def _row(view: View) -> tuple[object, ...]:
    pod = view.pod
    return (
        pod.id,
        pod.name,
        phase_of(view),
        pod.gpu or "none",
        *(_rested(view) if pod.state is PodState.STOPPED else _running(view)),
        queue(view),
        note(view),
    )


def _running(view: View) -> tuple[str, str, str]:
    """Return price, time and cost of a pod that is up, or comes up."""
    return rate(view.price), duration(view.up_s), _spent(view.spent, view.recorded)


def _rested(view: View) -> tuple[str, str, str]:
    """Return price, time and cost of a stopped pod: the provider names no price for a disk."""
    billed = f"{dollars(view.recorded)} billed" if view.recorded else ""
    return rate(view.price) if view.price else "disk only", "", billed


def _spent(spent: Decimal | None, recorded: Decimal) -> str:
    said = "unknown" if spent is None else dollars(spent)
    return f"{said} ({dollars(recorded)} billed)" if recorded else said
