"""The guard: the outermost layer of the page, and the only way in.

Pure ASGI, because a middleware for requests alone would let sockets by. It checks, for pages, files
and the socket alike:

- Host: one of the names under which the page was opened, so that no name of a stranger's that is
  made to point here (DNS rebinding) gets anything;
- Origin: where a browser sends one, this page's own, so that no other page acts in a person's name;
- the session's cookie. Without it there is one way in: `/?token=…`, the link, which works once;
- the session's right to this route and method (`rights.py`).

A page that is shared has a public name besides. Under that name only visitors' sessions count, the
passphrase is the one way in, and no link works: whatever comes through the tunnel, it is never the
owner's.

The cookie's name holds the port, because browsers share cookies between the ports of a host. Every
answer, refusals too, gets the headers of `headers.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captiv.gui import entrance
from captiv.gui.headers import secured
from captiv.gui.refusal import refusal
from captiv.gui.rights import OWN, hold, needed
from captiv.gui.session import RENEW_AFTER_S, Sessions
from captiv.gui.share import Entered, Share

_POLICY_VIOLATION: Final = 1008
_GO_ON: Final = (
    '<!doctype html><html lang="en"><title>captiv</title>'
    '<meta http-equiv="refresh" content="0; url=/"><a href="/">Go on to captiv</a></html>'
)


@dataclass(slots=True)
class Hosts:
    """Under which names the page may be asked for."""

    names: set[str] = field(default_factory=set)
    """Without port, in lower case; a public name is added once a tunnel has told it."""
    any_address: bool = False
    """Whether a bare IP address will do: the page listens to other machines, and no stranger can
    make a number point elsewhere."""

    def admit(self, host: str) -> bool:
        """Tell whether a Host header names this page."""
        name = _without_port(host).lower()
        return name in self.names or (self.any_address and _is_address(name))


class Guard:
    """Lets nobody by without a session."""

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        hosts: Hosts,
        *,
        port: int,
        secure: bool,
        share: Callable[[], Share | None] = lambda: None,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = hosts
        self._cookie = f"captiv-{port}"
        self._secure = secure
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass, and answer the rest."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        share = self._share()
        if share is not None and share.name and share.name == _without_port(host).lower():
            await self._public(scope, receive, secured(send, secure=True), share)
            return
        send = secured(send, secure=self._secure)
        if not self._hosts.admit(host):
            await self._refuse(scope, receive, send, 400, "host")
        elif not self._own_origin(scope, headers):
            await self._refuse(scope, receive, send, 403, "origin")
        elif (age := self._age(headers)) is None:
            await self._enter(scope, receive, send)
        elif _link_token(scope) is not None:  # a bookmark of the link, in a browser that is in
            await _to_page(scope)(scope, receive, send)
        else:
            hold(scope, OWN)
            await self._app(scope, receive, self._renewing(scope, send, age))

    async def _public(self, scope: Scope, receive: Receive, send: Send, share: Share) -> None:
        """Pass on what a visitor of the shared page may have, and answer the rest."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if share.state != "open":
            await self._refuse(scope, receive, send, 410, "over")
        elif not (_followed(scope, headers) if origin is None else share.is_origin(origin)):
            await self._refuse(scope, receive, send, 403, "origin")
        elif not any(share.admits(session) for session in self._cookies(headers)):
            await self._hear(scope, receive, send, share)
        elif share.right < needed(scope):
            await self._refuse(scope, receive, send, 403, "right")
        else:
            hold(scope, share.right)
            await self._app(scope, receive, send)

    async def _hear(self, scope: Scope, receive: Receive, send: Send, share: Share) -> None:
        """Open a session for the passphrase, or show the form for it."""
        if scope["type"] == "websocket":
            await self._refuse(scope, receive, send, 401, "session")
            return
        request = Request(scope, receive)
        refused = None
        if (scope["method"], scope["path"]) == ("POST", entrance.PATH):
            passphrase = await entrance.passphrase_of(request)
            result = share.enter(passphrase, entrance.remote_of(request))
            if isinstance(result, Entered):
                response: Response = RedirectResponse("/", 303)
                value = f"{self._cookie}={result.session}; HttpOnly; Path=/; SameSite=Strict"
                lasts = f"Secure; Max-Age={int(share.left_s())}"
                response.headers.append("set-cookie", f"{value}; {lasts}")
                await response(scope, receive, send)
                return
            refused = result
        await entrance.form(request, refused)(scope, receive, send)

    def _own_origin(self, scope: Scope, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return _followed(scope, headers)
        scheme = "https" if self._secure or scope["scheme"] in ("https", "wss") else "http"
        return origin.lower() == f"{scheme}://{headers.get('host', '').lower()}"

    def _age(self, headers: Headers) -> float | None:
        ages = (self._sessions.age_s(value) for value in self._cookies(headers))
        return next((age for age in ages if age is not None), None)

    def _cookies(self, headers: Headers) -> Iterator[str]:
        for line in headers.getlist("cookie"):
            with suppress(CookieError):
                if (morsel := SimpleCookie(line).get(self._cookie)) is not None:
                    yield morsel.value

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open a session for a link's token, or say how to come by one."""
        token = _link_token(scope)
        session = None if token is None else self._sessions.redeem(token)
        if session is None:
            why = "session" if token is None else "link"
            await self._refuse(scope, receive, send, 401, why)
            return
        response = _to_page(scope)
        if Headers(scope=scope).get("sec-fetch-site", "none") not in ("none", "same-origin"):
            # A strict cookie is not sent after a redirect that began on another page, such as a
            # terminal in the browser; a page of ours that goes on by itself is not another page.
            response = HTMLResponse(_GO_ON)
        self._set_cookie(response.headers, session)
        await response(scope, receive, send)

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, status: int, why: str
    ) -> None:
        if scope["type"] == "websocket":
            # Closed before it is accepted: the browser gets 403.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            response = refusal(Request(scope), status, why)
            await response(scope, receive, send)

    def _renewing(self, scope: Scope, send: Send, age: float) -> Send:
        if scope["type"] != "http" or age < RENEW_AFTER_S:
            return send

        async def renew(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._set_cookie(MutableHeaders(scope=message), self._sessions.opened())
            await send(message)

        return renew

    def _set_cookie(self, headers: MutableHeaders, session: str) -> None:
        secure = "; Secure" if self._secure else ""
        value = f"{self._cookie}={session}; HttpOnly; Path=/; SameSite=Strict{secure}"
        headers.append("set-cookie", value)


def _followed(scope: Scope, headers: Headers) -> bool:
    """Tell whether a request without an Origin was not made by another page.

    A link to the page may be followed from anywhere: it shows nothing without a session.
    """
    return headers.get("sec-fetch-site", "none") in ("none", "same-origin") or _is_page(scope)


def _is_page(scope: Scope) -> bool:
    return scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/")


def _link_token(scope: Scope) -> str | None:
    if not _is_page(scope):
        return None
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return next(iter(query.get("token", ())), None)


def _to_page(scope: Scope) -> Response:
    """Send the browser to the page without the token, so that no history keeps it."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    rest = urlencode({k: v for k, v in query.items() if k != "token"}, doseq=True)
    return RedirectResponse(f"/?{rest}" if rest else "/", 303)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1 : host.find("]")]
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
