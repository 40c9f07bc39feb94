"""What travels between captiv and RunPod's REST API v2, typed.

Requests are checked before they leave. A reply tolerates what a later version of the service adds:
unknown fields are ignored, unknown words become `UNKNOWN`, and only that is required without which
nothing makes sense. One odd pod must not make a list unreadable, for such a list ends no pod.

Money is in US dollars, rates in dollars an hour, sizes in GB, times aware and in UTC.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

Action = Literal["start", "stop", "restart"]
LogSource = Literal["container", "system"]


class Cloud(StrEnum):
    """Whose machines: RunPod's own data centers, or those of community hosts."""

    SECURE = "SECURE"
    COMMUNITY = "COMMUNITY"


class PodStatus(StrEnum):
    """Where RunPod believes a pod to be.

    `RUNNING` shows from the moment of creation and stays through crash loops: a pod is ready when
    its worker answers, and not before.
    """

    PROVISIONING = "PROVISIONING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    """Stopped: its GPU is released, its disk may go on billing."""
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "PodStatus":
        return cls.UNKNOWN


class Stock(StrEnum):
    """How many of a GPU type the catalog believes to be free: a hint, never a reservation."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "Stock":
        return cls.UNKNOWN


def _aware(moment: datetime) -> datetime:
    """RFC 3339 always names its offset; without one, RunPod's times are UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _cloud(value: object) -> object:
    return value if value in (*Cloud, None) else None


def _none_if_empty(value: object) -> object:
    return value or None


Moment = Annotated[datetime, AfterValidator(_aware)]
CudaVersion = Annotated[str, Field(pattern=r"^\d+\.\d+$")]


class _Request(BaseModel):
    """Names in captiv's style here, in RunPod's on the wire; unknown fields are refused there."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        hide_input_in_errors=True,
    )


class Reply(BaseModel):
    """What RunPod says, read leniently."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        """Read null like an absent field: which of the two RunPod says differs by version."""
        if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if item is not None}
        return value


class GpuRequest(_Request):
    """Which GPU: one type, for the API never falls back to another."""

    id: str = Field(min_length=1)
    count: int = Field(default=1, ge=1)
    min_cuda_version: CudaVersion | None = None
    """Lowest CUDA version of the host, compared by number: 12.11 is above 12.2."""
    allowed_cuda_versions: tuple[CudaVersion, ...] = ()
    """Exact versions; excludes `min_cuda_version`."""

    @model_validator(mode="after")
    def _one_constraint(self) -> Self:
        if self.min_cuda_version and self.allowed_cuda_versions:
            raise ValueError("minCudaVersion and allowedCudaVersions exclude each other")
        return self


class NetworkMount(_Request):
    """A network volume, and where the container sees it."""

    volume_id: str = Field(min_length=1)
    path: str = Field(pattern="^/")


class Mounts(_Request):
    """What outlives the container. RunPod's volumes on a host are left out: they end with it."""

    network: tuple[NetworkMount, ...] = Field(min_length=1, max_length=1)


class CreatePod(_Request):
    """A pod to be made. What is unset is left to RunPod, or to the template.

    `entrypoint` and `cmd` replace the image's, in exec form; `args` is the command as one string
    instead of both. `env` can be read by anyone with the account's key: no secret belongs there.
    """

    name: str = Field(min_length=1, max_length=191)
    """Unique by captiv's own doing: how a pod is found again when the answer never came."""
    gpu: GpuRequest
    image: str | None = None
    template_id: str | None = None
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    ports: tuple[str, ...] = ()
    """Like `8000/http`; the API has no default."""
    disk_gb: int | None = Field(default=None, ge=1, serialization_alias="disk")
    mounts: Mounts | None = None
    registry: str | None = Field(default=None, min_length=1)
    """The id of the credentials by which the image is pulled."""
    cloud: Cloud = Cloud.SECURE
    data_center_ids: tuple[str, ...] = ()
    """In capitals. Enforced: a pod is never placed elsewhere."""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    args: str | None = None
    replaces_entrypoint: bool = Field(default=False, exclude=True)
    """Whether the image has an entrypoint of its own, to which `args` would only be added."""

    @model_validator(mode="after")
    def _one_source_one_command(self) -> Self:
        if not self.image and not self.template_id:
            raise ValueError("a pod needs an image or a template")
        if self.args and (self.entrypoint or self.cmd):
            raise ValueError("args excludes entrypoint and cmd")
        return self

    def body(self) -> dict[str, Any]:
        """Return the JSON that RunPod is sent, without what is unset."""
        whole = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        whole["gpu"] = {name: value for name, value in whole["gpu"].items() if value != []}
        return {name: value for name, value in whole.items() if value not in ([], {})}

    def with_args(self) -> "CreatePod":
        """Return the same pod for a service without `entrypoint` and `cmd`: both inside `args`.

        The shape, a JSON object in a string, is the one that RunPod documents.
        """
        command = {"entrypoint": self.entrypoint, "cmd": self.cmd}
        said = {name: list(words) for name, words in command.items() if words}
        return self.model_copy(update={"entrypoint": (), "cmd": (), "args": json.dumps(said)})


class PodGpu(Reply):
    """The GPUs that a pod has."""

    id: str = ""
    count: int = 1


class Port(Reply):
    """One mapping of a running pod's ports. RunPod lists ports of its own here: never take [0]."""

    private: int | None = None
    public: int | None = None
    type: str = ""
    ip: str | None = None


class Use(Reply):
    """How busy something is, in percent."""

    util: float = 0
    memory_util: float | None = None


class Runtime(Reply):
    """What a started container reports."""

    uptime_s: float = Field(default=0, validation_alias=AliasChoices("uptime", "uptime_s"))
    ports: tuple[Port, ...] = ()
    gpus: tuple[Use, ...] = ()
    cpu: Use | None = None
    memory: Use | None = None


class Pod(Reply):
    """A pod as RunPod describes it."""

    id: str = Field(min_length=1)
    name: str = ""
    status: PodStatus = PodStatus.UNKNOWN
    actions: tuple[str, ...] = ()
    """What may be done to it now."""
    cost_per_hour: float = Field(default=0, validation_alias=AliasChoices("cost", "cost_per_hour"))
    """What it costs now: 0 when stopped, though its disk still bills."""
    runtime: Annotated[Runtime | None, BeforeValidator(_none_if_empty)] = None
    """None until the container has started; RunPod says null or {}."""
    created_at: Moment | None = None
    """When billing began."""
    started_at: Moment | None = None
    gpu: PodGpu | None = None
    """None for a pod without a GPU."""
    cloud: Annotated[Cloud | None, BeforeValidator(_cloud)] = None
    data_center_id: str | None = None
    cuda_version: str | None = None
    """The host's; None while unknown."""
    image: str = ""
    args: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    ports: tuple[str, ...] = ()
    disk_gb: int | None = Field(default=None, validation_alias=AliasChoices("disk", "disk_gb"))
    locked: bool = False
    """Guarded against stopping by its owner."""

    @model_validator(mode="wrap")
    @classmethod
    def _without_the_unreadable(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Leave out fields of an unexpected type, as long as the pod can be told from others."""
        try:
            return handler(value)
        except ValidationError as error:
            odd = {wrong["loc"][0] for wrong in error.errors() if wrong["loc"]}
            if not isinstance(value, Mapping) or not odd or "id" in odd:
                raise
            return handler({name: item for name, item in value.items() if name not in odd})

    @property
    def gone(self) -> bool:
        """Whether it no longer exists; only such a pod costs nothing for certain."""
        return self.status is PodStatus.TERMINATED


class Template(Reply):
    """Settings of a container under a name, as far as captiv looks at them."""

    id: str = Field(min_length=1)
    name: str = ""
    args: str = ""
    """Its own start command, which captiv's replaces."""
    ports: tuple[str, ...] = ()
    serverless: bool = False
    """Not for pods."""


class NetworkVolume(Reply):
    """A volume that outlives pods."""

    id: str = Field(min_length=1)
    name: str = ""
    data_center: Annotated[str, AfterValidator(str.upper), Field(min_length=1)]
    """Where it is, for good: only pods there can have it."""


class Registry(Reply):
    """A name and a password for a registry of images, which RunPod keeps and does not tell."""

    id: str = Field(min_length=1)
    name: str = ""


@dataclass(frozen=True, slots=True)
class GpuOffer:
    """One GPU type in one cloud."""

    cloud: Cloud
    price_per_hour: float
    """List price of one GPU; a pod says itself what it really costs."""
    stock: Stock
    max_count: int
    """Most GPUs of this type in one pod."""
    cuda_versions: tuple[str, ...] = ()
    """Of machines with free capacity now; empty where the catalog does not say."""
    data_centers: Mapping[str, Stock] = field(default_factory=dict)
    """What is in stock in each place that has it now."""


@dataclass(frozen=True, slots=True)
class GpuType:
    """A type of GPU that pods can be made with, and where."""

    id: str
    name: str
    manufacturer: str
    memory_gb: int
    offers: tuple[GpuOffer, ...]

    def offer(self, cloud: Cloud) -> GpuOffer | None:
        """Return what this cloud asks for it, or None if it does not have it."""
        return next((offer for offer in self.offers if offer.cloud is cloud), None)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a pod's log."""

    text: str
    source: str
    at: datetime | None = None
    event_id: str | None = None
    """Where the stream goes on after this line."""


class BillingRecord(Reply):
    """What one pod was billed for one hour of the clock."""

    pod_id: str
    start_at: Moment = Field(validation_alias=AliasChoices("startTime", "start_at"))
    end_at: Moment = Field(validation_alias=AliasChoices("endTime", "end_at"))
    total: float = Field(validation_alias=AliasChoices("totalAmount", "total"))
    gpu: float = Field(default=0, validation_alias=AliasChoices("gpuAmount", "gpu"))
    cpu: float = Field(default=0, validation_alias=AliasChoices("cpuAmount", "cpu"))
    disk: float = Field(default=0, validation_alias=AliasChoices("diskAmount", "disk"))


class Balance(Reply):
    """The account's money, in dollars."""

    balance: float = Field(validation_alias=AliasChoices("clientBalance", "balance"))
    spend_per_hour: float = Field(
        default=0, validation_alias=AliasChoices("currentSpendPerHr", "spend_per_hour")
    )
    spend_limit: float | None = None
    """Most that the account may spend in an hour."""
