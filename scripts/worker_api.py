"""The worker's API as OpenAPI 3.1: docs/openapi.json, which scripts/reference.py writes.

The values come from captiv/wire.py; paths, headers and statuses are told here. The real worker is
held against it in tests/worker/test_description.py.
"""

from typing import Any

from pydantic.json_schema import models_json_schema

from captiv import __version__, wire

_REQUESTS = (wire.CaptionRequest, wire.ModelChange, wire.GuardLimits)
_REPLIES = (
    wire.CaptionReply,
    wire.Accepted,
    wire.Health,
    wire.ModelsReply,
    wire.ModesReply,
    wire.Problem,
)
_STATUSES = {
    400: "malformed JSON or form",
    401: "the token is missing or wrong",
    404: "no such work, model or path; for the guard: there is none",
    408: "the body stood still",
    409: "another model is loaded, or none can be loaded now",
    413: "the body is too long",
    415: "neither an image nor a form",
    422: "an image or a value that cannot be processed",
    429: "no permit is free",
    431: "the header is too long",
    500: "the engine broke, or a defect",
    503: "still loading, or the model failed to load",
}
_VALUE = (400, 408, 413, 422)
_RETRIED = {409: False, 429: True, 503: True}
"""Whether the answer always says when to come back."""

_EVERYWHERE = (
    f"Besides what stands under each path, a worker answers 404 `not_found` to any other, 405 "
    f"`method_not_allowed` to any other method, and 500 `internal` after a defect, each of them as "
    f"{wire.PROBLEM_TYPE}. An answer without {wire.WORKER_HEADER} is none of a worker's."
)


def description() -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "A worker of captiv's",
            "version": __version__,
            "summary": f"Protocol {wire.PROTOCOL}; docs/wire-protocol.md tells how it is meant",
            "description": _EVERYWHERE,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas() | {"Form": _form()},
        },
    }


def _schemas() -> dict[str, Any]:
    inputs = [(model, "validation") for model in _REQUESTS]
    outputs = [(model, "serialization") for model in _REPLIES]
    _, found = models_json_schema(
        [*inputs, *outputs],  # type: ignore[list-item]
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _paths() -> dict[str, Any]:
    return {
        "/health": {
            "get": _operation(
                "How the worker is",
                {200: _reply("Health", "ready"), 503: _reply("Health", "loading or failed")},
                security=[],
                problems=(),
            )
        },
        "/api/caption": {
            "post": _operation(
                "Caption one image",
                _ended("the caption"),
                parameters=[
                    _header(wire.KEY_HEADER, {"type": "string", "pattern": "^[!-~]{1,255}$"}),
                    _header(wire.REQUEST_HEADER, {"type": "string"}, _REQUEST_HEADER),
                    _PREFER,
                ],
                body={
                    "image/*": {"schema": {}},
                    "multipart/form-data": {"schema": _ref("Form")},
                },
                problems=(401, 409, 415, 429, 431, 500, 503, *_VALUE),
            )
        },
        "/api/caption/{key}": {
            "get": _operation(
                "Ask again for the work under a key",
                _ended("the caption"),
                parameters=[_place("key"), _PREFER],
                problems=(401, 404, 422, 500),
            )
        },
        "/api/models": {
            "get": _operation(
                "What the catalog has, and what is loaded",
                {200: _reply("ModelsReply", "every family")},
            )
        },
        "/api/modes/{model}": {
            "get": _operation(
                "Modes, lengths and options of a family or variant",
                {200: _reply("ModesReply", "its modes")},
                parameters=[_place("model")],
                problems=(401, 404),
            )
        },
        "/api/model": {
            "put": _operation(
                "Load another model",
                {
                    200: _reply("Health", "it is loaded already"),
                    202: _reply("Health", "it is being loaded"),
                },
                body={"application/json": {"schema": _ref("ModelChange")}},
                problems=(401, 409, 503, *_VALUE),
            )
        },
        "/api/guard": {
            "put": _operation(
                "New limits for the guard of a pod",
                {200: _reply("GuardLimits", "the limits")},
                body={"application/json": {"schema": _ref("GuardLimits")}},
                problems=(401, 404, *_VALUE),
            )
        },
    }


_PREFER: dict[str, Any] = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": f"wait=N: seconds that the answer may take, at most {wire.MAX_WAIT_S:g}",
}
_REQUEST_HEADER = f"A CaptionRequest as ASCII JSON, at most {wire.MAX_REQUEST_HEADER_BYTES} bytes"


def _form() -> dict[str, Any]:
    text = {"type": "string"}
    plain = [name for name in wire.CaptionRequest.model_fields if name != "generation"]
    numbers = {"type": "string", "description": "a number"}
    return {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "string", "format": "binary"},
            **dict.fromkeys(plain, text),
            **dict.fromkeys(wire.Generation.model_fields, numbers),
        },
        "additionalProperties": False,
    }


def _operation(
    summary: str,
    replies: dict[int, Any],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    problems: tuple[int, ...] = (401,),
    security: list[Any] | None = None,
) -> dict[str, Any]:
    told = replies | {status: _problem(status) for status in problems}
    operation: dict[str, Any] = {"summary": summary}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    if security is not None:
        operation["security"] = security
    operation["responses"] = {str(status): told[status] for status in sorted(told)}
    return operation


def _ended(what: str) -> dict[int, Any]:
    running = _reply("Accepted", "not yet: ask at Location")
    running["headers"] |= {"Location": _told("where to ask again", required=True)}
    replies = {200: _reply("CaptionReply", what), 202: running}
    for reply in replies.values():
        reply["headers"]["Preference-Applied"] = _told("what came of Prefer", required=False)
    return replies


def _reply(schema: str, what: str) -> dict[str, Any]:
    return _response(what, "application/json", _ref(schema))


def _problem(status: int) -> dict[str, Any]:
    told = _response(_STATUSES[status], wire.PROBLEM_TYPE, _ref("Problem"))
    if status in _RETRIED:
        told["headers"]["Retry-After"] = _told("seconds", required=_RETRIED[status])
    if status == 401:
        told["headers"]["WWW-Authenticate"] = _told("Bearer", required=True)
    return told


def _response(what: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": what,
        "headers": {wire.WORKER_HEADER: _told("the boot id", required=True)},
        "content": {media_type: {"schema": schema}},
    }


def _ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _header(name: str, schema: dict[str, Any], what: str = "Names the work") -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema, "description": what}


def _told(what: str, *, required: bool) -> dict[str, Any]:
    return {"required": required, "schema": {"type": "string"}, "description": what}


def _place(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
