"""The contract checks see what breaks it, and captiv's own schema stands in RunPod's file."""

from collections.abc import Iterator
from typing import Any

import pytest

from captiv.rental.runpod.pages import BillingPage, GpuPage, PodPage, RegistryPage
from captiv.rental.runpod.values import NetworkVolume, Pod, Template
from tests.contract.contract import (
    OWN,
    PUBLISHED,
    SPEC_VARIABLE,
    ContractError,
    check_request,
    check_response,
)

published = pytest.mark.skipif(PUBLISHED is None, reason=f"{SPEC_VARIABLE} names no file")

SENT = {
    "User-Agent": "captiv/1",
    "Authorization": "Bearer k",
    "Content-Type": "application/json",
}
TOLD = {"x-request-id": "r", "Content-Type": "application/json"}
PROBLEM = {"title": "Problem", "status": 400, "detail": "why"}
POD = {"name": "a", "image": "i", "gpu": {"id": "NVIDIA L4", "count": 1}, "cloud": "SECURE"}


@pytest.mark.parametrize(
    "body",
    [
        POD | {"imageName": "v1"},
        POD | {"image": 1},
        POD | {"gpu": {"id": "x", "count": 0}},
        POD | {"gpu": {"id": "x", "count": 1, "bid": 1}},
        POD | {"cloud": "ALL"},
        POD | {"args": "a", "cmd": ["b"]},
        POD | {"dataCenterIds": ["eu-ro-1"]},
        POD | {"env": {"A": 1}},
        POD | {"mounts": {"network": [{"volumeId": "v"}]}},
        POD | {"mounts": {"network": [{"volumeId": "v", "path": "/a"}] * 2}},
        POD | {"registry": ""},
        {name: value for name, value in POD.items() if name != "image"},
        {name: value for name, value in POD.items() if name != "gpu"},
    ],
)
def test_a_wrong_create_is_seen(body: dict[str, Any]) -> None:
    check_request("POST", "/v2/pods", (), SENT, POD)

    with pytest.raises(ContractError):
        check_request("POST", "/v2/pods", (), SENT, body)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers"),
    [
        ("GET", "/v1/pods", {}, SENT),
        ("PATCH", "/v2/pods/a", {}, SENT),
        ("GET", "/v2/pods", {"status": "RUNNING"}, SENT),
        ("GET", "/v2/catalog/gpus", {"include": "AVAILABILITY", "cloud": "SECURE"}, SENT),
        ("GET", "/v2/pods/a/logs", {"tail": "5001"}, SENT),
        ("GET", "/v2/pods", {}, SENT | {"User-Agent": "Python-urllib/3.11"}),
        ("GET", "/v2/pods", {}, {"User-Agent": "captiv/1"}),
    ],
)
def test_a_wrong_call_is_seen(
    method: str, path: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    with pytest.raises(ContractError):
        check_request(method, path, query, headers)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        ("GET", "/v2/pods", 200, TOLD, {"pods": [{"id": "a"}]}),
        ("GET", "/v2/pods", 200, TOLD, [{"id": "a"}]),
        ("GET", "/v2/pods", 200, {"Content-Type": "application/json"}, {"pods": []}),
        ("GET", "/v2/pods", 200, TOLD | {"Content-Type": "text/html"}, "hello"),
        ("POST", "/v2/pods", 400, TOLD, PROBLEM),
        (
            "POST",
            "/v2/pods",
            400,
            TOLD | {"Content-Type": "application/problem+json"},
            {"error": "x"},
        ),
        ("GET", "/v2/pods", 429, TOLD | {"Content-Type": "application/problem+json"}, PROBLEM),
        ("DELETE", "/v2/pods/a", 204, TOLD, {}),
        ("GET", "/v2/templates/a", 200, TOLD, {"id": "a"}),
        ("GET", "/v2/network-volumes/a", 200, TOLD, {"id": "a", "name": "b"}),
        ("GET", "/v2/registries", 200, TOLD, {"registries": [{"id": "a"}]}),
        ("GET", "/v2/pods", 403, TOLD | {"Content-Type": "text/html"}, "error code: 1010"),
        (
            "GET",
            "/v2/pods/a/logs",
            200,
            TOLD | {"Content-Type": "text/event-stream"},
            'id: 1\ndata: {"line": "a"}\n\n',
        ),
    ],
)
def test_a_wrong_answer_is_seen(
    method: str, path: str, status: int, headers: dict[str, str], body: Any
) -> None:
    with pytest.raises(ContractError):
        check_response(method, path, status, headers, body)


@pytest.mark.parametrize("status", [400, 402, 413, 503])
def test_a_problem_is_right_with_any_charset(status: int) -> None:
    kind = {"Content-Type": "application/problem+json; charset=utf-8"}

    check_response("POST", "/v2/pods", status, TOLD | kind, PROBLEM | {"status": status})


def test_a_page_of_cloudflares_is_not_held_against_runpod() -> None:
    headers = {"Server": "cloudflare", "Content-Type": "text/html"}

    check_response("POST", "/v2/pods", 403, headers, "error code: 1010")


@published
@pytest.mark.parametrize("path", [path for path in OWN.document["paths"] if path != "/graphql"])
def test_what_captiv_uses_stands_in_the_published_contract(path: str) -> None:
    found = list(_differences(path))

    assert not found, "\n".join(found)


@published
@pytest.mark.parametrize(
    ("path", "method", "status", "model"),
    [
        ("/v2/pods", "post", "201", Pod),
        ("/v2/pods", "get", "200", PodPage),
        ("/v2/pods/{id}", "get", "200", Pod),
        ("/v2/catalog/gpus", "get", "200", GpuPage),
        ("/v2/billing/pods", "get", "200", BillingPage),
        ("/v2/templates/{id}", "get", "200", Template),
        ("/v2/network-volumes/{id}", "get", "200", NetworkVolume),
        ("/v2/registries", "get", "200", RegistryPage),
    ],
)
def test_the_published_examples_are_read_and_right(
    path: str, method: str, status: str, model: Any
) -> None:
    assert PUBLISHED is not None
    reply = PUBLISHED.document["paths"][path][method]["responses"][status]
    examples = reply["content"]["application/json"]["examples"].values()

    assert examples
    for example in examples:
        called = path.replace("{id}", "a")
        check_response(method, called, int(status), TOLD, example["value"])
        assert model.model_validate(example["value"])


def _differences(path: str) -> Iterator[str]:
    """Yield what captiv's schema says of a path and the published file does not."""
    assert PUBLISHED is not None
    for method, ours in OWN.document["paths"][path].items():
        if method == "parameters":
            continue
        where = f"{method.upper()} {path}"
        _, theirs = PUBLISHED.operation(method, path)
        known = PUBLISHED.parameters(method, path)
        for name, parameter in OWN.parameters(method, path).items():
            if name not in known:
                yield f"{where}: no parameter {name}"
            elif "x-added" not in parameter and name != "Last-Event-ID":
                yield from _narrower(
                    f"{where}: {name}", parameter["schema"], known[name]["schema"], sent=True
                )
        if "requestBody" in ours:
            mine, their = _body(OWN, ours["requestBody"]), _body(PUBLISHED, theirs["requestBody"])
            yield from _narrower(where, mine, their, sent=True)
        for status, reply in ours["responses"].items():
            if status not in theirs["responses"] and status not in ("402", "413"):
                yield f"{where}: no status {status}"
            answered = theirs["responses"].get(status, theirs["responses"]["default"])
            mine, their = _body(OWN, reply), _body(PUBLISHED, answered)
            if (mine is None) != (their is None):
                yield f"{where}: a body of {status} here or there only"
            elif mine is not None:
                yield from _narrower(f"{where} {status}", mine, their, sent=False)


def _body(contract: Any, node: Any) -> Any:
    content = contract.resolve(node).get("content")
    return next(iter(content.values()))["schema"] if content else None


def _narrower(where: str, ours: Any, theirs: Any, *, sent: bool) -> Iterator[str]:
    """Yield where ours names what theirs does not know.

    What captiv sends must be a part of what RunPod takes; what captiv reads must take in all that
    RunPod may say.
    """
    if "x-added" in ours:
        return
    mine, their = _flat(OWN, ours), _flat(PUBLISHED, theirs)
    inner, outer = (mine, their) if sent else (their, mine)
    if not inner["types"] <= outer["types"]:
        yield f"{where}: {sorted(mine['types'])} here, {sorted(their['types'])} there"
    if mine["enum"] and (not their["enum"] or not inner["enum"] <= outer["enum"]):
        yield f"{where}: {sorted(mine['enum'])} here, {sorted(their['enum'])} there"
    if missing := outer["required"] - inner["required"]:
        yield f"{where}: {sorted(missing)} required on one side only"
    for name, field in mine["properties"].items():
        if "x-added" in field:
            continue
        if name not in their["properties"]:
            yield f"{where}: no field {name}"
        else:
            yield from _narrower(f"{where}.{name}", field, their["properties"][name], sent=sent)
    if mine["items"] and their["items"]:
        yield from _narrower(f"{where}[]", mine["items"], their["items"], sent=sent)


def _flat(contract: Any, node: Any) -> dict[str, Any]:
    """Return a schema with its references, parts and alternatives put together."""
    node = contract.resolve(node)
    said = node.get("type", [])
    flat: dict[str, Any] = {
        "types": set([said] if isinstance(said, str) else said),
        "enum": set(node.get("enum", [])),
        "required": set(node.get("required", [])),
        "properties": dict(node.get("properties", {})),
        "items": node.get("items"),
    }
    if "integer" in flat["types"] and "number" in flat["types"]:
        flat["types"] -= {"integer"}
    for part in node.get("allOf", []) + [p for p in node.get("anyOf", []) if "required" not in p]:
        more = _flat(contract, part)
        flat["types"] |= more["types"]
        flat["enum"] |= more["enum"]
        flat["required"] |= more["required"]
        flat["properties"] |= more["properties"]
        flat["items"] = flat["items"] or more["items"]
    return flat
