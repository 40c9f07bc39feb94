"""Writes of files that are tried again where this machine is short of something for a moment."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from captiv.errors import SidecarError
from captiv.offload import offload
from captiv.output.sidecar import Written

T = TypeVar("T")

Result = Written | SidecarError

_TIMES = 4
_PAUSE_S = 0.2


async def patiently(
    write: Callable[[Sequence[T]], Sequence[Result]], items: Sequence[T]
) -> list[Result]:
    """Write these on a thread, what fails for a passing reason a few times: one result each."""
    results = list(await offload(write, items))
    for times in range(_TIMES):
        again = [
            at
            for at, result in enumerate(results)
            if isinstance(result, SidecarError) and result.passing
        ]
        if not again:
            break
        await anyio.sleep(_PAUSE_S * 2**times)
        once_more = await offload(write, [items[at] for at in again])
        for at, result in zip(again, once_more, strict=True):
            results[at] = result
    return results
