"""RunPod's REST API v2, as far as captiv uses it, over simulated pods."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from captiv.testing.cloud import bill as billing
from captiv.testing.cloud.account import AccountApi
from captiv.testing.cloud.answers import (
    NO_BALANCE,
    NO_CAPACITY,
    Refusal,
    pod_json,
    problem,
)
from captiv.testing.cloud.bodies import CreatePod, PodAction, UpdatePod, Violation, create, parse
from captiv.testing.cloud.catalog import CLOUDS, CUDA_VERSIONS
from captiv.testing.cloud.events import LogStream
from captiv.testing.cloud.gate import Gate, operation_of
from captiv.testing.cloud.history import CONTROL, Call, Recorder
from captiv.testing.cloud.link import Link
from captiv.testing.cloud.mischief import Armed
from captiv.testing.cloud.parts import Parts
from captiv.testing.cloud.podlog import SOURCES, Source
from captiv.testing.cloud.pods import Pod

_MAX_TAIL = 5000
_MONTH = timedelta(days=30)

Handler = Callable[[Request], Awaitable[Response]]


def create_app(parts: Parts, control: list[BaseRoute]) -> ASGIApp:
    """Return the API over these parts, and the simulator's own control routes under `/_sim`."""
    gate = Gate(parts.conditions, parts.pods, parts.mischief, parts.clock)
    api, account = _Api(parts), AccountApi(parts.conditions)

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, _behind(gate, parts.link, handler), methods=[method])

    app = Starlette(
        routes=[
            Mount(CONTROL, routes=control),
            route("/v2/pods", "GET", api.list_pods),
            route("/v2/pods", "POST", api.create_pod),
            route("/v2/pods/{id}", "GET", api.get_pod),
            route("/v2/pods/{id}", "PATCH", api.update_pod),
            route("/v2/pods/{id}", "DELETE", api.delete_pod),
            route("/v2/pods/{id}/action", "POST", api.act_on_pod),
            route("/v2/pods/{id}/logs", "GET", api.pod_logs),
            route("/v2/templates", "GET", account.list_templates),
            route("/v2/templates/{id}", "GET", account.get_template),
            route("/v2/network-volumes/{id}", "GET", account.get_network_volume),
            route("/v2/registries", "GET", account.list_registries),
            route("/v2/catalog/gpus", "GET", api.list_gpus),
            route("/v2/catalog/datacenters", "GET", api.list_data_centers),
            route("/v2/billing/pods", "GET", api.pod_billing),
            route("/graphql", "POST", api.graphql),
        ],
        exception_handlers={HTTPException: _not_routed},
    )
    return Recorder(app, parts.history, parts.clock)


def _behind(gate: Gate, link: Link, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        call: Call = request.scope["call"]
        await link.travel()
        call.operation = operation_of(getattr(handler, "__name__", ""), call.body)
        known = False
        try:
            blocked = gate.check(call, request.headers, request.path_params.get("id"))
            if blocked is not None:
                return blocked
            known = True
            response = await handler(request)
        except Refusal as refusal:
            response = problem(refusal)
            known = known or call.caller != "nobody"
        except Violation as wrong:
            response = problem(Refusal(wrong.status, wrong.detail, errors=wrong.errors))
        if known:
            response.headers.update(gate.quota())
        await link.travel()
        return response

    return answer


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/v1/"):
        return problem(Refusal(410, "REST v1 has been shut down; use https://api.runpod.io/v2"))
    detail = "resource not found"
    if error.status_code == 405:
        detail = "The requested method is not allowed for this path."
    headers = dict(error.headers) if error.headers else None
    return problem(Refusal(error.status_code, detail, headers=headers))


class _Api:
    """One method an operation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list_pods(self, request: Request) -> Response:
        """`GET /v2/pods`."""
        now = self._parts.clock()
        vanished = self._parts.mischief.take_all("vanished_from_list")
        kept_s = self._parts.conditions.ended_listed_s
        shown = [pod for pod in self._parts.pods.all() if _listed(pod, now, vanished, kept_s)]
        rows = [pod_json(pod, now, "RUNNING" if pod.terminated else None) for pod in shown]
        return JSONResponse(self._paged(request, "pods", rows))

    async def create_pod(self, request: Request) -> Response:
        """`POST /v2/pods`."""
        parts, call = self._parts, _call(request)
        asked = create(call.body, parts.conditions.templates, exec_form=parts.conditions.exec_form)
        if asked.registry is not None and asked.registry not in parts.conditions.registries:
            raise Refusal(404, "registry not found")
        price, place = self._place(asked)
        if parts.balance() < price:
            raise Refusal(402, NO_BALANCE)
        pod = parts.pods.create(asked, price, place)
        await self._lose_answer("created_then_timed_out", call, pod)
        return JSONResponse(pod_json(pod, parts.clock()) | _mispriced(pod, price), 201)

    async def get_pod(self, request: Request) -> Response:
        """`GET /v2/pods/{id}`."""
        shows = self._parts.conditions.shows_terminated
        return self._answer(self._pod(request, terminated=shows))

    async def update_pod(self, request: Request) -> Response:
        """`PATCH /v2/pods/{id}`: a change of the container replaces it."""
        pod = self._pod(request)
        changes = parse(UpdatePod, _call(request).body, exec_form=self._parts.conditions.exec_form)
        pod.locked = changes.pop("locked", pod.locked)
        asked = pod.asked.model_dump(exclude_none=True) | changes
        pod.asked = CreatePod.model_validate_json(json.dumps(asked))
        if changes.keys() - {"name"} and pod.status == "RUNNING":
            self._parts.pods.restart(pod)
        return self._answer(pod)

    async def delete_pod(self, request: Request) -> Response:
        """`DELETE /v2/pods/{id}`."""
        return await self._terminate(self._pod(request), _call(request))

    async def act_on_pod(self, request: Request) -> Response:
        """`POST /v2/pods/{id}/action`."""
        pod, call, pods = self._pod(request), _call(request), self._parts.pods
        action = parse(PodAction, call.body)["action"]
        if action not in pod.actions:
            raise Refusal(409, f"action {action} is not valid for status {pod.status}")
        if pod.locked and action in ("stop", "restart"):
            raise Refusal(409, "pod is locked")
        if action == "terminate":
            return await self._terminate(pod, call)
        {"start": pods.start, "stop": pods.stop, "restart": pods.restart}[action](pod)
        return self._answer(pod)

    async def pod_logs(self, request: Request) -> Response:
        """`GET /v2/pods/{id}/logs`: server-sent events until the pod is gone."""
        pod, source = self._pod(request), _source(request)
        after = _log_start(pod, request, source)
        return LogStream(pod.log, after, source, self._parts.closing)

    async def list_gpus(self, request: Request) -> Response:
        """`GET /v2/catalog/gpus`."""
        query = request.query_params
        if query.get("include", "AVAILABILITY") != "AVAILABILITY":
            raise Refusal(400, "include must be AVAILABILITY")
        if ("include" in query) != ("product" in query):
            raise Refusal(400, "product and include=AVAILABILITY require each other")
        narrowing = {"count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion"}
        if "include" not in query and narrowing & query.keys():
            raise Refusal(400, "filters of availability require include=AVAILABILITY")
        cloud = next((each for each in CLOUDS if each == query.get("cloud", "SECURE")), None)
        if cloud is None:
            raise Refusal(400, "cloud must be SECURE or COMMUNITY")
        gpus = self._parts.catalog.gpus(cloud if "include" in query else None)
        return JSONResponse(self._paged(request, "gpus", gpus))

    async def list_data_centers(self, request: Request) -> Response:
        """`GET /v2/catalog/datacenters`."""
        query = request.query_params
        regions = set(filter(None, query.get("regions", "").split(",")))
        with_gpus = "GPU_AVAILABILITY" in query.get("include", "").split(",")
        places = self._parts.catalog.data_centers(with_gpus=with_gpus, regions=regions)
        return JSONResponse({"dataCenters": places})

    async def pod_billing(self, request: Request) -> Response:
        """`GET /v2/billing/pods`."""
        query, parts = request.query_params, self._parts
        size, pod = query.get("bucketSize", "day"), query.get("podId")
        if size not in billing.BUCKETS:
            raise Refusal(400, f"bucketSize must be one of {', '.join(billing.BUCKETS)}")
        start, end = _window(query, size, parts.clock())
        rows = parts.bill.records(start, end, size, pod, parts.conditions.billing_lag_s)
        resolved = {"startTime": billing.rfc3339(start), "endTime": billing.rfc3339(end)}
        metadata = {
            "query": {**resolved, "bucketSize": size, "podId": pod},
            "recordCount": len(rows),
            "uniquePodCount": len({row["podId"] for row in rows}),
            "totals": billing.totals(rows),
        }
        return JSONResponse(self._paged(request, "records", rows) | {"metadata": metadata})

    async def graphql(self, request: Request) -> Response:
        """`POST /graphql`: the balance, and errors with status 200 as RunPod has them."""
        try:
            query = str(json.loads(_call(request).body)["query"])
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"errors": [{"message": "Must provide query string."}]}, 400)
        if "myself" not in query:
            return JSONResponse({"errors": [{"message": "Something went wrong."}]})
        alive = [pod for pod in self._parts.pods.all() if pod.exposed]
        myself = {
            "id": "user_simulated",
            "email": "nobody@example.com",
            "clientBalance": float(round(self._parts.balance(), 6)),
            "currentSpendPerHr": float(sum((pod.price for pod in alive), start=Decimal(0))),
            "spendLimit": 80,
        }
        return JSONResponse({"data": {"myself": myself}})

    def _answer(self, pod: Pod) -> Response:
        return JSONResponse(pod_json(pod, self._parts.clock()))

    def _pod(self, request: Request, *, terminated: bool = False) -> Pod:
        pod = self._parts.pods.find(request.path_params["id"])
        if pod is None or (pod.terminated and not terminated):
            raise Refusal(404, "resource not found")
        return pod

    def _paged(self, request: Request, key: str, rows: list[Any]) -> dict[str, Any]:
        """Return a list, or the page of it that is asked for."""
        start, size = 0, self._parts.conditions.page_size
        if cursor := request.query_params.get("cursor"):
            start, size = _position(cursor)
        elif armed := self._parts.mischief.take("paging", call=_call(request).operation):
            size = int(armed.options["size"])
        if size is None:
            return {key: rows}
        more = start + size < len(rows)
        following = _cursor(start + size, size) if more else ""
        pagination = {"hasNextPage": more, "nextCursor": following}
        return {key: rows[start : start + size], "pagination": pagination}

    def _place(self, asked: CreatePod) -> tuple[Decimal, str]:
        """Return what a pod costs an hour and where it goes."""
        catalog, beside = self._parts.catalog, self._beside(asked)
        if asked.gpu is None:
            return Decimal("0.06"), beside or "EU-RO-1"
        gpu = catalog.find(asked.gpu.id)
        if gpu is None:
            raise Refusal(400, f"gpu type {asked.gpu.id!r} does not exist")
        price = gpu.price(asked.cloud)
        wanted = asked.dataCenterIds
        places = [
            place.id
            for place in catalog.places(gpu.id)
            if (not wanted or place.id in wanted) and beside in (None, place.id)
        ]
        newest = tuple(map(int, CUDA_VERSIONS[-1].split(".")))
        least = tuple(map(int, (asked.gpu.minCudaVersion or "0.0").split(".")))
        matching = set(asked.gpu.allowedCudaVersions or CUDA_VERSIONS) & set(CUDA_VERSIONS)
        sold_out = catalog.stock(gpu.id, asked.cloud) == "NONE"
        if price is None or sold_out or not places or least > newest or not matching:
            raise Refusal(400, NO_CAPACITY)
        return price * asked.gpu.count, places[0]

    def _beside(self, asked: CreatePod) -> str | None:
        """Return the data center of the volume that a pod has: in no other one it can have it."""
        if asked.volume is None:
            return None
        found = self._parts.conditions.volumes.get(asked.volume.volumeId)
        if found is None:
            raise Refusal(404, "network volume not found")
        if asked.cloud != "SECURE":
            raise Refusal(400, NO_CAPACITY)
        return found

    async def _terminate(self, pod: Pod, call: Call) -> Response:
        self._parts.pods.order_end(pod)
        await self._lose_answer("terminated_then_timed_out", call, pod)
        return Response(status_code=204)

    async def _lose_answer(self, name: str, call: Call, pod: Pod) -> None:
        """Answer wrongly, or never, though what was asked for has been done."""
        armed = self._parts.mischief.take(name, pod=pod.id, call=call.operation)
        if armed is None:
            return
        call.mischief = name
        if armed.options["status"] is None:
            await self._parts.closing.wait()
        raise Refusal(armed.options["status"] or 504, "upstream timed out")


def _call(request: Request) -> Call:
    call = request.scope["call"]
    assert isinstance(call, Call)
    return call


def _listed(pod: Pod, now: float, vanished: list[Armed], kept_s: float) -> bool:
    late = pod.traits.get("late_in_list")
    if late and now < pod.created_at + late.options["seconds"]:
        return False
    if pod.ended_at is not None and now >= pod.ended_at + kept_s:
        return False
    return all(armed.pod not in (None, pod.id) for armed in vanished)


def _mispriced(pod: Pod, offered: Decimal) -> dict[str, float]:
    """Return what the answer to create says of the price, where that is not the pod's own."""
    if "cost_unsaid" in pod.traits:
        return {"cost": 0.0}
    return {"cost": float(offered)} if "price_moves" in pod.traits else {}


def _cursor(start: int, size: int) -> str:
    return base64.urlsafe_b64encode(f"{start}:{size}".encode()).decode()


def _position(cursor: str) -> tuple[int, int]:
    try:
        start, size = base64.urlsafe_b64decode(cursor).decode().split(":")
        return int(start), int(size)
    except (ValueError, binascii.Error):
        raise Refusal(400, "invalid cursor") from None


def _source(request: Request) -> Source | None:
    asked = request.query_params.get("source")
    for source in SOURCES:
        if asked == source:
            return source
    if asked is not None:
        raise Refusal(400, "source must be container or system")
    return None


def _log_start(pod: Pod, request: Request, source: Source | None) -> int:
    """Return the number after which the log is wanted: `Last-Event-ID`, else `since`, else `tail`.

    Raises:
        Refusal: 400, one of them cannot be read.
    """
    query = request.query_params
    last = request.headers.get("last-event-id")
    try:
        if last:
            moment, _, number = last.partition("/")
            return int(number) if number else pod.log.after_time(_moment(moment))
        if "since" in query:
            return pod.log.after_time(_moment(query["since"]))
        tail = int(query.get("tail", "100"))
    except ValueError:
        raise Refusal(400, "invalid log position") from None
    if not 0 <= tail <= _MAX_TAIL:
        raise Refusal(400, f"tail must be between 0 and {_MAX_TAIL}")
    return pod.log.after_tail(tail, source)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("RFC 3339 has a zone")
    return found


def _window(query: QueryParams, size: str, now: float) -> tuple[float, float]:
    """Return the billing window asked for, at the bounds of its buckets.

    Raises:
        Refusal: 400, it cannot be read.
    """
    try:
        if "lastN" in query:
            current = billing.floor(datetime.fromtimestamp(now, UTC), size)
            first = billing.step(current, size, 1 - int(query["lastN"]))
            return first.timestamp(), billing.step(current, size).timestamp()
        end = _moment(query["endTime"]) if "endTime" in query else datetime.fromtimestamp(now, UTC)
        start = _moment(query["startTime"]) if "startTime" in query else end - _MONTH
    except ValueError:
        raise Refusal(400, "invalid billing window") from None
    first, last = billing.floor(start, size), billing.floor(end, size)
    last = last if last == end else billing.step(last, size)
    return first.timestamp(), last.timestamp()
