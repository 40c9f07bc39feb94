"""Every call that the API saw, and what it answered; and the ring that writes it down."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captiv.testing.cloud.bodies import MAX_BODY_BYTES

CONTROL = "/_sim"
"""Paths below this are the simulator's own and are not written down."""

_MASK = "Bearer ***"
_KEPT_BYTES = 1_000_000


@dataclass(slots=True)
class Call:
    """One call and its answer. `status` is None while, or when, no answer was given."""

    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    """The key in `authorization` is masked: see `caller`."""
    body: bytes
    request_id: str
    caller: str = "nobody"
    """`account`, `nobody` (no key or a wrong one), or the pod whose key it was."""
    operation: str = ""
    """As the contract calls it, in words: `create_pod`; of an action, `terminate_pod`."""
    mischief: str | None = None
    status: int | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""


class Recorder:
    """Writes down what passes, under an id that the answer carries beside the cloud's own time."""

    def __init__(self, app: ASGIApp, history: list[Call], clock: Callable[[], float]) -> None:
        self._app = app
        self._history = history
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, pass the call on, note the answer."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        call = Call(
            at=self._clock(),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=dict(headers)
            | ({"authorization": _MASK} if "authorization" in headers else {}),
            body=await _read(receive),
            request_id=secrets.token_hex(8),
        )
        self._history.append(call)
        scope["call"] = call

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered["x-request-id"] = call.request_id
                answered["date"] = formatdate(self._clock(), usegmt=True)
                call.status, call.answer_headers = message["status"], dict(answered.items())
            elif message["type"] == "http.response.body" and len(call.answer) < _KEPT_BYTES:
                call.answer += message.get("body", b"")
            await send(message)

        await self._app(scope, _replay(call.body, receive), noted)


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if len(body) <= MAX_BODY_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    given = anyio.Event()

    async def again() -> Message:
        if given.is_set():
            return await receive()
        given.set()
        return {"type": "http.request", "body": body, "more_body": False}

    return again
