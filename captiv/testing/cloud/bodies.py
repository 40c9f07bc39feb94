"""The bodies that calls may carry, as the contract has them, and how a wrong one is answered.

The service refuses unknown fields by name (422, a sentence a violation); rules over several fields
break with 400. `entrypoint`, `cmd` and the two `min…PerGpu` came after the published contract.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

MAX_BODY_BYTES = 102_400

_LATER = ("entrypoint", "cmd")
_LATER_GPU = ("minRamPerGpu", "minVcpuCountPerGpu")

Name = Annotated[str, Field(min_length=1)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+$")]
Positive = Annotated[int, Field(ge=1)]


def _port(text: str) -> str:
    number, _, protocol = text.partition("/")
    if not number.isdecimal() or protocol not in ("http", "tcp", "udp"):
        raise ValueError("must be a port and its protocol, as in 8000/http")
    return text


Port = Annotated[str, AfterValidator(_port)]


class Violation(Exception):
    """A body that breaks the contract: 422, or 400 for a rule over several fields."""

    def __init__(self, status: int, detail: str, errors: list[str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Gpu(_Body):
    """Which GPU, and how many."""

    id: Name
    count: Positive = 1
    allowedCudaVersions: list[Version] | None = None
    minCudaVersion: Version | None = None
    minRamPerGpu: Positive | None = None
    minVcpuCountPerGpu: Positive | None = None


class Cpu(_Body):
    """Which CPU flavor."""

    id: Name
    vcpuCount: Annotated[int, Field(ge=2)]


class PersistentMount(_Body):
    """A volume on the host."""

    size: Annotated[int, Field(ge=10)]
    path: str


class NetworkMount(_Body):
    """A network volume."""

    volumeId: str
    path: str


class Mounts(_Body):
    """At most one of the two."""

    persistent: PersistentMount | None = None
    network: Annotated[list[NetworkMount], Field(max_length=1)] | None = None


class _Container(_Body):
    image: str | None = None
    args: str | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: dict[str, str] | None = None
    ports: list[Port] | None = None
    disk: Positive | None = None
    registry: str | None = None
    mounts: Mounts | None = None
    globalNetworking: bool | None = None
    templateId: Name | None = None


class CreatePod(_Container):
    """`POST /v2/pods`."""

    name: Name
    cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    gpu: Gpu | None = None
    cpu: Cpu | None = None
    dataCenterIds: list[str] | None = None
    startSsh: bool = False
    startJupyter: bool = False

    @property
    def volume(self) -> NetworkMount | None:
        """The network volume that it has, if any."""
        return next(iter((self.mounts and self.mounts.network) or ()), None)


class UpdatePod(_Container):
    """`PATCH /v2/pods/{id}`."""

    name: Name | None = None
    locked: bool | None = None


class PodAction(_Body):
    """`POST /v2/pods/{id}/action`."""

    action: Literal["start", "stop", "restart", "terminate"]


def parse(kind: type[BaseModel], body: bytes, *, exec_form: bool = True) -> dict[str, Any]:
    """Return the object in a body, held against the contract.

    Raises:
        Violation: too large, no JSON, or not as the contract says.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Violation(413, f"request body exceeds {MAX_BODY_BYTES} bytes")
    try:
        found = json.loads(body)
    except ValueError:
        raise Violation(400, "request body is not valid JSON") from None
    if not isinstance(found, dict):
        raise _invalid(["$: must be an object"])
    errors = _nulls(found, "$") + ([] if exec_form else _too_new(found))
    try:
        kind.model_validate_json(body)
    except ValidationError as error:
        errors += [_sentence(each) for each in error.errors(include_url=False)]
    if errors:
        raise _invalid(errors)
    return found


def create(
    body: bytes, templates: Mapping[str, Mapping[str, Any]], *, exec_form: bool
) -> CreatePod:
    """Return what a create asks for, with its template's settings filled in.

    Raises:
        Violation: 422, 400, 413, or 404 for an unknown template.
    """
    found = parse(CreatePod, body, exec_form=exec_form)
    template = found.get("templateId")
    if template is None and not found.get("image"):
        raise _invalid(["$: missing property 'image'"])
    if template is not None:
        if template not in templates:
            raise Violation(404, "template not found")
        settings = dict(templates[template])
        if settings.pop("serverless", False):
            raise _invalid(["$.templateId: must not be a serverless template"])
        env = {**settings.get("env", {}), **found.get("env", {})}
        found = settings | found | {"env": env}
    asked = CreatePod.model_validate_json(json.dumps(found))
    _check_rules(asked)
    return asked


def _check_rules(asked: CreatePod) -> None:
    if (asked.gpu is None) == (asked.cpu is None):
        raise Violation(400, "exactly one of gpu or cpu must be set")
    if asked.gpu and asked.gpu.allowedCudaVersions and asked.gpu.minCudaVersion:
        raise Violation(400, "gpu.allowedCudaVersions and gpu.minCudaVersion exclude each other")
    mounts = asked.mounts
    if mounts and mounts.persistent and mounts.network:
        raise Violation(400, "mounts.persistent and mounts.network exclude each other")
    if sum(port.endswith("/http") for port in asked.ports or ()) > 10:
        raise Violation(400, "at most 10 http ports may be exposed")
    if len(asked.env or {}) > 50:
        raise Violation(400, "at most 50 environment variables may be set")
    if asked.args and (asked.cmd or asked.entrypoint) and not _agree(asked):
        raise Violation(400, "args and entrypoint/cmd contradict each other")


def _agree(asked: CreatePod) -> bool:
    try:
        both = json.loads(asked.args or "")
        return bool(
            both == {"entrypoint": asked.entrypoint or [], "cmd": asked.cmd or []}
            or both == {"cmd": asked.cmd}
        )
    except ValueError:
        return not asked.entrypoint and shlex.split(asked.args or "") == asked.cmd


def _too_new(found: dict[str, Any]) -> list[str]:
    gpu = found.get("gpu")
    within = gpu if isinstance(gpu, dict) else {}
    return [
        f"$: additional properties '{name}' not allowed" for name in _LATER if name in found
    ] + [
        f"$.gpu: additional properties '{name}' not allowed"
        for name in _LATER_GPU
        if name in within
    ]


def _nulls(found: Mapping[str, Any], place: str) -> list[str]:
    errors = []
    for name, value in found.items():
        if isinstance(value, dict):
            errors += _nulls(value, f"{place}.{name}")
        elif value is None and (place, name) != ("$", "registry"):
            errors.append(f"{place}.{name}: must not be null")
    return errors


def _invalid(errors: list[str]) -> Violation:
    return Violation(422, "Request validation failed.", errors)


def _sentence(error: Any) -> str:
    *path, last = error["loc"] or ("",)
    if error["type"] == "extra_forbidden":
        return f"{_place(path)}: additional properties '{last}' not allowed"
    if error["type"] == "missing":
        return f"{_place(path)}: missing property '{last}'"
    return f"{_place([*path, last])}: {error['msg'].lower()}"


def _place(path: list[Any]) -> str:
    return "".join(["$", *(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)])
