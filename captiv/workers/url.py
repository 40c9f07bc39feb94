"""A worker that somebody else runs: `--worker URL`."""

import math
from collections.abc import Sequence

import anyio

from captiv.catalog import family_named
from captiv.core import quiet
from captiv.core.findings import Finding
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.quiet import Patience
from captiv.core.spec import Captioning
from captiv.errors import NoWorker, WorkerMismatch
from captiv.wire import Health
from captiv.workers.contact import MARGIN_S, connected, first_heard
from captiv.workers.source import Address, Check, Ended, Traits
from captiv.workers.transport import check_transport


class UrlWorker:
    """A worker known only by its URL; it is neither started nor ended here."""

    def __init__(
        self, url: str, token: str, *, insecure: bool = False, patience: Patience = quiet.DEFAULT
    ) -> None:
        check_transport(url, insecure=insecure)
        self.traits = Traits(patience=patience)
        self._address = Address(url.rstrip("/"), token)

    def checks(self, asked: Captioning | None, *, patience_s: float) -> Sequence[Check]:
        """Return what is looked at before a run: address, protocol, token, and the model if asked.

        Args:
            asked: what the worker is to caption with; None leaves that to the worker.
            patience_s: how long a worker that does not answer is waited for.
        """

        async def look() -> Sequence[Finding]:
            async with connected(self._address) as client:
                health = await first_heard(client, patience_s)
                if health.status == "failed":
                    raise NoWorker(health.reason or "The worker could not load its model.")
                if health.status != "ready":
                    return []
                await client.models()
            if asked is not None:
                _require_model(health, asked)
            serves = health.variant or health.model or "no model"
            return [Finding("worker", "ok", f"{self._address.url} is ready with {serves}")]

        return (Check("worker", look, patience_s + MARGIN_S),)

    async def start(self, on_phase: OnPhase) -> Address:
        """Return the address as it was given."""
        on_phase(Phase(Step.CONNECTING, subject=self._address.url))
        return self._address

    async def ended(self) -> Ended | None:
        """Return None: whether it comes back cannot be known from here."""
        return None

    @property
    def ends_in_s(self) -> float:
        """It is there for as long as it is wanted."""
        return math.inf

    async def tend(self) -> None:
        """Nothing has to be done for that."""
        await anyio.sleep_forever()

    async def hand_over(self) -> None:
        """It has no planned end."""

    @property
    def cut_off(self) -> bool:
        """Nobody else is asked where it is."""
        return False

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


def _require_model(health: Health, asked: Captioning) -> None:
    """Refuse a worker that has loaded another model; what the catalog does not know, it judges."""
    family = family_named(asked.model)
    if family is None or health.model is None:
        return
    other = health.variant != asked.variant and all(
        family.variant(name or "") is not None for name in (health.variant, asked.variant)
    )
    if health.model != asked.model or other:
        raise WorkerMismatch(
            f"The worker serves {health.model} ({health.variant}), not {asked.model} "
            f"{asked.variant}.",
            hint="Leave --model out to caption with what it serves, or load the other model there.",
        )
