"""Holds what travels to and from RunPod's API against its contract.

`check_request` and `check_response` take plain values, so that a client under test, a simulated
cloud and a recording are held against the same two: captiv's own schema of what it uses
(`runpod.schema.json`), and RunPod's whole published file where `CAPTIV_RUNPOD_SPEC` names it. What
RunPod documented after that file is added to it here.

Beyond both, every request says who is asking and every answer carries `x-request-id`, a 429 says
when to come back, a 204 has no body, and each event of a log is of the documented shape. A page of
Cloudflare's own (403 or 5xx, HTML or text, `Server: cloudflare`) is none of RunPod's answers.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

SPEC_VARIABLE = "CAPTIV_RUNPOD_SPEC"

Query = Mapping[str, str] | Sequence[tuple[str, str]]
Body = bytes | str | Mapping[str, Any] | Sequence[Any] | None

_PAGED = ("/v2/pods", "/v2/catalog/gpus", "/v2/billing/pods")


class ContractError(AssertionError):
    """What was sent or answered is not what the contract says."""


class Contract:
    """One OpenAPI document."""

    def __init__(self, document: dict[str, Any], name: str) -> None:
        self.document = document
        self.name = name
        self._api = OpenAPI.from_dict(
            document,
            config=Config(
                extra_media_type_deserializers={
                    "application/problem+json": lambda body, **_: json.loads(body),
                    "text/event-stream": lambda body, **_: body.decode(),
                }
            ),
        )

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        """Return the template of `path` and what the document says of `method` on it.

        Raises:
            ContractError: it says nothing.
        """
        for template, item in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                if found := item.get(method.lower()):
                    shared = item.get("parameters", [])
                    return template, found | {"parameters": shared + found.get("parameters", [])}
                break
        raise ContractError(f"{self.name} knows no {method.upper()} {path}")

    def parameters(self, method: str, path: str) -> dict[str, dict[str, Any]]:
        """Return the parameters of a call by name."""
        _, operation = self.operation(method, path)
        resolved = (self.resolve(parameter) for parameter in operation["parameters"])
        return {parameter["name"]: parameter for parameter in resolved}

    def resolve(self, node: Any) -> Any:
        """Follow references into the document."""
        while isinstance(node, dict) and "$ref" in node:
            target: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def check_request(self, request: "_Request") -> None:
        """Hold a request against this document."""
        known = self.parameters(request.method, request.path)
        unknown = [name for name in request.query if known.get(name, {}).get("in") != "query"]
        if unknown:
            raise ContractError(f"{request} has no parameter {', '.join(unknown)} in {self.name}")
        try:
            self._api.validate_request(request)
        except OpenAPIError as error:
            raise ContractError(f"{request} breaks {self.name}: {_reason(error)}") from error

    def check_response(self, request: "_Request", response: "_Response") -> None:
        """Hold the answer to a request against this document."""
        self.operation(request.method, request.path)
        try:
            self._api.validate_response(request, response)
        except OpenAPIError as error:
            raise ContractError(
                f"{response.status_code} to {request} breaks {self.name}: {_reason(error)}"
            ) from error

    def check_answer(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: Body = None
    ) -> None:
        """Hold the answer to `method` and `path`, given as plain values, against this document."""
        self.check_response(_Request(method, path, (), {}, None), _Response(status, headers, body))


def check_request(
    method: str, path: str, query: Query = (), headers: Mapping[str, str] = {}, body: Body = None
) -> None:
    """Hold a request of captiv's, or of its guard, against the contract.

    `path` is that of the URL, decoded, without host and query.

    Raises:
        ContractError: it breaks the contract.
    """
    request = _Request(method, path, query, headers, body)
    if not request.headers.get("User-Agent", "").startswith("captiv"):
        raise ContractError(f"{request} does not say in User-Agent that captiv asks")
    for contract in _contracts(path):
        contract.check_request(request)


def check_response(
    method: str, path: str, status: int, headers: Mapping[str, str], body: Body = None
) -> None:
    """Hold the answer to `method` and `path` against the contract.

    Of a log that is still coming, `body` is what has come so far.

    Raises:
        ContractError: it breaks the contract.
    """
    request, response = _Request(method, path, (), {}, None), _Response(status, headers, body)
    if response.is_cloudflares:
        return
    for name in ("x-request-id", *(["Retry-After"] if status == 429 else [])):
        if name not in response.headers:
            raise ContractError(f"{status} to {request} lacks the header {name}")
    if status == 429 and not response.headers["Retry-After"].isdigit():
        raise ContractError(f"429 to {request} has no whole seconds in Retry-After")
    if status == 204 and response.data:
        raise ContractError(f"204 to {request} has a body")
    if response.content_type.startswith("text/event-stream"):
        _check_events(response.data.decode())
    for contract in _contracts(path):
        contract.check_response(request, response)


class _Request:
    """openapi-core's protocol over plain values."""

    def __init__(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], body: Body
    ) -> None:
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        self.host_url = "https://api.runpod.io"
        self.method = method.lower()
        self.path = path
        self.query = [name for name, _ in pairs]
        self.headers = Headers(list(headers.items()))
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(pairs), header=self.headers, cookie=ImmutableMultiDict()
        )
        self.body = _bytes(body) or None
        self.content_type = self.headers.get("Content-Type", "")

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


class _Response:
    """openapi-core's protocol over plain values."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Body) -> None:
        self.status_code = status
        self.headers = Headers(list(headers.items()))
        self.data = _bytes(body)
        self.content_type = self.headers.get("Content-Type", "")

    @property
    def is_cloudflares(self) -> bool:
        return (
            self.headers.get("Server", "").lower() == "cloudflare"
            and (self.status_code == 403 or self.status_code >= 500)
            and self.content_type.startswith(("text/html", "text/plain"))
        )


def _bytes(body: Body) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _check_events(text: str) -> None:
    for event in text.replace("\r\n", "\n").split("\n\n")[:-1]:
        fields = [line.partition(":")[::2] for line in event.split("\n")]
        data = "\n".join(value.removeprefix(" ") for name, value in fields if name == "data")
        if not data:
            continue
        if "id" not in dict(fields):
            raise ContractError(f"a log event has no id: {event!r}")
        try:
            value = json.loads(data)
        except ValueError as error:
            raise ContractError(f"a log event is no JSON: {data!r}") from error
        wrong = best_match(_log_event.iter_errors(value))
        if wrong is not None:
            raise ContractError(f"a log event breaks the contract: {wrong.message}")


def _reason(error: BaseException) -> str:
    """Return the innermost thing that is wrong."""
    cause = error.__cause__
    schema_errors = getattr(cause, "schema_errors", None) or getattr(error, "schema_errors", None)
    if schema_errors:
        found = best_match(iter(schema_errors))
        return f"{found.json_path}: {found.message}"
    return _reason(cause) if cause is not None else str(error)


def _with_additions(document: dict[str, Any]) -> dict[str, Any]:
    """Add what RunPod documented, or was seen to do, after the file of August 2026."""
    components = document["components"]
    words = {"type": "array", "items": {"type": "string"}}
    count = {"type": "integer", "minimum": 1}
    later: dict[str, dict[str, Any]] = {
        "CreatePodRequest": {"entrypoint": words, "cmd": words},
        "CreateGpuConfig": {"minRamPerGpu": count, "minVcpuCountPerGpu": count},
    }
    for schema, fields in later.items():
        own = components["schemas"][schema]["allOf"][-1]["properties"]
        for name, value in fields.items():
            own.setdefault(name, value)
    cursor = {"name": "cursor", "in": "query", "schema": {"type": "string"}}
    for path in _PAGED:
        known = document["paths"][path]["get"].setdefault("parameters", [])
        if not any(parameter.get("name") == "cursor" for parameter in known):
            known.append(cursor)
    # An event's id is <time>/<number> on the wire, a time in the file.
    components["parameters"]["LogLastEventID"]["schema"] = {"type": "string"}
    return document


def _contracts(path: str) -> list[Contract]:
    whole = PUBLISHED if path.startswith("/v2/") else None
    return [OWN, *([whole] if whole else [])]


def _published() -> Contract | None:
    named = os.environ.get(SPEC_VARIABLE)
    if not named:
        return None
    path = Path(named)
    return Contract(_with_additions(json.loads(path.read_text())), path.name)


_own_file = Path(__file__).with_name("runpod.schema.json")

OWN = Contract(json.loads(_own_file.read_text()), _own_file.name)
PUBLISHED = _published()
"""None where `CAPTIV_RUNPOD_SPEC` names no file."""

_log_event = Draft202012Validator(
    {"$ref": "#/components/schemas/LogEvent", "components": OWN.document["components"]},
    format_checker=Draft202012Validator.FORMAT_CHECKER,
)
