"""The two calls that end a pod, with the key that RunPod puts into it.

The pod's own key is known to be good for `action: terminate`; what else it may do is not
documented, so `DELETE` is tried besides. Nothing that an answer or an error says is logged but its
status or its kind: either may repeat the key.
"""

import json
import logging
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from captiv import __version__
from captiv_worker.guard.rules import Outcome
from captiv_worker.guard.settings import Settings

_log = logging.getLogger(__name__)

_TIMEOUT_S = 20.0
_NO_VERDICT = frozenset({408, 409, 425, 429})
"""Of the answers from 400 to 499, those that may be another one next time."""


def end_pod(settings: Settings) -> Outcome:
    """Try both ways to end this pod; blocks for a minute at most, and raises nothing."""
    if not settings.pod_id or not settings.api_key:
        _log.error("end_refused reason=no_pod_id_or_key")
        return Outcome.REFUSED
    url = f"{settings.api_url}/v2/pods/{quote(settings.pod_id, safe='')}"
    action = json.dumps({"action": "terminate"}).encode()
    answers = (
        _call(settings.api_key, "POST", f"{url}/action", action),
        _call(settings.api_key, "DELETE", url, None),
    )
    outcome = judged(answers)
    _log.info("end_tried outcome=%s action=%s delete=%s", outcome, *answers)
    return outcome


def judged(answers: tuple[int | None, int | None]) -> Outcome:
    """Return what two statuses mean together; None is no answer at all.

    404 is success: the pod is gone, and so will be its guard. Refused is only what both calls were.
    """
    if any(status is not None and (200 <= status < 300 or status == 404) for status in answers):
        return Outcome.GONE
    if all(
        status is not None and 400 <= status < 500 and status not in _NO_VERDICT
        for status in answers
    ):
        return Outcome.REFUSED
    return Outcome.FAILED


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


def _call(key: str, method: str, url: str, body: bytes | None) -> int | None:
    headers = {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"captiv-guard/{__version__}",
    }
    try:
        opener = urllib.request.build_opener(
            _NoRedirect,
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=_trusted()),
        )
        request = urllib.request.Request(url, body, headers, method=method)
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except Exception as error:  # whatever it is, the guard lives on and tries again
        reason = getattr(error, "reason", error)
        _log.warning("end_unanswered method=%s error=%s", method, type(reason).__name__)
        return None


def _trusted() -> ssl.SSLContext:
    """Trust the system's roots, and certifi's where it is installed: some images have no roots."""
    context = ssl.create_default_context()
    with suppress(ImportError, OSError, ValueError):  # ssl's own errors are OSErrors
        certifi = find_spec("certifi")
        if certifi is not None and certifi.origin is not None:
            context.load_verify_locations(Path(certifi.origin).with_name("cacert.pem"))
    return context
