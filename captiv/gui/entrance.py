"""The way into a shared page: a form for the passphrase, which works without a script.

It stands at `/` under the public name, before anything of the folder is shown.
"""

from html import escape
from http import HTTPStatus
from math import ceil
from typing import Final
from urllib.parse import parse_qs

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from captiv.gui.problems import problem
from captiv.gui.refusal import document
from captiv.gui.share import Refused

PATH: Final = "/enter"
_LONGEST_BYTES: Final = 2_000
_WITHIN_S: Final = 10.0

_FORM: Final = (
    '<form method="post" action="{path}">'
    '<label for="passphrase">Passphrase</label>'
    '<input id="passphrase" name="passphrase" type="password" autocomplete="off" required'
    ' maxlength="200" spellcheck="false" autocapitalize="none"{wrong}>'
    '<p id="wrong" class="wrong" role="alert">{words}</p>'
    "<button>Go in</button></form>"
)


def form(request: Request, refused: Refused | None = None) -> Response:
    """Return the form; after a wrong passphrase with what was wrong, and how long to wait."""
    words = _words(refused)
    status = HTTPStatus.UNAUTHORIZED
    if refused is not None and not refused.heard:
        status = HTTPStatus.TOO_MANY_REQUESTS
    if "text/html" in request.headers.get("accept", ""):
        wrong = ' aria-invalid="true" aria-describedby="wrong"' if refused else " autofocus"
        fields = _FORM.format(path=PATH, wrong=wrong, words=escape(words))
        lead = "<p>Whoever shares these pictures has its passphrase: four words.</p>"
        response = document("A shared page", lead + fields, status)
        # Without any referrer a browser says "null" for the origin of a form, too.
        response.headers["referrer-policy"] = "same-origin"
    else:
        said = words or "This page is shared: POST the passphrase to /enter."
        response = problem(status, "refused_passphrase", said)
    if refused is not None:
        response.headers["retry-after"] = str(ceil(refused.wait_s))
    return response


async def passphrase_of(request: Request) -> str:
    """Return what was typed into the form; nothing if it is no form, too long or too slow."""
    body = bytearray()
    try:
        with anyio.fail_after(_WITHIN_S):
            async for part in request.stream():
                body += part
                if len(body) > _LONGEST_BYTES:
                    return ""
    except (TimeoutError, ClientDisconnect):
        return ""
    return next(iter(parse_qs(body.decode("utf-8", "replace")).get("passphrase", ())), "")


def remote_of(request: Request) -> str:
    """Return who asks, as the tunnel tells: what the nearest proxy added comes last.

    A false one only dodges the wait of one remote, not that of all.
    """
    told = request.headers.getlist("x-forwarded-for")
    if told and (last := told[-1].rpartition(",")[2].strip()):
        return _network(last)
    return request.client.host if request.client else ""


def _network(address: str) -> str:
    """Return an address; of IPv6 the network, of which one person has all addresses."""
    return ":".join(address.split(":")[:4]) if address.count(":") > 1 else address[:100]


def _words(refused: Refused | None) -> str:
    if refused is None:
        return ""
    seconds = ceil(refused.wait_s)
    wait = f"in {seconds} second{'' if seconds == 1 else 's'}"
    if refused.heard:
        return f"That is not the passphrase. The next one is heard {wait}."
    return f"Too soon after a wrong one: nothing was looked at. Try again {wait}."
