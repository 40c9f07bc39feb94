"""A worker that somebody else runs: `--worker URL`."""

from captiv.core import quiet
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.quiet import Patience
from captiv.workers.source import Address, Ended, Traits
from captiv.workers.transport import check_transport


class UrlWorker:
    """A worker known only by its URL; it is neither started nor ended here."""

    def __init__(
        self, url: str, token: str, *, insecure: bool = False, patience: Patience = quiet.DEFAULT
    ) -> None:
        check_transport(url, insecure=insecure)
        self.traits = Traits(patience=patience)
        self._address = Address(url.rstrip("/"), token)

    async def start(self, on_phase: OnPhase) -> Address:
        """Return the address as it was given."""
        on_phase(Phase(Step.CONNECTING, subject=self._address.url))
        return self._address

    async def ended(self) -> Ended | None:
        """Return None: whether it comes back cannot be known from here."""
        return None

    async def lost(self) -> Ended | None:
        """Return None: it is not captiv's to end."""
        return None

    def affordable(self) -> bool:
        """Return True: it costs captiv nothing."""
        return True

    def describe(self) -> str:
        """Name the worker for a person."""
        return self._address.url

    async def stop(self) -> None:
        """Leave it as it is."""
