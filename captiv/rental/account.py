"""The RunPod account of a person, opened with the key of the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from captiv.errors import ConfigurationError
from captiv.rental.podspec import PORT
from captiv.rental.runpod import RunpodApi
from captiv.settings import Paths, Secret, Settings, installation_secret, worker_token
from captiv.workers import WorkerClient


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


@asynccontextmanager
async def opened(paths: Paths, settings: Settings) -> AsyncIterator[Account]:
    """Have the account open.

    Raises:
        ConfigurationError: there is no key.
    """
    key = settings.runpod.api_key
    if key is None:
        raise ConfigurationError(
            "There is no RunPod API key.",
            hint="Make one in RunPod's console, under Settings, and set it: captiv config set "
            "runpod.api_key, or RUNPOD_API_KEY.",
        )
    paths.make_data_dir()
    secret = installation_secret(paths.secret_file)
    async with RunpodApi(key.get_secret_value(), url=settings.runpod.api_url) as api:
        yield Account(api, settings, paths, secret)
