"""One pod for a person: its status with its worker's health, and its log."""

import sys
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from captiv.cli import show
from captiv.cli.account import Account
from captiv.cli.podactions import Found, alive, find, view
from captiv.cli.pods import View, duration, note, queue
from captiv.cli.pods import as_json as pod_as_json
from captiv.core.cost import cost, dollars, price_of, rate
from captiv.core.pods import PodRow
from captiv.runpod import LogSource
from captiv.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a pod; no view of one that is gone."""

    found: Found
    view: View | None


async def of(account: Account, ledger: Store | None, id_or_name: str) -> Status:
    """Return the status of the pod of this id or name.

    Raises:
        UsageError: neither RunPod nor the ledger knows it.
    """
    found = await find(account, ledger, id_or_name)
    if found.pod is None:
        return Status(found, None)
    return Status(found, await view(account, ledger, found.pod))


def as_json(status: Status) -> dict[str, Any]:
    """Return it for JSON."""
    seen, row = status.view, status.found.row
    if seen is None:
        assert row is not None
        return {"pod": row.pod_id, "name": row.name, "status": "gone", "ledger": _ledger(row)}
    return {
        **pod_as_json(seen),
        "worker": None if seen.health is None else seen.health.model_dump(mode="json"),
        "ledger": None if row is None else _ledger(row),
    }


def tell(status: Status) -> None:
    """Print it."""
    seen, row = status.view, status.found.row
    if seen is not None:
        _tell_view(seen)
    else:
        show.line(f"Pod {status.found.pod_id or (row and row.name)}: RunPod does not know it.")
    if row is not None:
        _tell_row(row)


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
    lines = account.api.logs(pod.id, source, tail=tail, follow=follow)
    async with aclosing(lines):
        async for line in lines:
            at = f"{line.at:%Y-%m-%d %H:%M:%S}  " if line.at else ""
            show.line(at + show.visible(line.text.rstrip()))
            sys.stdout.flush()


def _tell_view(seen: View) -> None:
    pod, health = seen.pod, seen.health
    show.line(f"Pod {pod.id}: {show.visible(seen.phase)} (RunPod says {pod.status})")
    show.line(f"Name   {show.visible(pod.name)}")
    cloud = f", {pod.cloud.lower()} cloud" if pod.cloud else ""
    show.line(f"GPU    {pod.gpu.id if pod.gpu else 'none'}{cloud}, {rate(seen.price)}")
    spent = "unknown" if seen.spent is None else dollars(seen.spent)
    show.line(f"Spent  {spent} in {duration(seen.up_s)}")
    if health is not None:
        model = f"{health.model or 'no model'} {health.variant or ''}".strip()
        device = f" on {health.device}" if health.device else ""
        loading = f" ({health.loading.phase})" if health.loading else ""
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


def _tell_row(row: PodRow) -> None:
    if row.state == "ended":
        show.line(f"Ledger ended {_local(row.ended_ms)}: {show.visible(row.end_reason)}")
        if row.created_ms is not None and row.ended_ms is not None:
            spent = cost(price_of(row.price_micro), row.created_ms, row.ended_ms)
            lasted = duration((row.ended_ms - row.created_ms) / 1000)
            show.line(f"Cost   {dollars(spent)} in {lasted}")
    elif row.state == "intended":
        show.line(f"Ledger asked for {_local(row.intended_ms)}, not answered yet")
    else:
        show.line(f"Ledger live since {_local(row.created_ms)}")
    if row.deadline_ms is not None and row.state != "ended":
        show.line(f"Guard  ends it at {_local(row.deadline_ms)} in any case")


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


def _local(ms: int | None) -> str:
    return "" if ms is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(ms / 1000))
