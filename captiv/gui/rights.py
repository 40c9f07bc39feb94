"""What a session may do, and which route and live topic asks for what: the one table of it.

The owner came by the link and may do everything. Whoever came by the passphrase of a shared page
may look, and with `--share=edit` change captions. What is not in the table is the owner's: a route
that somebody forgets is closed, not open. Runs are the owner's, too: they list every folder of this
installation, and they may rent.
"""

from enum import IntEnum
from typing import Final

from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import Scope

_HELD: Final = "captiv.right"


class Right(IntEnum):
    """Each holds what those before it hold."""

    LOOK = 1
    EDIT = 2
    OWN = 3

    @property
    def word(self) -> str:
        """The name by which the page knows it."""
        return self.name.lower()


LOOK, EDIT, OWN = Right.LOOK, Right.EDIT, Right.OWN

ROUTES: Final[dict[tuple[str, str], Right]] = {
    ("GET", "/"): LOOK,
    ("GET", "/static/{fingerprint}/{name:path}"): LOOK,
    ("GET", "/live"): LOOK,
    ("GET", "/api/folders"): LOOK,
    ("GET", "/api/images"): LOOK,
    ("GET", "/api/images/{image}"): LOOK,
    ("GET", "/api/listings/{listing}/ids"): LOOK,
    ("GET", "/images/{image}/{size}"): LOOK,
    ("GET", "/api/share"): LOOK,
    ("PUT", "/api/images/{image}/caption"): EDIT,
    ("POST", "/api/images/{image}/undo"): EDIT,
    ("GET", "/api/edits"): EDIT,
    ("POST", "/api/edits"): EDIT,
    ("POST", "/api/edits/previews"): EDIT,
    ("GET", "/api/edits/previews/{preview}"): EDIT,
    ("POST", "/api/edits/{edit:int}/undo"): EDIT,
    ("DELETE", "/api/edits/under-way/{work}"): EDIT,
    ("POST", "/api/listings/{listing}/unseen"): EDIT,
    ("DELETE", "/api/share"): OWN,
    ("POST", "/api/links"): OWN,
    ("GET", "/api/models"): OWN,
    ("POST", "/api/plans"): OWN,
    ("POST", "/api/quotes"): OWN,
    ("GET", "/api/runs"): OWN,
    ("POST", "/api/runs"): OWN,
    ("GET", "/api/runs/{run:int}"): OWN,
    ("GET", "/api/runs/{run:int}/captions"): OWN,
    ("POST", "/api/runs/{run:int}/resume"): OWN,
    ("POST", "/api/runs/{run:int}/retry"): OWN,
    ("POST", "/api/runs/{run:int}/pause"): OWN,
    ("POST", "/api/runs/{run:int}/cancel"): OWN,
    ("GET", "/api/pods"): OWN,
    ("POST", "/api/pods"): OWN,
    ("POST", "/api/pods/sweep"): OWN,
    ("GET", "/api/pods/{pod}/end"): OWN,
    ("DELETE", "/api/pods/{pod}"): OWN,
    ("GET", "/api/pods/{pod}/log"): OWN,
    ("GET", "/api/settings"): OWN,
    ("PUT", "/api/settings/{section}/{name}"): OWN,
    ("DELETE", "/api/settings/{section}/{name}"): OWN,
}
"""What each method of each route asks for."""

TOPICS: Final[dict[str, Right]] = {
    "hello": LOOK,
    "folder": LOOK,
    "images": LOOK,
    "share": LOOK,
    "edits": EDIT,
    "editing": EDIT,
    "runs": OWN,
    "pods": OWN,
    "settings": OWN,
}
"""Who is told of what over the socket."""

_PATTERNS: Final = [
    (method, compile_path(path)[0], right) for (method, path), right in ROUTES.items()
]


def needed(scope: Scope) -> Right:
    """Return the right that a request or a socket asks for."""
    method = "GET" if scope["type"] == "websocket" else scope["method"]
    method = "GET" if method == "HEAD" else method
    found = (r for m, pattern, r in _PATTERNS if m == method and pattern.match(scope["path"]))
    return next(found, OWN)


def hold(scope: Scope, right: Right) -> None:
    """Say what the session of this request may do."""
    scope[_HELD] = right


def held(connection: HTTPConnection) -> Right:
    """Return what the session of a request may do."""
    right: Right = connection.scope[_HELD]
    return right
