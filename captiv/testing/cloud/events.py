"""A pod's log as server-sent events."""

import json

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from captiv.testing.cloud.podlog import Line, PodLog, Source

_PING_S = 10.0


class LogStream(Response):
    """Sends lines until the pod is gone, the reader leaves or the cloud is switched off."""

    media_type = "text/event-stream"

    def __init__(
        self, log: PodLog, after: int, source: Source | None, closing: anyio.Event
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._log = log
        self._after = after
        self._source = source
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_when_left, receive, tasks)
            tasks.start_soon(_stop_when_set, self._closing, tasks)
            tasks.start_soon(_ping, send)
            async for line in self._log.follow(self._after, self._source):
                await send(_body(event(line)))
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})


def event(line: Line) -> str:
    """Return a log line as an event."""
    data = {"ts": line.ts, "source": line.source, "line": line.text}
    return f"id: {line.id}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _body(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _ping(send: Send) -> None:
    while True:
        await anyio.sleep(_PING_S)
        await send(_body(": ping\n\n"))


async def _stop_when_left(receive: Receive, tasks: anyio.abc.TaskGroup) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    tasks.cancel_scope.cancel()


async def _stop_when_set(closing: anyio.Event, tasks: anyio.abc.TaskGroup) -> None:
    await closing.wait()
    tasks.cancel_scope.cancel()
