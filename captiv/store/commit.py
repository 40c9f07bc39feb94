"""Writes to the job table that wait for their turn."""

import logging
from collections.abc import Callable
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

import anyio

from captiv.errors import StoreBusy
from captiv.store.connection import Store

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_TIMES = 8
"""The store itself waits 15 s each time: two minutes in all."""
_PAUSE_S = 0.5


async def commit(
    store: Store,
    fn: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do `store.awrite`, again while another process holds the table: that ends no run.

    Raises:
        StoreError: nothing of it was kept.
    """
    for _ in range(_TIMES - 1):
        try:
            return await store.awrite(fn, *args, **kwargs)
        except StoreBusy as error:
            _log.warning("store busy reason=%s", error.message)
            await anyio.sleep(_PAUSE_S)
    return await store.awrite(fn, *args, **kwargs)
