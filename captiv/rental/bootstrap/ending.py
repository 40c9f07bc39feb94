"""Ends this pod, as its guard would: the calls are told by the provider (`CAPTIV_GUARD_ENDING`)."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from email.utils import parsedate_to_datetime
from typing import Any

from .pod import say

ENDING = os.environ.get("CAPTIV_GUARD_ENDING", "")
NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
TIMEOUT_S = 20.0


def end_pod(again: bool) -> None:
    """Make the calls that end this pod, in order; the last resort where none was accepted.

    `again` after a round that did not end it, whatever was answered. Nothing that may repeat a key
    is printed.
    """
    accepted = False
    try:
        for call in json.loads(ENDING):
            if call.get("last_resort") and accepted and not again:
                continue
            outcome = _outcome(call)
            accepted = accepted or outcome.startswith("status=2") or outcome == "status=404"
            say(f"end_tried method={call['method']} {outcome}")
    except Exception as error:  # whatever it is, the next try comes
        kind = type(error).__name__
        say("end_refused CAPTIV_GUARD_ENDING is wrong or not set: " + kind)


def _outcome(call: dict[str, Any]) -> str:
    try:
        url = NAMED.sub(lambda name: urllib.parse.quote(_value(name), safe=""), call["url"])
        body = NAMED.sub(_value, call["body"]).encode() if call.get("body") is not None else None
        request = urllib.request.Request(url, body, method=call["method"])
        request.add_header("User-Agent", "captiv-bootstrap")  # without one, Cloudflare answers 403
        request.add_header("Content-Type", "application/json")
        for name, value in call.get("headers", {}).items():
            request.add_header(name, NAMED.sub(_value, value))
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            return f"status={answer.status}"
    except urllib.error.HTTPError as error:
        return f"status={error.code}"
    except Exception as error:  # the other calls may do
        return "error=" + type(error).__name__


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _value(name: re.Match[str]) -> str:
    return os.environ[name[1]].strip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Send the key nowhere but where it was meant to go."""


def providers_time() -> float | None:
    """Return seconds since 1970 by the provider's clock; None if it does not answer."""
    try:
        call = next(call for call in json.loads(ENDING) if "${" not in _origin(call["url"]))
        request = urllib.request.Request(_origin(call["url"]), method="HEAD")
        request.add_header("User-Agent", "captiv-bootstrap")
        try:
            with _opener().open(request, timeout=TIMEOUT_S / 2) as answer:
                told = answer.headers["Date"]
        except urllib.error.HTTPError as error:
            told = error.headers["Date"]
        return parsedate_to_datetime(told).timestamp()
    except Exception:  # then this host's clock has to do
        return None


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"
