"""The protocol of `captiv.wire` over one pooled HTTP client; httpx2's errors become captiv's.

Every call has a deadline. An answer that does not carry the worker's header came from something in
between (a proxy while a pod starts, or after it is gone) and counts as unreachable. An answer about
an image has to repeat its key, and the boot id of a body has to be that of its header: a proxy that
keeps answers, or gives them to the wrong caller, is not believed.
"""

import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from captiv import __version__, shortage
from captiv.clock import monotonic_s
from captiv.errors import (
    AnswerMixedUp,
    CaptivError,
    ConfigurationError,
    EngineFailed,
    ImageError,
    UnknownKey,
    WorkerError,
    WorkerMismatch,
    WorkerNotReady,
    WorkerOverloaded,
    WorkerRejected,
    WorkerUnreachable,
    error_class,
)
from captiv.offload import offload
from captiv.wire import (
    KEY_HEADER,
    MAX_REQUEST_HEADER_BYTES,
    PROTOCOL,
    REQUEST_HEADER,
    SECRETS_HEADER,
    WORKER_HEADER,
    Accepted,
    CaptionReply,
    CaptionRequest,
    GuardLimits,
    Health,
    ModelChange,
    ModelsReply,
    Problem,
)
from captiv.workers.transport import (
    PROXY_HINT,
    PROXY_REFUSED,
    PROXY_STATUS,
    checked_token,
    is_loopback,
    is_proxys_refusal,
    tls,
)

_log = logging.getLogger(__name__)

_CONNECTIONS = 512
"""One per image in flight; two thirds of the 768 permits a worker of 128 mixed images gives."""
_CONNECT_S = 10.0
_ANSWER_S = 15.0
"""How long past the asked-for wait an answer may take: the network and a busy machine."""

_CARRY_S = 120.0
"""So long at most captiv's code is under way to a pod."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What a pod waits for."""

    content: bytes = field(repr=False)
    """The worker's code, as an archive."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables for the worker that the pod's provider must not show."""


Supplies = Callable[[str], Supply | None]
"""Tells, by the SHA-256 of an archive, what is to be brought; None where it is not this captiv's.
Blocks."""

_Answer = TypeVar("_Answer", Health, ModelsReply, CaptionReply, Accepted, Problem)


class WorkerClient:
    """One worker, spoken to with its token."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        connections: int = _CONNECTIONS,
        supplies: Supplies | None = None,
    ) -> None:
        """Connect at the first call. Without a token only its health can be asked for.

        Args:
            url: where it is.
            token: what it lets in.
            connections: how many at once, at most.
            supplies: of a pod that waits for its code; it gets it as soon as it says so.

        Raises:
            ConfigurationError: no header can carry the token.
        """
        self.url = url.rstrip("/")
        self._supplies = supplies
        self._boot_id: str | None = None
        """Of the worker that last told how it is."""
        self.heard_s = monotonic_s()
        most = shortage.connections(connections)
        limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
        known = {} if token is None else {"Authorization": f"Bearer {checked_token(token)}"}
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers={"User-Agent": f"captiv/{__version__}", **known},
            limits=limits,
            timeout=httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S, pool=None),
            verify=tls(self.url),
            trust_env=not is_loopback(self.url),
            event_hooks={"response": [self._hear]},
        )

    async def _hear(self, response: httpx2.Response) -> None:
        if WORKER_HEADER in response.headers:  # not what a proxy says in its place
            self.heard_s = monotonic_s()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def health(self) -> Health:
        """Return what the worker says of itself, whatever its status; bring what it waits for.

        Raises:
            WorkerUnreachable: no answer of a captiv worker, or what it waits for did not arrive.
            WorkerMismatch: it speaks another protocol, or waits for the code of another captiv.
        """
        health = await self._said(self._http.build_request("GET", "/health"))
        if health.carry is not None and self._supplies is not None:
            await self._carry(health.carry)
        return health

    async def look(self) -> Health:
        """Return the same without the token: to a pod's guard, who only looks is no life.

        Raises:
            WorkerUnreachable: no answer of a captiv worker.
            WorkerMismatch: it speaks another protocol.
        """
        request = self._http.build_request("GET", "/health")
        request.headers.pop("Authorization", None)
        return await self._said(request)

    async def _said(self, request: httpx2.Request) -> Health:
        async with _seam(self.url):
            response = await self._http.send(request)
        _require_worker(response, self.url)
        health = _parse(Health, response)
        _check_boot(response, health.boot_id)
        self._boot_id = health.boot_id
        if health.protocol != PROTOCOL:
            raise WorkerMismatch(
                f"The worker at {self.url} speaks protocol {health.protocol}, not {PROTOCOL}.",
                hint="Install the same version of captiv on both sides.",
            )
        return health

    async def _carry(self, sha256: str) -> None:
        assert self._supplies is not None
        supply = await offload(self._supplies, sha256)
        if supply is None:
            raise WorkerMismatch("The pod waits for the code of another captiv.")
        headers = {"Content-Type": "application/zip"}
        if supply.secrets:
            secrets = json.dumps(dict(supply.secrets)).encode()
            headers[SECRETS_HEADER] = base64.b64encode(secrets).decode()
        async with _seam(self.url):
            response = await self._http.put(
                f"/carry/{sha256}",
                content=supply.content,
                headers=headers,
                timeout=httpx2.Timeout(_CARRY_S, connect=_CONNECT_S, pool=None),
            )
        _require_worker(response, self.url)
        if response.status_code == 409:
            raise WorkerMismatch(_parse(Problem, response).detail)
        if response.status_code >= 300:
            detail = _parse(Problem, response).detail
            raise WorkerUnreachable(f"The pod did not take captiv's code: {detail}")
        _log.info("carried sha256=%s bytes=%d", sha256, len(supply.content))

    async def models(self) -> ModelsReply:
        """Return the worker's catalog: the first call that proves the token.

        Raises:
            WorkerRefused: the token is wrong.
            AnswerMixedUp: another worker answers than told before how it is.
        """
        async with _seam(self.url):
            response = await self._http.get("/api/models")
        good = _good(response, self.url)
        if self._boot_id is not None and response.headers[WORKER_HEADER] != self._boot_id:
            raise AnswerMixedUp("the catalog of another worker")
        return _parse(ModelsReply, good)

    async def caption(
        self, image: bytes, media_type: str, request: CaptionRequest, key: str, *, wait_s: float
    ) -> CaptionReply | None:
        """Send one image and return its caption, or None if it is not ready within `wait_s`.

        Raises:
            ImageError: the worker cannot read this image.
            WorkerOverloaded: no permit is free.
            AnswerMixedUp: what came is about other work.
            WorkerError: anything else that is not the image's fault.
        """
        header = request.model_dump_json(exclude_defaults=True)
        headers = {KEY_HEADER: key, "Content-Type": media_type, "Prefer": f"wait={wait_s:g}"}
        ascii_header = _ascii(header)
        async with _seam(self.url):
            if len(ascii_header) <= MAX_REQUEST_HEADER_BYTES:
                headers[REQUEST_HEADER] = ascii_header
                response = await self._http.post(
                    "/api/caption", content=image, headers=headers, timeout=self._timeout(wait_s)
                )
            else:
                headers.pop("Content-Type")
                response = await self._http.post(
                    "/api/caption",
                    data=_fields(request),
                    files={"image": ("image", image, media_type)},
                    headers=headers,
                    timeout=self._timeout(wait_s),
                )
        return self._answer(response, key)

    async def result(self, key: str, *, wait_s: float) -> CaptionReply | None:
        """Ask again for the work under `key`; None if it is still under way after `wait_s`.

        Raises:
            UnknownKey: the worker does not know it (a new life, or too long ago).
            AnswerMixedUp: what came is about other work.
        """
        async with _seam(self.url):
            response = await self._http.get(
                f"/api/caption/{quote(key, safe='')}",
                headers={"Prefer": f"wait={wait_s:g}"},
                timeout=self._timeout(wait_s),
            )
        return self._answer(response, key)

    async def load(self, change: ModelChange) -> Health:
        """Have the worker load another model; it answers at once, and is ready when it says so.

        Raises:
            WorkerBusy: captions are in flight there, or another model is being loaded.
            WorkerRejected: it knows no such model.
        """
        async with _seam(self.url):
            response = await self._http.put(
                "/api/model",
                content=change.model_dump_json(exclude_none=True),
                headers={"Content-Type": "application/json"},
            )
        return _parse(Health, _good(response, self.url))

    async def renew(self, limits: GuardLimits) -> None:
        """Tell the guard of the pod how long it may live on."""
        async with _seam(self.url):
            response = await self._http.put(
                "/api/guard",
                content=limits.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        _good(response, self.url)

    def _answer(self, response: httpx2.Response, key: str) -> CaptionReply | None:
        good = _good(response, self.url, key)
        if good.status_code == 202:
            _check_key(_parse(Accepted, good).key, key)
            return None
        reply = _parse(CaptionReply, good)
        _check_key(reply.key, key)
        _check_boot(response, reply.boot_id)
        return reply

    def _timeout(self, wait_s: float) -> httpx2.Timeout:
        return httpx2.Timeout(wait_s + _ANSWER_S, connect=_CONNECT_S, pool=None)


def _ascii(text: str) -> str:
    """Escape what is not ASCII: JSON inside an HTTP header."""
    return "".join(c if " " <= c <= "~" else _escape(c) for c in text)


def _escape(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i]:02x}{raw[i + 1]:02x}" for i in range(0, len(raw), 2))


def _fields(request: CaptionRequest) -> dict[str, str]:
    """Return the request as form fields, for one that is too long for a header."""
    fields: dict[str, Any] = request.model_dump(exclude_none=True, exclude_defaults=True)
    fields |= fields.pop("generation", {})
    if "prompt_options" in fields:
        fields["prompt_options"] = ",".join(fields["prompt_options"])
    if "prompt_variables" in fields:
        fields["prompt_variables"] = json.dumps(fields["prompt_variables"])
    if "tagging" in fields:
        fields["tagging"] = json.dumps(fields["tagging"])
    return {name: str(value) for name, value in fields.items()}


@asynccontextmanager
async def _seam(url: str) -> AsyncIterator[None]:
    try:
        yield
    except (httpx2.RequestError, httpx2.StreamError) as error:
        if is_proxys_refusal(error):
            raise WorkerUnreachable(PROXY_REFUSED.format(url=url), hint=PROXY_HINT) from error
        reason = str(error) or type(error).__name__
        raise WorkerUnreachable(f"The worker at {url} does not answer: {reason}") from error
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is not the URL of a worker: {error}") from error


def _require_worker(response: httpx2.Response, url: str) -> None:
    if WORKER_HEADER not in response.headers:
        if response.status_code == PROXY_STATUS:
            raise WorkerUnreachable(PROXY_REFUSED.format(url=url), hint=PROXY_HINT)
        raise WorkerUnreachable(
            f"No captiv worker answers at {url} (HTTP {response.status_code}).",
            hint="Is it running there? A server of another kind may speak --protocol openai.",
        )


def _check_key(told: str | None, asked: str) -> None:
    if told != asked:
        _log.warning("answer mixed up asked=%s told=%s", asked, told)
        raise AnswerMixedUp("for another image")


def _check_boot(response: httpx2.Response, told: str) -> None:
    """Refuse a body that is not of the worker that the header names: they came together."""
    if told != response.headers[WORKER_HEADER]:
        raise AnswerMixedUp("its body is another worker's than its header")


def _good(response: httpx2.Response, url: str, key: str | None = None) -> httpx2.Response:
    """Return a 2xx answer of the worker, or raise its problem as captiv's error.

    Args: `key` is the work that was asked about; a problem of other work is not believed.
    """
    _require_worker(response, url)
    if response.status_code < 300:
        return response
    problem = _parse(Problem, response)
    if problem.key is not None and key is not None:
        _check_key(problem.key, key)
    raise _problem(response, problem)


def _problem(response: httpx2.Response, problem: Problem) -> CaptivError:
    cls = error_class(problem.code)
    if cls is WorkerOverloaded:
        return WorkerOverloaded(problem.detail, retry_after_s=_retry_after(response))
    if cls is UnknownKey:
        return UnknownKey(problem.detail, suspect=problem.suspect, killed=problem.killed)
    if cls is EngineFailed:
        return EngineFailed(problem.detail, suspect=problem.suspect)
    if cls is not None and issubclass(cls, ImageError | WorkerError):
        return cls(problem.detail)
    if response.status_code == 503:
        return WorkerNotReady(problem.detail)
    if 400 <= response.status_code < 500:
        return WorkerRejected(problem.detail)
    return WorkerError(problem.detail)


def _retry_after(response: httpx2.Response) -> float:
    try:
        return min(60.0, max(0.05, float(response.headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0


def _parse(cls: type[_Answer], response: httpx2.Response) -> _Answer:
    try:
        return cls.model_validate_json(response.content)
    except ValidationError as error:
        raise WorkerMismatch(
            f"The answer of {response.request.url.path} is not one of this protocol.",
            hint="Install the same version of captiv on both sides.",
        ) from error
