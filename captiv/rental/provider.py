"""The seam to whoever rents out GPUs: one protocol, over values that belong to no cloud.

A provider is a folder beside `runpod/` that turns these calls into its own API. The rest of
`rental` rents, watches and ends pods through the protocol alone, and asks `traits` for what a
provider may lack. `docs/new-cloud.md` says what a new one has to write.

Money is in US dollars, prices are dollars an hour, times are integer milliseconds since 1970 by
this machine's clock, which may be wrong: a provider's times are told by it, too, and
`clock_ahead_ms` says what to add for a pod, whose clock is the provider's.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from captiv.core.fleet import Offer, Wish
from captiv.core.pods import Guarded, PodState
from captiv.settings import Settings

__all__ = [
    "Balance",
    "EndingCall",
    "LogLine",
    "LogSource",
    "Offer",
    "Pod",
    "PodSpec",
    "PodState",
    "Policy",
    "Provider",
    "ProviderTraits",
    "ProviderType",
    "Right",
    "ending_as_json",
]

LogSource = Literal["container", "system"]
"""Who wrote a line of a pod's log: what runs in it, or its host."""


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    """What a provider has and another may not have."""

    names: bool = True
    """Whether the list of pods tells the names under which they were asked for. Without them a pod
    whose answer never came cannot be found: only its guard ends it."""
    stops: bool = True
    """Whether a pod can be stopped and started again."""
    logs: bool = True
    """Whether a pod's log can be read."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as its provider describes it."""

    id: str
    name: str = ""
    """As it was asked for; empty where the provider does not tell."""
    state: PodState = PodState.UNKNOWN
    said: str = ""
    """The provider's own word for its state."""
    price_usd_h: Decimal = Decimal(0)
    """What it costs now; 0 where the provider does not say."""
    created_ms: int | None = None
    """When its bill began."""
    started: bool = False
    """Whether its container is reported to run."""
    gpu: str | None = None
    cloud: str = ""
    """Which of the provider's pools of hosts; empty where there is one."""
    startable: bool = False
    """Whether it can be started now."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod to be made: captiv's worker on one GPU of an offer, reachable at one port."""

    name: str
    """Used once: how a pod is found again when the answer never came."""
    offer: Offer
    arguments: tuple[str, ...]
    """The worker's own command line."""
    env: Mapping[str, str] = field(repr=False)
    """Environment of the container. The provider shows it: no secret belongs there."""
    port: int
    extras: tuple[str, ...] = ("local",)
    """The extras of captiv that the model needs."""
    image: str | None = None
    """A container image instead of the one that the provider's settings choose."""
    disk_gb: int | None = None
    """A container disk instead of the one that the provider's settings choose."""
    model_bytes: int | None = None
    """What the pod downloads of its model; None where that is not known."""


@dataclass(frozen=True, slots=True)
class EndingCall:
    """An HTTP call by which the guard ends its own pod.

    `${NAME}` in URL, header and body stands for a variable of the pod's environment. A variable
    that a header names is a secret: the worker is started without it.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None = None
    last_resort: bool = False
    """Whether it only makes the pod cheaper: it is made where no call before it was accepted, and
    where the pod lives on although one was."""


def ending_as_json(calls: Sequence[EndingCall]) -> str:
    """Return the calls as a pod's environment tells them to its guard (`CAPTIV_GUARD_ENDING`)."""
    said = [
        {name: value for name, value in asdict(call).items() if value not in (None, False)}
        for call in calls
    ]
    return json.dumps(said, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a pod's log."""

    text: str
    source: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The account's money."""

    usd: Decimal
    spending_usd_h: Decimal = Decimal(0)
    """What its pods cost together now."""


@dataclass(frozen=True, slots=True)
class Right:
    """Something that captiv has to be allowed to do."""

    what: str
    """For a person: `list pods`."""
    missing: str | None = None
    """Why the key may not; None if it may."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a person allows in renting from one provider."""

    wish: Wish
    startup_timeout_s: float
    """How long a pod may take to be ready."""
    guarded: Guarded
    """How long a pod lives by its guard when nobody speaks to it."""
    lost_after_s: float
    """How long a pod may be silent."""
    request_timeout_s: float
    """How long a pod may answer and give no caption."""
    create: bool = True
    """Whether a pod may be rented where none can be used again."""
    lingers: bool = False
    """Whether a run's pod is left to its guard when the run ends."""
    carries: bool = False
    """Whether captiv brings its worker into pods whose image nobody names."""
    installs: bool = False
    """Whether pip installs captiv when a pod starts."""
    public: bool = False
    """Whether captiv chooses the image, too, by what drives the model."""
    volume: str | None = None
    """Where what a pod downloads of a model is there for the next pod; None if nowhere."""


class Provider(Protocol):
    """An account at one provider. Every call may raise `ProviderError`."""

    @property
    def name(self) -> str:
        """Its name in the ledger, in pods' names, in settings and on the command line."""
        ...

    @property
    def label(self) -> str:
        """Its name for a person."""
        ...

    @property
    def console(self) -> str:
        """Where a person sees and ends pods without captiv."""
        ...

    @property
    def traits(self) -> ProviderTraits:
        """What it has that another provider may lack."""
        ...

    @property
    def clock_ahead_ms(self) -> int:
        """By how much its clock is ahead of this machine's, which may be wrong; 0 if unheard."""
        ...

    def url(self, pod_id: str) -> str:
        """Return the public address of the worker in a pod."""
        ...

    def ending(self) -> Sequence[EndingCall]:
        """Return the calls that end a pod from inside, first to last."""
        ...

    async def verify(self, extras: tuple[str, ...], image: str | None) -> None:
        """Look whether what a pod is to run can be had, before anything is rented.

        Args:
            extras: as `PodSpec.extras`.
            image: as `PodSpec.image`.

        Raises:
            ConfigurationError: it cannot.
        """
        ...

    async def offers(self) -> list[Offer]:
        """Return what is on offer now."""
        ...

    async def list(self) -> list[Pod]:
        """Return every pod of the account that has not ended; whole, or an error."""
        ...

    async def get(self, pod_id: str) -> Pod | None:
        """Return a pod, or None if it has ended."""
        ...

    async def create(self, spec: PodSpec) -> Pod:
        """Make a pod, which bills from now on. Sent once: it is not idempotent.

        Raises:
            NoCapacity: this offer cannot be had now.
            AccessDenied: the account may not use these hosts; others may do.
            PodMayExist: whether the pod exists is unknown.
        """
        ...

    async def start(self, pod_id: str) -> Pod:
        """Start a stopped pod and return it.

        Raises:
            PodConflict: its state does not allow it.
            ProviderRejected: this provider has no such call.
        """
        ...

    async def stop(self, pod_id: str) -> Pod:
        """Give back a pod's GPU and keep its disk; raises as `start`."""
        ...

    async def terminate(self, pod_id: str) -> None:
        """Order a pod's end; return also if it had ended already."""
        ...

    def logs(
        self, pod_id: str, source: LogSource | None, *, tail: int, follow: bool = False
    ) -> AsyncGenerator[LogLine]:
        """Yield a pod's last `tail` lines, then with `follow` until it has ended.

        Without a source, those of the container and of its host. Leave it early only by closing it
        (`contextlib.aclosing`).

        Raises:
            ProviderRejected: this provider keeps no logs.
        """
        ...

    async def balance(self) -> Balance | None:
        """Return the account's money, or None if it cannot be had; never an error."""
        ...

    async def billed(self, since_ms: Mapping[str, int]) -> dict[str, Decimal]:
        """Return the dollars in the provider's own records, by the pod's id, as far as they are.

        Args:
            since_ms: when each pod was made, by its id; of one pod at least.
        """
        ...

    async def rights(self) -> Sequence[Right]:
        """Try what captiv has to be allowed to do, and tell what the key may not."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A provider that captiv can rent from, before an account of it is opened."""

    name: str
    label: str
    key_setting: str
    """The setting that holds the account's key."""
    has_key: Callable[[Settings], bool]
    open: Callable[[Settings], Provider]
    """Raises `ConfigurationError` where there is no key."""
    policy: Callable[[Settings], Policy]
