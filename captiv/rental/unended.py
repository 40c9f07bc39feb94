"""The pods that were to end and were not seen to: they may still bill, and a person is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from captiv.errors import PodMayBill


@dataclass(frozen=True, slots=True)
class Unended:
    """One pod that may still bill, and where it can be terminated."""

    provider: str
    pod_id: str
    label: str
    """The provider's name for a person."""
    console: str = ""
    """Its page for pods; empty where no account is open."""

    @property
    def message(self) -> str:
        """Say what is not known."""
        return f"captiv did not see pod {self.pod_id} end: it may still bill."

    @property
    def hint(self) -> str:
        """Say where it can be terminated."""
        by_hand = f", or in {self.label}'s console: {self.console}" if self.console else ""
        return f"Terminate it: captiv {self.provider} terminate {self.pod_id}{by_hand}"

    def error(self) -> PodMayBill:
        """Return it as what ends a command."""
        return PodMayBill(self.message, hint=self.hint)


class UnendedPods:
    """What this process knows of such pods, from its own orders and from sweeps."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], Unended] = {}

    def add(self, pods: Iterable[Unended]) -> None:
        """Remember pods that were not seen to end."""
        self._pods |= {(pod.provider, pod.pod_id): pod for pod in pods}

    def swept(self, provider: str, still_there: Iterable[Unended]) -> None:
        """Take over what a whole sweep at a provider found: it looked for every other one, too."""
        self._pods = {key: pod for key, pod in self._pods.items() if key[0] != provider}
        self.add(still_there)

    def all(self) -> tuple[Unended, ...]:
        """Return them in the order in which they were met."""
        return tuple(self._pods.values())
