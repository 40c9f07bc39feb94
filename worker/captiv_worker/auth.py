"""The outermost rings of the server: who may speak to it, and its name on every answer."""

import hashlib
import hmac
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captiv.errors import WorkerRefused
from captiv.wire import WORKER_HEADER
from captiv_worker.problems import problem, respond

_OPEN = frozenset({("GET", "/health"), ("HEAD", "/health")})


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token, which is all that a worker keeps of it."""
    return hashlib.sha256(token.encode()).digest()


class Auth:
    """Lets nobody in without the token, except to ask `GET /health`.

    `token_sha256` None lets everybody in; only a worker on loopback may be started so. `spoken` is
    called for every request that brings the token, and for no other.
    """

    def __init__(
        self, app: ASGIApp, *, token_sha256: bytes | None, spoken: Callable[[], None]
    ) -> None:
        self._app = app
        self._token_sha256 = token_sha256
        self._spoken = spoken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "lifespan" or self._lets_in(scope):
            await self._app(scope, receive, send)
            return
        refused = problem(401, WorkerRefused.code, "The token is missing or wrong.")
        response = respond(refused, {"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if self._token_sha256 is None:
            return True
        if _brings(scope, self._token_sha256):
            self._spoken()
            return True
        return (scope.get("method"), scope["path"]) in _OPEN


def _brings(scope: Scope, token_sha256: bytes) -> bool:
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    given = digest(token.strip())
    return hmac.compare_digest(given, token_sha256) and scheme.lower() == "bearer"


class Signed:
    """Puts the worker's boot id on every answer, so that a proxy's can be told from its own."""

    def __init__(self, app: ASGIApp, *, boot_id: str) -> None:
        self._app = app
        self._boot_id = boot_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header to whatever the app answers."""

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[WORKER_HEADER] = self._boot_id
            await send(message)

        await self._app(scope, receive, signed)
