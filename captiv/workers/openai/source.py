"""A chat server that somebody runs: `--worker URL --protocol openai`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from captiv.core import quiet
from captiv.core.findings import Finding
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.quiet import Patience
from captiv.workers.contact import MARGIN_S, connected, first_heard
from captiv.workers.openai.client import OpenAiClient, base_url
from captiv.workers.openai.pace import Pace
from captiv.workers.openai.served import Wanted
from captiv.workers.source import Address, Check, Client, Ended, Traits
from captiv.workers.transport import check_transport

_PATIENCE = 0.2
"""Share of the time limit beyond which an answer says that images queue up at the server."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of the server, and how much at once."""

    wanted: Wanted
    source: str | None = None
    """The checkpoint whose prompts the server should read; None if that isn't known."""
    system: str | None = None
    most_at_once: int | None = None
    """None lets captiv find out."""
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class OpenAiAddress(Address):
    """A chat server, and what it is asked."""

    asking: Asking
    on_note: Callable[[str], None]

    def connect(self) -> Client:
        """Return a connection in OpenAI's chat protocol."""
        asking = self.asking
        return OpenAiClient(
            self.url,
            self.token or None,
            wanted=asking.wanted,
            source=asking.source,
            system=asking.system,
            pace=Pace.opening(asking.most_at_once, _PATIENCE * asking.timeout_s),
            timeout_s=asking.timeout_s,
            on_note=self.on_note,
        )


class OpenAiServer:
    """A chat server known only by its URL; it is neither started nor ended here."""

    def __init__(
        self,
        url: str,
        token: str | None,
        asking: Asking,
        *,
        insecure: bool = False,
        on_note: Callable[[str], None],
        patience: Patience = quiet.DEFAULT,
    ) -> None:
        """Args: `patience`: who hangs is noticed by `Asking.timeout_s`, image by image."""
        self.traits = Traits(patience=replace(patience, limit_s=math.inf, first_s=math.inf))
        check_transport(url, insecure=insecure)
        self._address = OpenAiAddress(url, token or "", asking, on_note)

    def checks(self, *, patience_s: float) -> Sequence[Check]:
        """Return what is looked at before a run: address, protocol, key and model.

        A server that does not answer is waited for as long as `patience_s`.
        """

        async def look() -> Sequence[Finding]:
            async with connected(self._address) as client:
                health = await first_heard(client, patience_s)
            if health.status != "ready":
                return []
            return [Finding("worker", "ok", f"{self.describe()} serves {health.model}")]

        return (Check("worker", look, patience_s + MARGIN_S),)

    async def start(self, on_phase: OnPhase) -> Address:
        """Return the address as it was given."""
        on_phase(Phase(Step.CONNECTING, subject=self.describe()))
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
        """Return True: what it costs is not known here."""
        return True

    def describe(self) -> str:
        """Name the server for a person."""
        return base_url(self._address.url)

    async def stop(self) -> None:
        """Leave it as it is."""
