"""RunPod's public proxy: the way to a pod's http ports, for anybody who knows the pod's id.

`/{pod}/{port}/…` reaches what listens in the pod. 404 without a body: no such pod, it is stopped or
gone, or the port is not exposed. 502: nothing listens, or what listened died before it answered.
524: it has not begun to answer, or not gone on, within the limit; it may still be at work.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from anyio.abc import TaskGroup
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from captiv.testing.cloud.answers import cloudflare
from captiv.testing.cloud.parts import Parts
from captiv.testing.cloud.pods import Pod

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_CUT = 0
"""Instead of a status: the connection is cut in the middle of the answer."""

Headers = list[tuple[bytes, bytes]]


class Proxy:
    """The proxy of all pods."""

    def __init__(self, parts: Parts, client: httpx2.AsyncClient) -> None:
        self._parts = parts
        self._client = client
        self._dark_until: dict[str, float] = {}
        """Until when pods that are ready are not to be had yet, by their ids."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        if scope["type"] != "http":
            return
        link = self._parts.link
        body = _Body(receive, link.up.carry)
        await link.up.carry(_size(scope["headers"]))
        await link.travel()
        pod, url = self._route(scope)
        status = await self._misbehave(pod)
        if not _has_body(scope["headers"]):
            await body.drain()
        if status is not None or pod is None:
            await body.drain()
            await link.travel()
            await _refuse(404 if status is None else status, scope, receive, send)
            return
        headers = [(k, v) for k, v in scope["headers"] if k not in _HOP_BY_HOP]
        request = httpx2.Request(
            scope["method"],
            url,
            headers=headers,
            content=body.chunks() if _has_body(scope["headers"]) else None,
            extensions={"timeout": self._timeout()},
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(body.cancel_when_left, tasks)
            if scope["method"] == "POST":
                tasks.start_soon(self._tell, body, pod)
            status = await self._forward(request, scope, receive, send)
            if status == 200 and request.url.path == "/health":
                self._lag(pod)
            tasks.cancel_scope.cancel()

    def _lag(self, pod: Pod) -> None:
        """The pod has said that it is ready: have it be away for a while, if that is armed."""
        lags = self._parts.mischief.take("edge_lags", pod=pod.id)
        if lags is not None:
            self._dark_until[pod.id] = anyio.current_time() + lags.options["seconds"]

    async def _forward(
        self, request: httpx2.Request, scope: Scope, receive: Receive, send: Send
    ) -> int | None:
        link = self._parts.link
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TimeoutException:
            await _refuse(524, scope, receive, send)
            return 524
        except httpx2.HTTPError:
            await link.travel()
            await _refuse(502, scope, receive, send)
            return 502
        try:
            headers = [(k.lower(), v) for k, v in response.headers.raw]
            headers = [(k, v) for k, v in headers if k not in _HOP_BY_HOP]
            await link.travel()
            await link.down.carry(_size(headers))
            await send(_start(response.status_code, headers))
            async for chunk in response.aiter_raw():
                await link.down.carry(len(chunk))
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return response.status_code
        except httpx2.HTTPError:
            return None  # an answer that was begun can only be cut
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def _route(self, scope: Scope) -> tuple[Pod | None, str]:
        """Return the pod that the path names, and where its port is on this machine."""
        path = scope["raw_path"].decode("ascii").split("/", 3)
        _, pod_id, port, rest = path + [""] * (4 - len(path))
        pod = self._parts.pods.find(pod_id)
        if pod is None or not pod.exposed or f"{port}/http" not in pod.declared:
            return None, ""
        local = pod.ports.get(int(port), 1)  # nobody listens on port 1
        query = scope["query_string"].decode("ascii")
        return pod, f"http://127.0.0.1:{local}/{rest}{'?' if query else ''}{query}"

    async def _misbehave(self, pod: Pod | None) -> int | None:
        """Hold the request up, or return the status to answer instead of the pod."""
        pod_id = None if pod is None else pod.id
        slow = self._parts.mischief.take("proxy_slow", pod=pod_id)
        if slow is not None:
            await anyio.sleep(slow.options["delay_s"])
        if anyio.current_time() < self._dark_until.get(pod_id or "", 0.0):
            return 404
        down = self._parts.mischief.take("proxy_down", pod=pod_id)
        return None if down is None else int(down.options["status"])

    async def _tell(self, body: "_Body", pod: Pod) -> None:
        await body.whole.wait()
        self._parts.pods.captioned(pod)

    def _timeout(self) -> dict[str, Any]:
        limit_s = self._parts.conditions.proxy_limit_s
        return httpx2.Timeout(limit_s, connect=5.0, pool=None).as_dict()


class _Body:
    """The request's body on its way to the pod."""

    def __init__(self, receive: Receive, carry: Any) -> None:
        self._receive = receive
        self._carry = carry
        self.whole = anyio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise httpx2.WriteError("the client left")
            chunk = message.get("body", b"")
            await self._carry(len(chunk))
            if chunk:
                yield chunk
            more = message.get("more_body", False)
        self.whole.set()

    async def drain(self) -> None:
        """Read what nobody wants, as a server does before it answers."""
        while not self.whole.is_set():
            if not (await self._receive()).get("more_body", False):
                self.whole.set()

    async def cancel_when_left(self, tasks: TaskGroup) -> None:
        """Give up the pod's answer when nobody waits for it any more."""
        await self.whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def proxying(parts: Parts) -> AsyncIterator[Proxy]:
    """Hold the connections to the pods."""
    transport = await anyio.to_thread.run_sync(_transport)  # its imports read files
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
        yield Proxy(parts, client)


def _transport() -> httpx2.AsyncHTTPTransport:
    return httpx2.AsyncHTTPTransport(
        verify=False, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64)
    )


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    if status == _CUT:
        await send(_start(200, [(b"content-length", b"1000")]))
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        return
    response = Response(status_code=404) if status == 404 else cloudflare(status, f"Error {status}")
    await response(scope, receive, send)


def _start(status: int, headers: Headers) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _has_body(headers: Headers) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)
