"""The one way to block: a call that waits for a disk, a lock or a child runs on a thread.

The event loop waits for nothing itself. Unless told otherwise a call that was begun is never
abandoned: a cancellation is delivered when it has returned, so whoever offloads a commit or a
rename knows what became of it.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import CapacityLimiter, to_thread

from captiv.clock import monotonic_s
from captiv.shortage import no_thread, shortage

T = TypeVar("T")
Args = TypeVarTuple("Args")

_PAUSE_S = 0.1
_PATIENCE_S = 60.0
"""How long a call waits for a thread on a machine that lets no more be started."""


async def offload(
    call: Callable[[*Args], T],
    *args: *Args,
    limiter: CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    """Run a blocking call on a thread and return what it returns, or raise what it raises.

    Args:
        call: what blocks; keywords come by `functools.partial`.
        args: its positional arguments.
        limiter: how many of its kind may run at once; None takes the 40 threads that all share.
        abandon_on_cancel: leave the thread to itself when cancelled; for calls without a result.

    Raises:
        MachineShort: no thread could be started for a minute.
    """
    began_s = monotonic_s()
    while True:
        try:
            return await to_thread.run_sync(
                call, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel
            )
        except RuntimeError as error:
            if not no_thread(error):
                raise
            short = shortage(error)
            assert short is not None
            if monotonic_s() - began_s > _PATIENCE_S:
                raise short from error
        await anyio.sleep(_PAUSE_S)  # one of those that run is free by then
