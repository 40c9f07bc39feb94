"""The bill of a run beside what its provider says of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import anyio

from captiv.core.bill import PodBill
from captiv.core.pods import PodState
from captiv.errors import ProviderError
from captiv.rental.provider import Provider

WITHIN_S = 4.0


async def confirmed(
    provider: Provider, drawn: Sequence[PodBill], *, within_s: float = WITHIN_S
) -> list[PodBill]:
    """Return the bill with what the provider says: which pods bill no more, and its own records.

    Never an error, and never later than `within_s`: what the provider does not say by then stays as
    the ledger has it.
    """
    gone: dict[str, bool] = {}
    recorded: dict[str, Decimal] = {}

    async def look(pod_id: str) -> None:
        with suppress(ProviderError):
            pod = await provider.get(pod_id)
            gone[pod_id] = pod is None or pod.state is PodState.STOPPED

    async def read() -> None:
        since_ms = {pod.pod_id: pod.created_ms for pod in drawn}
        recorded.update(await records(provider, since_ms, within_s=within_s))

    with anyio.move_on_after(within_s):
        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            for pod in drawn:
                tg.start_soon(look, pod.pod_id)
    return [
        replace(pod, gone=gone.get(pod.pod_id), recorded=recorded.get(pod.pod_id, Decimal(0)))
        for pod in drawn
    ]


async def records(
    provider: Provider, since_ms: Mapping[str, int], *, within_s: float = WITHIN_S
) -> dict[str, Decimal]:
    """Return what the provider has billed for these pods so far; nothing where it does not say.

    Never an error, and never later than `within_s`: no run or sweep ends over a bill that lags.

    Args:
        provider: who is asked, unless there are no pods.
        since_ms: when each pod was made, by its id.
        within_s: how long the answer is waited for.
    """
    if since_ms:
        with anyio.move_on_after(within_s), suppress(ProviderError):
            return await provider.billed(since_ms)
    return {}
