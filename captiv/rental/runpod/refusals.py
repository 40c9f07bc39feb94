"""What RunPod's refusals mean, and what a person should do about each.

RunPod answers with `application/problem+json` (RFC 9457). What stands in front of it (Cloudflare,
a firewall) answers with HTML or plain text: never the API's own word. Every text that is kept from
an answer is freed of the API key first, which some servers echo.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from captiv.errors import (
    AccessDenied,
    KeyRefused,
    NoBalance,
    NoCapacity,
    PodConflict,
    PodGone,
    PodMayExist,
    ProviderBlocked,
    ProviderEnded,
    ProviderError,
    ProviderMismatch,
    ProviderRejected,
    ProviderUnreachable,
)

_LONGEST = 600
"""Characters kept of an answer's text."""

_CAPACITY = re.compile(
    r"no longer any instances|no instances|does not have the resources"
    r"|not enough free gpus|enough disk space",
    re.IGNORECASE,
)
"""RunPod has no code for "no capacity"; these are its words for it, in every version seen."""


_ITS_OWN = frozenset({500, 503})
"""By these the service says that it failed. 408, 502, 504 and 52x come from whoever stands between
and has lost the answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success."""

    status: int
    detail: str
    errors: tuple[str, ...] = ()
    """A 422's list of what is wrong with the request."""
    from_api: bool = True
    """False where something in front of the API answered."""

    @property
    def words(self) -> str:
        """Return everything that it says, in one line."""
        said = [self.detail, *(error for error in self.errors if error != self.detail)]
        return "; ".join(part.rstrip(".") for part in said if part) or f"HTTP {self.status}"

    @property
    def no_capacity(self) -> bool:
        """Whether it says in words that no machine is free."""
        return _CAPACITY.search(self.words) is not None

    def disputes(self, *names: str) -> bool:
        """Whether it does not know one of these fields of the request.

        A missing field makes the validator call valid ones unexpected: only the missing counts.
        """
        if self.status != 422 or "missing propert" in self.words:
            return False
        return any(re.search(rf"['\"./]{name}\b", self.words) for name in names)


def read(response: httpx2.Response, scrub: Callable[[str], str]) -> Refusal:
    """Read a failed answer whose body is loaded, whoever sent it."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    if isinstance(body, dict):
        said = next((body[n] for n in ("detail", "error", "message", "title") if body.get(n)), "")
        errors = body.get("errors")
        listed = errors if isinstance(errors, list) else []
        return Refusal(
            response.status_code,
            _line(str(said), scrub),
            tuple(_line(str(error), scrub) for error in listed[:20]),
        )
    return Refusal(response.status_code, _line(_plain(response), scrub), from_api=False)


def meaning(refusal: Refusal, *, pod: str | None = None) -> ProviderError:
    """Return the error for an answer about `pod`, or about no pod in particular."""
    words = refusal.words
    match refusal.status:
        case 401:
            return KeyRefused(
                f"RunPod refuses the API key: {words}.",
                detail=words,
                hint="Set a valid one: captiv config set runpod.api_key, or RUNPOD_API_KEY.",
            )
        case 402:
            return NoBalance(
                f"The RunPod account has too little credit: {words}.",
                detail=words,
                hint="Add credit in RunPod's console, under Billing.",
            )
        case 403 if not refusal.from_api:
            return ProviderBlocked(f"RunPod's API is out of reach: {words}.", detail=words)
        case 403:
            return AccessDenied(
                f"RunPod does not allow this: {words}.",
                detail=words,
                hint="Give the key write access to pods in RunPod's console, or use another cloud "
                "or GPU.",
            )
        case 404 if pod is not None and refusal.from_api:
            return PodGone(f"RunPod has no pod {pod}.", detail=words)
        case 409:
            subject = f"pod {pod}" if pod else "this"
            return PodConflict(f"RunPod cannot do that with {subject} now: {words}.", detail=words)
        case 410:
            return ProviderEnded(f"RunPod has switched this API off: {words}.", detail=words)
        case 413:
            return ProviderRejected(
                f"RunPod finds the request too large: {words}.",
                detail=words,
                hint="All of it, with the template, may have 102,400 bytes: shorten the template.",
            )
        case 404 | 405:
            return ProviderMismatch(f"RunPod's API does not know this call: {words}.", detail=words)
        case status if status >= 500 or status == 408:
            return ProviderUnreachable(f"RunPod's API fails: {words}.", answered=True, detail=words)
        case status if status >= 400:
            return ProviderRejected(f"RunPod refuses the request: {words}.", detail=words)
    return ProviderMismatch(
        f"RunPod's API answers with HTTP {refusal.status}, which it should not.", detail=words
    )


def of_create(refusal: Refusal, *, name: str, wanted: str, template: str | None) -> ProviderError:
    """Return the error for a create of the pod `name`: `wanted` says which GPU, in which cloud.

    400 is a broken rule as well as "no capacity"; RunPod tells them apart by words only. A failure
    of the service leaves open whether the pod exists, unless it says that there was no machine.
    """
    words = refusal.words
    match refusal.status:
        case 400:
            return NoCapacity(f"RunPod cannot place {wanted}: {words}.", detail=words)
        case 404 if template is not None:
            return no_template(template, words)
        case status if status >= 500 or status == 408:
            if refusal.no_capacity:
                return NoCapacity(f"RunPod cannot place {wanted}: {words}.", detail=words)
            return may_exist(name, words, answered=refusal.from_api and status in _ITS_OWN)
    return meaning(refusal)


def no_template(template: str, words: str) -> ProviderRejected:
    """Return the error for a template that RunPod does not know."""
    return ProviderRejected(
        f"RunPod knows no template {template} of this account: {words}.",
        detail=words,
        hint="Check runpod.template_id.",
    )


def of_action(refusal: Refusal, *, pod: str) -> ProviderError:
    """Return the error for an action on a pod. A stopped one may find its GPUs taken."""
    if refusal.no_capacity and refusal.status not in (401, 402, 403, 404, 429):
        return NoCapacity(
            f"The machine of pod {pod} has no free GPU: {refusal.words}.",
            detail=refusal.words,
            hint="A stopped pod stays tied to its machine: terminate it and make another.",
        )
    return meaning(refusal, pod=pod)


def may_exist(name: str, why: str, *, answered: bool = False) -> PodMayExist:
    """Return the error for a create whose outcome is unknown, `answered` or not by the service."""
    return PodMayExist(
        f"RunPod gave no clear answer, and the pod {name} may exist: {why}.",
        name=name,
        answered=answered,
        detail=why,
        hint="captiv looks for it by this name; `captiv runpod list` shows it if it is there.",
    )


def _plain(response: httpx2.Response) -> str:
    """Return what HTML or plain text says, as far as a person wants to read it."""
    text = response.content[:20_000].decode("utf-8", "replace")
    if code := re.search(r"error code: \d+", text, re.IGNORECASE):
        return f"HTTP {response.status_code}, {code[0].lower()}"
    if "<" in text or not text.strip():
        return f"HTTP {response.status_code}"
    return f"HTTP {response.status_code}, {text}"


def _line(text: str, scrub: Callable[[str], str]) -> str:
    """Return one printable line: an answer's text reaches terminals and logs."""
    clean = "".join(c if c.isprintable() else " " for c in scrub(text))
    line = " ".join(clean.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
