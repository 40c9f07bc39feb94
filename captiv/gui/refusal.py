"""What somebody sees who may not come in: words for a person, a problem for a program.

The page's own styles are behind the guard, too; this one has a few lines of its own, which the
content policy admits by their hash.
"""

import base64
import hashlib
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from captiv.gui.headers import POLICY
from captiv.gui.problems import problem

_WORDS: Final = {
    "host": (
        "Not this page's name",
        "captiv answers only under the address that it printed when it started.",
    ),
    "origin": ("Asked from another page", "captiv answers only its own page."),
    "session": (
        "Open the link from the terminal",
        "captiv shows pictures to whoever has the link that “captiv gui launch” printed.",
    ),
    "right": (
        "Not for visitors",
        "The page was shared with you to look at; this is for whoever shares it.",
    ),
    "over": (
        "This page is shared no more",
        "Whoever shared it has ended it, or its time was over.",
    ),
    "link": (
        "This link does not work any more",
        "It works once. The page that it opened has a link for another browser in its menu.",
    ),
}

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "background:light-dark(#f6f5f3,#17171a);color:light-dark(#1d1d20,#ececef);"
    "font:1.0625rem/1.6 system-ui,sans-serif}"
    "main{max-width:26rem;padding:2rem}h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}"
    "p{margin:0}form{display:grid;gap:.5rem;margin-top:1.5rem}label{font-weight:600}"
    "input,button{font:inherit;color:inherit;padding:.6rem .8rem;border-radius:.625rem;"
    "border:1px solid light-dark(#8a857c,#77747f);background:light-dark(#fff,#1d1d21)}"
    "button{font-weight:600;cursor:pointer;background:light-dark(#0b6b67,#62cfc4);"
    "border-color:transparent;color:light-dark(#fff,#06201f)}"
    ":focus-visible{outline:2px solid light-dark(#0b6b67,#62cfc4);outline-offset:2px}"
    ".wrong{color:light-dark(#a3221c,#ff9b92);font-size:.9375rem}.wrong:empty{display:none}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def refusal(request: Request, status: int, why: str) -> Response:
    """Return the answer for somebody who may not come in."""
    title, words = _WORDS[why]
    if "text/html" not in request.headers.get("accept", ""):
        return problem(status, f"refused_{why}", f"{title}. {words}")
    return document(title, f"<p>{escape(words)}</p>", status)


def document(title: str, body: str, status: int) -> Response:
    """Return a page by itself; `body` is markup of ours."""
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>captiv: {escape(title)}</title>"
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><main><h1>{escape(title)}</h1>{body}</main></html>"
    )
    policy = f"{POLICY}; style-src 'sha256-{_HASH}'"
    return HTMLResponse(page, status, {"content-security-policy": policy})
