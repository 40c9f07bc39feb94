"""Runs the checks of a worker that is still to be had, all at once.

A check that cannot decide in its time says nothing, and so does one that breaks: then the run
begins, and finds out.
"""

import logging
from collections.abc import Iterable, Sequence

import anyio

from captiv.core.findings import Finding
from captiv.errors import CaptivError
from captiv.workers.source import Check

_log = logging.getLogger(__name__)


async def findings(checks: Iterable[Check]) -> list[Finding]:
    """Return what the checks find, in their order."""
    asked = list(checks)
    found: list[Sequence[Finding]] = [()] * len(asked)

    async def look(place: int, check: Check) -> None:
        found[place] = await _found(check)

    async with anyio.create_task_group() as tg:
        for place, check in enumerate(asked):
            tg.start_soon(look, place, check)
    return [one for several in found for one in several]


async def _found(check: Check) -> Sequence[Finding]:
    with anyio.move_on_after(check.limit_s):
        try:
            return await check.look()
        except CaptivError as error:
            return [Finding.failed(check.name, error)]
        except Exception:  # what nobody could look at is for the run to find out
            _log.warning("check broke check=%s", check.name, exc_info=True)
            return []
    _log.info("check undecided check=%s", check.name)
    return []
