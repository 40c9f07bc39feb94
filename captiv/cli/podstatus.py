"""One pod for a person: its status with its worker's health, and its log."""

import sys
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from captiv.cli import show
from captiv.cli.podtable import phase_of
from captiv.clock import now_ms
from captiv.core.bill import PodBill
from captiv.core.cost import dollars, price_of, rate
from captiv.core.phase import loading_phase
from captiv.core.pods import PodRow
from captiv.gui.phases import worded
from captiv.rental.account import Account
from captiv.rental.actions import Found, alive, find, view
from captiv.rental.provider import LogSource
from captiv.rental.records import Billed, drawn, told
from captiv.rental.views import View, duration, note, pool, queue
from captiv.rental.views import as_json as pod_as_json
from captiv.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a pod; no view of one that is gone."""

    label: str
    """The provider, for a person."""
    found: Found
    view: View | None
    recorded: Decimal
    """What stands in the provider's own records so far."""

    @property
    def bill(self) -> PodBill | None:
        """What it cost by the ledger; None if that does not know it."""
        row = self.found.row
        return None if row is None else drawn(row, self.recorded, now_ms())


async def of(account: Account, ledger: Store | None, id_or_name: str) -> Status:
    """Return the status of the pod of this id or name.

    Raises:
        UsageError: neither the provider nor the ledger knows it.
    """
    found = await find(account, ledger, id_or_name)
    if found.pod is not None:
        seen = await view(account, ledger, found.pod)
        return Status(account.provider.label, found, seen, seen.recorded)
    row = found.row
    assert row is not None
    recorded = Decimal(0)
    if row.pod_id is not None and row.created_ms is not None:
        billed = await Billed().of(account.provider, {row.pod_id: row.created_ms})
        recorded = billed.get(row.pod_id, recorded)
    return Status(account.provider.label, found, None, recorded)


def as_json(status: Status) -> dict[str, Any]:
    """Return it for JSON."""
    seen, row = status.view, status.found.row
    if seen is None:
        assert row is not None
        return {
            "pod": row.pod_id,
            "name": row.name,
            "status": "gone",
            "billed_by_provider_usd": float(round(status.recorded, 6)) if status.recorded else None,
            "ledger": _ledger(row),
        }
    return {
        **pod_as_json(seen),
        "worker": None if seen.health is None else seen.health.model_dump(mode="json"),
        "ledger": None if row is None else _ledger(row),
    }


def tell(status: Status) -> None:
    """Print it."""
    seen, row = status.view, status.found.row
    if seen is not None:
        _tell_view(status.label, seen)
    else:
        show.line(
            f"Pod {status.found.pod_id or (row and row.name)}: {status.label} does not know it."
        )
    if row is not None:
        _tell_row(row, status.bill)
    if row is None or row.created_ms is not None:
        show.line(f"Billed {told(status.label, status.recorded, status.bill)}")


async def tell_log(
    account: Account,
    ledger: Store | None,
    id_or_name: str,
    *,
    source: LogSource,
    follow: bool,
    tail: int,
) -> None:
    """Print a pod's log as it comes."""
    pod = await alive(account, ledger, id_or_name)
    lines = account.provider.logs(pod.id, source, tail=tail, follow=follow)
    async with aclosing(lines):
        async for line in lines:
            at = f"{line.at:%Y-%m-%d %H:%M:%S}  " if line.at else ""
            show.line(at + show.visible(line.text.rstrip()))
            sys.stdout.flush()


def _tell_view(label: str, seen: View) -> None:
    pod, health = seen.pod, seen.health
    show.line(f"Pod {pod.id}: {show.visible(phase_of(seen))} ({label} says {pod.said})")
    show.line(f"Name   {show.visible(pod.name)}")
    show.line(f"GPU    {pod.gpu or 'none'}{pool(pod.cloud)}, {rate(seen.price)}")
    if seen.spent is None:
        show.line("Spent  not known here of a pod that was stopped")
    else:
        show.line(f"Spent  {dollars(seen.spent)} in {duration(seen.up_s)}")
    if health is not None:
        model = f"{health.model or 'no model'} {health.variant or ''}".strip()
        device = f" on {health.device}" if health.device else ""
        loading = f" ({worded(loading_phase(health.loading))})" if health.loading else ""
        show.line(f"Worker {health.status}{loading}: {show.visible(model + device)}")
        show.line(
            f"       captiv {health.version}, {show.plural(health.max_batch, 'image')} at once"
        )
        if health.reason:
            show.line(f"       {show.visible(health.reason)}")
    elif seen.ours:
        show.line("Worker does not answer")
    for label, text in (("Queue", queue(seen)), ("Note", note(seen))):
        if text:
            show.line(f"{label:<6} {show.visible(text)}")


def _tell_row(row: PodRow, bill: PodBill | None) -> None:
    if row.state == "ended":
        show.line(f"Ledger ended {show.when(row.ended_ms)}: {show.visible(row.end_reason)}")
        if bill is not None and bill.ended_ms is not None:
            lasted = duration((bill.ended_ms - bill.created_ms) / 1000)
            show.line(f"Cost   {dollars(bill.total)} in {lasted}")
    elif row.state == "intended":
        show.line(f"Ledger asked for {show.when(row.intended_ms)}, not answered yet")
    else:
        show.line(f"Ledger live since {show.when(row.created_ms)}")
    if row.deadline_ms is not None and row.state != "ended":
        show.line(f"Guard  ends it at {show.when(row.deadline_ms)} in any case")


def _ledger(row: PodRow) -> dict[str, Any]:
    return {
        "state": row.state,
        "made_by": row.made_by,
        "run": row.run_id,
        "gpu": row.gpu,
        "cloud": row.cloud,
        "price_usd_h": float(price_of(row.price_micro)),
        "created_ms": row.created_ms,
        "deadline_ms": row.deadline_ms,
        "ended_ms": row.ended_ms,
        "end_reason": row.end_reason,
    }
