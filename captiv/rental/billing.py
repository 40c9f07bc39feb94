"""The bill of a run beside what RunPod says of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import anyio

from captiv.core.bill import PodBill
from captiv.core.cost import money
from captiv.errors import ProviderError
from captiv.rental.runpod import PodStatus, RunpodApi

WITHIN_S = 4.0


async def confirmed(
    api: RunpodApi, drawn: Sequence[PodBill], *, within_s: float = WITHIN_S
) -> list[PodBill]:
    """Return the bill with what RunPod says: which pods bill no more, and its own records so far.

    Never an error, and never later than `within_s`: what RunPod does not say by then stays as the
    ledger has it.
    """
    gone: dict[str, bool] = {}
    recorded: dict[str, Decimal] = {}

    async def look(pod_id: str) -> None:
        with suppress(ProviderError):
            pod = await api.pod(pod_id)
            gone[pod_id] = pod is None or pod.status is PodStatus.EXITED

    async def read() -> None:
        recorded.update(await records(api, {pod.pod_id: pod.created_ms for pod in drawn}))

    with anyio.move_on_after(within_s):
        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            for pod in drawn:
                tg.start_soon(look, pod.pod_id)
    return [
        replace(pod, gone=gone.get(pod.pod_id), recorded=recorded.get(pod.pod_id, Decimal(0)))
        for pod in drawn
    ]


async def records(api: RunpodApi, since_ms: Mapping[str, int]) -> dict[str, Decimal]:
    """Return what RunPod has billed so far for these pods; nothing of one that it does not say.

    `since_ms` is when each pod was made, by its id. Never an error.
    """
    billed: dict[str, Decimal] = {}
    if not since_ms:
        return billed
    start = datetime.fromtimestamp(min(since_ms.values()) / 1000, UTC)
    with suppress(ProviderError):
        for record in await api.billing(since_ms.keys(), start):
            billed[record.pod_id] = billed.get(record.pod_id, Decimal(0)) + money(record.total)
    return billed
