"""Calls of RunPod's API: each with its deadline, tried again only where that is safe.

- GET and DELETE ask for the same thing however often they are sent: a lost connection, a time-out
  and a failure of the service (5xx) are tried again, with back-off.
- A POST is sent once: its answer may be lost after RunPod acted on it.
- 429 says that nothing was done: any call waits for the longest exhausted window and is sent again,
  unless that window outlasts our patience.

httpx2's errors become captiv's here; the API key leaves in one header and is shown nowhere.
"""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from captiv import __version__
from captiv.clock import now_ms
from captiv.errors import ConfigurationError, ProviderBlocked, ProviderBusy, ProviderUnreachable
from captiv.rental.runpod import refusals
from captiv.settings.schema import LOOPBACK
from captiv.workers.transport import PROXY_HINT, PROXY_REFUSED, PROXY_STATUS, is_proxys_refusal

Sleep = Callable[[float], Awaitable[None]]
Params = Mapping[str, str]

_SAME_CLOCK_MS = 15_000
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
"""Errors of a connection that never was: nothing reached RunPod."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long captiv waits for RunPod."""

    connect_s: float = 10.0
    answer_s: float = 30.0
    """For a whole answer, of one try."""
    create_s: float = 60.0
    """For the answer to a create, which places the pod first."""
    balance_s: float = 10.0
    tries: int = 4
    backoff_s: float = 0.5
    """Doubled at each try, up to `longest_backoff_s`; then jittered down to its half."""
    longest_backoff_s: float = 10.0
    longest_wait_s: float = 90.0
    """A rate limit that lasts longer is reported, not waited for: RunPod counts by minute, hour
    and day."""
    first_line_s: float = 10.0
    next_line_s: float = 2.0
    """A log that is not followed is at its end when this long nothing came."""
    silence_s: float = 120.0
    """A followed log this silent is asked for again: its connection may be dead."""


class Exchange:
    """RunPod's API at one address, spoken to with one key."""

    def __init__(
        self,
        key: str,
        url: str,
        *,
        limits: CallLimits,
        sleep: Sleep = anyio.sleep,
        chance: Callable[[], float] = random.random,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect at the first call.

        Raises:
            ConfigurationError: no header can carry the key.
        """
        if not key or any(not "!" <= character <= "~" for character in key):
            raise ConfigurationError(
                "RunPod's API key is empty, or has a character that no HTTP header carries.",
                hint="Set the key alone: captiv config set runpod.api_key, or RUNPOD_API_KEY.",
            )
        self.url = url.rstrip("/")
        self.limits = limits
        self.sleep = sleep
        self._chance = chance
        self._key = key
        self._log = logging.getLogger(__name__)
        self.clock_ahead_ms = 0
        """By how much RunPod's clock is ahead of this machine's, as its last answer told."""
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers={
                "Authorization": f"Bearer {key}",
                "User-Agent": f"captiv/{__version__}",  # without one, Cloudflare answers 403
                "Accept": "application/json, application/problem+json",
            },
            timeout=httpx2.Timeout(None, connect=limits.connect_s),
            verify=not self.url.startswith("http://"),
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def scrub(self, text: str) -> str:
        """Return `text` with stars in place of the key."""
        return text.replace(self._key, "********")

    def refusal(self, response: httpx2.Response) -> refusals.Refusal:
        """Read a failed answer, without the key that it may echo."""
        return refusals.read(response, self.scrub)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        timeout_s: float | None = None,
        tries: int | None = None,
    ) -> httpx2.Response:
        """Return the answer, whatever its status, after every try that is safe and worth it.

        Raises:
            ProviderUnreachable: no answer came.
            ProviderBusy: a rate limit outlasts `longest_wait_s`.
        """
        request = self._http.build_request(method, path, params=params, json=body)
        timeout_s = timeout_s or self.limits.answer_s
        tries = tries or self.limits.tries
        repeatable = method in ("GET", "DELETE")
        attempt = 1
        while True:
            try:
                response = await self._once(request, timeout_s)
            except ProviderUnreachable:
                if not repeatable or attempt >= tries:
                    raise
                self._log.warning(
                    "runpod unreachable method=%s path=%s attempt=%d", method, path, attempt
                )
                pause_s = self.backoff_s(attempt)
            else:
                pause = self.pause_s(response, attempt, repeatable=repeatable, tries=tries)
                if pause is None:
                    return response
                pause_s = pause
            await self.sleep(pause_s)
            attempt += 1

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Params, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        """Open an answer that comes bit by bit; one that is no success is read whole.

        Raises:
            ProviderUnreachable: no answer came, or it broke off.
        """
        request = self._http.build_request("GET", path, params=params, headers=headers)
        async with self._seam():
            with anyio.fail_after(self.limits.answer_s):
                response = await self._http.send(request, stream=True)
            try:
                self._note(request, response)
                if response.status_code != 200:
                    with anyio.fail_after(self.limits.answer_s):
                        await response.aread()
                yield response
            finally:
                with anyio.move_on_after(1, shield=True):
                    await response.aclose()

    def pause_s(
        self, response: httpx2.Response, attempt: int, *, repeatable: bool, tries: int
    ) -> float | None:
        """Return how long to wait before the same call is sent again; None to take the answer.

        Raises:
            ProviderBusy: a rate limit outlasts `longest_wait_s`, or all tries.
        """
        if response.status_code == 429:
            wait_s = _limited_s(response) or self.backoff_s(attempt)
            if attempt >= tries or wait_s > self.limits.longest_wait_s:
                words = self.refusal(response).words
                raise ProviderBusy(
                    f"RunPod limits how often it may be asked: {words}.",
                    retry_after_s=wait_s,
                    detail=words,
                    hint=f"Try again in {wait_s:.0f} seconds.",
                )
            return wait_s + self._chance()
        if repeatable and response.status_code >= 500 and attempt < tries:
            return max(self.backoff_s(attempt), _retry_after_s(response, self.limits))
        return None

    def backoff_s(self, attempt: int) -> float:
        """Return a jittered pause that doubles with each attempt."""
        doubled_s: float = self.limits.backoff_s * 2 ** (attempt - 1)
        return min(self.limits.longest_backoff_s, doubled_s) * (1 - self._chance() / 2)

    async def _once(self, request: httpx2.Request, timeout_s: float) -> httpx2.Response:
        async with self._seam():
            with anyio.fail_after(timeout_s):
                response = await self._http.send(request)
        self._note(request, response)
        if response.status_code == PROXY_STATUS:
            raise self._proxys_refusal()
        return response

    def _note(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Log the call under RunPod's own number for it, which its support asks for."""
        self.clock_ahead_ms = _ahead_ms(response, now_ms())
        usual = request.method == "GET" and response.is_success
        self._log.log(
            logging.DEBUG if usual else logging.INFO,
            "runpod answered method=%s path=%s status=%d request_id=%s",
            request.method,
            request.url.path,
            response.status_code,
            response.headers.get("x-request-id", "-"),
        )

    def _proxys_refusal(self) -> ProviderBlocked:
        return ProviderBlocked(PROXY_REFUSED.format(url=self.url), hint=PROXY_HINT)

    @asynccontextmanager
    async def _seam(self) -> AsyncIterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise ProviderUnreachable(f"RunPod's API at {self.url} does not answer in time.") from (
                error
            )
        except (httpx2.RequestError, httpx2.StreamError) as error:
            if is_proxys_refusal(error):
                raise self._proxys_refusal() from error
            reason = self.scrub(str(error) or type(error).__name__)
            raise ProviderUnreachable(
                f"RunPod's API at {self.url} does not answer: {reason}",
                sent=not isinstance(error, _UNSENT),
            ) from error
        except httpx2.InvalidURL as error:
            raise ConfigurationError(
                f"{self.url!r} is no address of an API: {error}", hint="Check runpod.api_url."
            ) from error


def _ahead_ms(response: httpx2.Response, now_ms: int) -> int:
    """Return by how much the clock of the answer's `Date`, in whole seconds, is ahead of ours.

    What the way of an answer may explain is no difference.
    """
    try:
        said = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return 0
    latest_ms = round(said.timestamp() * 1000) + 999  # so that no pod costs less than its bill
    ahead_ms = latest_ms - now_ms
    return ahead_ms if abs(ahead_ms) > _SAME_CLOCK_MS else 0


def _limited_s(response: httpx2.Response) -> float:
    """Return how long the longest exhausted window lasts, 0 if the answer does not say.

    `Retry-After` is of one window; `RateLimit: "minute";r=0;t=12, "hour";r=0;t=1812` names all.
    """
    waits = [_seconds(response.headers.get("Retry-After", ""))]
    for window in response.headers.get("RateLimit", "").split(","):
        values = dict(part.strip().partition("=")[::2] for part in window.split(";"))
        if values.get("r") == "0":
            waits.append(_seconds(values.get("t", "")))
    return max(waits)


def _retry_after_s(response: httpx2.Response, limits: CallLimits) -> float:
    return min(_seconds(response.headers.get("Retry-After", "")), limits.longest_wait_s)


def _seconds(text: str) -> float:
    """RunPod sends whole seconds; anything else counts as unsaid."""
    return float(text) if text.strip().isascii() and text.strip().isdigit() else 0.0
