"""An account at a provider, and this installation, whose pods are there: the one door to both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from captiv.core.pods import Owner
from captiv.offload import offload
from captiv.rental.carry import supplied
from captiv.rental.provider import Policy, Provider, ProviderType
from captiv.settings import Paths, Secret, Settings, installation_secret, worker_token
from captiv.workers import Address, WorkerClient


@dataclass(frozen=True, slots=True)
class Account:
    """An open account."""

    provider: Provider
    policy: Policy
    paths: Paths
    secret: Secret

    @classmethod
    def open(cls, kind: ProviderType, paths: Paths, settings: Settings) -> Self:
        """Open the account with the key of the settings; `aclose` closes it. Blocks.

        Raises:
            ConfigurationError: there is no key.
        """
        provider = kind.open(settings)
        paths.make_data_dir()
        return cls(provider, kind.policy(settings), paths, installation_secret(paths.secret_file))

    @property
    def owner(self) -> Owner:
        """Whose pods are this installation's here."""
        return Owner(self.provider.name, self.secret.id)

    def token_of(self, name: str) -> str:
        """Return the token of the worker in the pod of that name."""
        return worker_token(self.secret, name)

    def address(self, pod_id: str, name: str) -> Address:
        """Return where the worker in a pod is, and its token."""
        return Address(self.provider.url(pod_id), self.token_of(name), supplies=supplied)

    @asynccontextmanager
    async def worker(
        self, pod_id: str, name: str, *, connections: int = 2
    ) -> AsyncIterator[WorkerClient]:
        """Have a client of the worker in a pod of this installation."""
        address = self.address(pod_id, name)
        client = WorkerClient(
            address.url, address.token, connections=connections, supplies=address.supplies
        )
        try:
            yield client
        finally:
            await client.aclose()

    async def aclose(self) -> None:
        """Close every connection to the provider."""
        await self.provider.aclose()


@asynccontextmanager
async def opened(kind: ProviderType, paths: Paths, settings: Settings) -> AsyncIterator[Account]:
    """Have the account open.

    Raises:
        ConfigurationError: there is no key.
    """
    account = await offload(Account.open, kind, paths, settings)
    try:
        yield account
    finally:
        await account.aclose()
