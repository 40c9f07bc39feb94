"""The network between a user and the cloud, which may be down: nothing reaches API or proxy."""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from captiv.testing.cloud.history import CONTROL
from captiv.testing.cloud.mischief import Armed, Mischief


class Blackout:
    """What stands before API and proxy: meanwhile every connection is cut, and nothing is asked."""

    def __init__(self, app: ASGIApp, mischief: Mischief) -> None:
        self._app = app
        self._mischief = mischief

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or cut it off in the middle."""
        armed = self._armed
        if armed is None or not _from_user(scope):
            await self._app(scope, receive, send)
            return
        armed.used += 1
        head = {"type": "http.response.start", "status": 200}
        await send({**head, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})

    @property
    def _armed(self) -> Armed | None:
        """The blackout that lasts now, if one does."""
        for one in self._mischief.armed():
            if one.name == "blackout" and one.until is not None and time.monotonic() < one.until:
                return one
        return None


def _from_user(scope: Scope) -> bool:
    """Whether it comes from this user's network, as what pods and tests ask does not."""
    if scope["type"] != "http" or scope["path"].startswith(CONTROL):
        return False
    agent = dict(scope["headers"]).get(b"user-agent", b"")
    return not agent.startswith((b"captiv-guard/", b"captiv-bootstrap"))
