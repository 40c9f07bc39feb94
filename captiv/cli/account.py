"""The RunPod account as commands use it, opened with the key of the settings."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio

from captiv.cli.invocation import current
from captiv.dispatch.terms import PORT
from captiv.errors import CaptivError, ConfigurationError
from captiv.runpod import RunpodApi
from captiv.settings import Paths, Secret, Settings, installation_secret, worker_token
from captiv.workers import WorkerClient

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


@dataclass(frozen=True, slots=True)
class Account:
    """An open account, and this installation, whose pods are there."""

    api: RunpodApi
    settings: Settings
    paths: Paths
    secret: Secret

    def url(self, pod_id: str) -> str:
        """Return the public address of a pod's worker."""
        return self.settings.runpod.proxy_url.format(pod=pod_id, port=PORT)

    @asynccontextmanager
    async def worker(self, pod_id: str, name: str) -> AsyncIterator[WorkerClient]:
        """Have a client of the worker in a pod of this installation."""
        client = WorkerClient(self.url(pod_id), worker_token(self.secret, name), connections=2)
        try:
            yield client
        finally:
            await client.aclose()


def on_account(work: Callable[[Account], Awaitable[T]], *, settings: Settings | None = None) -> T:
    """Return what `work` does with the account.

    A signal cancels it, which what must not be torn (making a pod, ending one) is shielded from;
    a second signal tears that, too.

    Raises:
        ConfigurationError: there is no key.
        KeyboardInterrupt: a signal came.
    """
    paths, settings = current().paths(), settings or current().settings()
    key = settings.runpod.api_key
    if key is None:
        raise ConfigurationError(
            "There is no RunPod API key.",
            hint="Make one in RunPod's console, under Settings, and set it: captiv config set "
            "runpod.api_key, or RUNPOD_API_KEY.",
        )
    paths.make_data_dir()
    secret = installation_secret(paths.secret_file)

    async def run() -> T:
        result: list[T] = []
        failed: CaptivError | None = None
        api = RunpodApi(key.get_secret_value(), url=settings.runpod.api_url)
        async with api, anyio.create_task_group() as tg:
            tg.start_soon(_stop_on_signal, tg.cancel_scope)
            try:
                result.append(await work(Account(api, settings, paths, secret)))
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
    watched = [n for n in _ENDING if signal.getsignal(n) is not signal.SIG_IGN]
    with anyio.open_signal_receiver(*watched) as received:
        async for _ in received:
            break
    scope.cancel()
