"""Makes the calls that end a pod, and asks the provider's time. Which calls, it says (`ending`).

Nothing that an answer or an error says is logged but its status or its kind: either may repeat a
key.
"""

import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from captiv import __version__
from captiv_worker.guard.ending import Call
from captiv_worker.guard.rules import Outcome

_log = logging.getLogger(__name__)

_TIMEOUT_S = 20.0
_NO_VERDICT = frozenset({408, 409, 425, 429})
"""Of the answers from 400 to 499, those that may be another one next time."""


class Unanswered(StrEnum):
    """Why a call has no status."""

    UNSET = "unset"
    """It names a variable that is not set, so it could not be made."""
    FAILED = "unanswered"


Answer = int | Unanswered


def end_pod(calls: Sequence[Call | None], *, again: bool = False) -> Outcome:
    """Make the calls that end this pod, in order; blocks for 20 s a call, and raises nothing.

    Args:
        calls: None is one that names an unset variable.
        again: whether they were made before, and the pod lives on: then the last resort is made,
            whatever the others are answered.
    """
    if not calls:
        _log.error("end_refused reason=no_calls")
        return Outcome.REFUSED
    answers: list[Answer] = []
    for call in calls:
        accepted = any(_is_success(answer) for answer in answers)
        if call is not None and call.last_resort and accepted and not again:
            continue
        answers.append(Unanswered.UNSET if call is None else _answer(call))
    outcome = judged(answers)
    _log.info("end_tried outcome=%s answers=%s", outcome, ",".join(map(str, answers)))
    return outcome


def time_at(url: str) -> float | None:
    """Return the time that whoever answers at `url` tells, in seconds since 1970; None if nobody.

    It comes in whole seconds, from the head of the answer to a request that holds no key. Blocks
    for 20 s, and raises nothing.
    """
    root = urlunsplit((*urlsplit(url)[:2], "/", "", ""))
    try:
        try:
            with _opener().open(_request(Call("HEAD", root)), timeout=_TIMEOUT_S) as answer:
                said = answer.headers.get("Date", "")
        except urllib.error.HTTPError as error:
            said = error.headers.get("Date", "")
            error.close()
        return parsedate_to_datetime(said).timestamp()
    except Exception as error:
        _log.warning("time_unanswered error=%s", type(error).__name__)
        return None


def judged(answers: Sequence[Answer]) -> Outcome:
    """Return what these answers mean together.

    404 is success: the pod is gone, and so will be its guard. Refused is only what every call was,
    be it by the provider or for want of a variable.
    """
    if any(_is_success(answer) for answer in answers):
        return Outcome.GONE
    if all(_is_verdict(answer) for answer in answers):
        return Outcome.REFUSED
    return Outcome.FAILED


def _is_success(answer: Answer) -> bool:
    return isinstance(answer, int) and (200 <= answer < 300 or answer == 404)


def _is_verdict(answer: Answer) -> bool:
    if isinstance(answer, Unanswered):
        return answer is Unanswered.UNSET
    return 400 <= answer < 500 and answer not in _NO_VERDICT


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Sends the key nowhere but where it was meant to go."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: object,
        newurl: str,
    ) -> None:
        """Let the redirect stand as the answer."""


def _answer(call: Call) -> Answer:
    try:
        with _opener().open(_request(call), timeout=_TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except Exception as error:  # whatever it is, the guard lives on and tries again
        reason = getattr(error, "reason", error)
        _log.warning("end_unanswered method=%s error=%s", call.method, type(reason).__name__)
        return Unanswered.FAILED


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(
        _NoRedirect,
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=_trusted()),
    )


def _request(call: Call) -> urllib.request.Request:
    """Return the request with the guard's own headers, but where the call says otherwise."""
    own = {"Accept": "application/json", "User-Agent": f"captiv-guard/{__version__}"}
    if call.body is not None:
        own["Content-Type"] = "application/json"
    body = None if call.body is None else call.body.encode()
    request = urllib.request.Request(call.url, body, method=call.method)
    for name, value in (*own.items(), *call.headers.items()):
        request.add_header(name, value)  # of two that differ in case only, the last one counts
    return request


def _trusted() -> ssl.SSLContext:
    """Trust the system's roots, and certifi's where it is installed: some images have no roots."""
    context = ssl.create_default_context()
    with suppress(ImportError, OSError, ValueError):  # ssl's own errors are OSErrors
        certifi = find_spec("certifi")
        if certifi is not None and certifi.origin is not None:
            context.load_verify_locations(Path(certifi.origin).with_name("cacert.pem"))
    return context
