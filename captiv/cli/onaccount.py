"""A command at work on the RunPod account, until it is done or a signal comes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from captiv.cli.invocation import current
from captiv.errors import CaptivError
from captiv.rental.account import Account, opened
from captiv.settings import Settings
from captiv.signals import ending, received
from captiv.sources import PROVIDERS

T = TypeVar("T")


def on_account(work: Callable[[Account], Awaitable[T]], *, settings: Settings | None = None) -> T:
    """Return what `work` does with the account.

    A signal cancels it, which what must not be torn (making a pod, ending one) is shielded from;
    a second signal tears that, too.

    Raises:
        ConfigurationError: there is no key.
        KeyboardInterrupt: a signal came.
    """
    paths, settings = current().paths(), settings or current().settings()

    async def run() -> T:
        result: list[T] = []
        failed: CaptivError | None = None
        async with (
            opened(PROVIDERS["runpod"], paths, settings) as account,
            anyio.create_task_group() as tg,
        ):
            tg.start_soon(_stop_on_signal, tg.cancel_scope)
            try:
                result.append(await work(account))
            except CaptivError as error:  # as it is, in no group
                failed = error
            tg.cancel_scope.cancel()
        if failed is not None:
            raise failed
        if not result:
            raise KeyboardInterrupt
        return result[0]

    return anyio.run(run)


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    """Cancel at the first signal: asyncio's own handling of Ctrl-C goes through every shield."""
    with received(ending()) as signals:
        async for _ in signals:
            break
    scope.cancel()
