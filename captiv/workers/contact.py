"""The first words with a worker that somebody else runs, before a run begins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from captiv.clock import monotonic_s
from captiv.errors import NoWorker, WorkerUnreachable
from captiv.offload import offload
from captiv.wire import Health
from captiv.workers.source import Address, Client

FIRST_CONTACT_S: Final = 10.0
"""How long a worker that was never heard may be silent."""
MARGIN_S: Final = 2.0
"""What an answer that comes in the last moment takes."""
_POLL_S = 0.1


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Client]:
    """Have a connection to a worker for a moment."""
    client = await offload(address.connect)
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


async def first_heard(client: Client, patience_s: float) -> Health:
    """Return what a worker says of itself, once it answers.

    Raises:
        NoWorker: it does not answer for so long.
        WorkerError: it is not a worker that can be used.
    """
    since = monotonic_s()
    while True:
        try:
            return await client.health()
        except WorkerUnreachable as error:
            if monotonic_s() - since >= patience_s:
                hint = error.hint or "Is the worker running there?"
                raise NoWorker(error.message, hint=hint) from error
        await anyio.sleep(_POLL_S)
