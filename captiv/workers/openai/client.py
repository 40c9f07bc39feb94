"""The chat protocol over one pooled HTTP client, with the same calls as `WorkerClient`.

There are no keys and no permits. `result` knows nothing: what was lost on the way is sent again,
and, as nothing can tell whether it was computed, a person is told that it may be paid twice. An
image over which the connection is lost again and again is suspect.
"""

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import httpx2

from captiv import __version__
from captiv.clock import monotonic_s
from captiv.errors import (
    CaptivError,
    ConfigurationError,
    EngineFailed,
    NoWorker,
    UnknownKey,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerUnreachable,
)
from captiv.wire import (
    WORKER_HEADER,
    CaptionReply,
    CaptionRequest,
    Health,
    Loading,
    ModelsReply,
)
from captiv.workers.openai.exchange import body, said
from captiv.workers.openai.foretold import Foretelling, foretelling, warning
from captiv.workers.openai.pace import Pace
from captiv.workers.openai.refusals import refusal
from captiv.workers.openai.served import Wanted, is_named, listed, pick
from captiv.workers.transport import checked_token, is_loopback, tls

_log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_LIST_S = 15.0
_AGAIN_S = 1.0
"""How long after a loss the image is sent again."""
_SUSPECT_LOSSES = 3
"""So many connections lost over one image are no chance."""
_REFUSED_S = 600.0
"""A server that has refused everything for so long takes nothing any more."""
_BOOT_ID = "openai"
"""This protocol has none; one answer cannot be told from another."""
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_UNHELD = {400, 422}
"""Said, too, by a server that knows no `response_format`, or not with a schema."""
_UNLISTED = {404, 405, 500, 501}
"""A server that cannot list its models may still answer for one that was named."""


class OpenAiClient:
    """One chat server, and the model of it that is asked."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        wanted: Wanted,
        source: str | None,
        system: str | None,
        pace: Pace,
        timeout_s: float,
        on_note: Callable[[str], None],
    ) -> None:
        """Connect at the first call.

        Raises:
            ConfigurationError: no header can carry the token.
        """
        self._base = base_url(url)
        self._token = token
        self._wanted = wanted
        self._unproved = source
        """The checkpoint, until it is found out whether the server reads its prompts."""
        self._proof: Foretelling | None = None
        self._system = system
        self._pace = pace
        self._timeout_s = timeout_s
        self._on_note = on_note
        self._model = wanted.names[0]
        self._holding = True
        """Until the server takes a request only without the schema to hold its answer to."""
        self._losses: Counter[str] = Counter()
        self._refused_since: float | None = None
        self._slowed = 0.0
        """When the pace was last halved: refusals of what was sent before tell nothing new."""
        self._noted: set[str] = set()
        self.heard_s = monotonic_s()
        self._http = _http(self._base, token, connections=pace.ceiling + 2, timeout_s=timeout_s)
        self._http.event_hooks = {"response": [self._hear]}

    async def _hear(self, _response: httpx2.Response) -> None:
        self.heard_s = monotonic_s()

    async def aclose(self) -> None:
        """Close every connection, once it is known what the first prompt should have been."""
        proof, self._proof = self._proof, None
        try:
            if proof is not None:
                await self._last_proof(proof)
        finally:
            await self._http.aclose()

    async def health(self) -> Health:
        """Return `ready` with the model that is asked, or `loading` while the server says so.

        Raises:
            WorkerUnreachable: nothing answers.
            WorkerRefused: it does not accept the key.
            WorkerMismatch: it serves no such model, or speaks another protocol.
        """
        async with _seam(self._base):
            response = await self._http.get("/models", timeout=_LIST_S)
        if response.status_code in (429, 503):
            return self._health("loading", "busy")
        named = self._wanted.strict and response.status_code in _UNLISTED
        if not named or WORKER_HEADER in response.headers:
            served = _listed(response, self._base, self._token)
            self._model = pick(served, self._wanted, self._base)
            if self._model not in self._wanted.names:
                self._note(f"Asking {self._base} for {self._model} as {self._wanted.names[0]}.")
        return self._health("ready")

    async def models(self) -> ModelsReply:
        """Return what is asked; the key was proved by `health`."""
        return ModelsReply(loaded=self._model, loaded_variant=None, models=[])

    async def caption(
        self, image: bytes, media_type: str, request: CaptionRequest, key: str, *, wait_s: float
    ) -> CaptionReply | None:
        """Send one image and return its caption, however long that takes below the time limit.

        Raises:
            WorkerOverloaded: it takes no more at the moment.
            EngineFailed: it failed, or did not answer in time.
            WorkerError: anything else; nothing here is plainly the image's fault.
        """
        await self._begin_proof(request, image)
        sent = monotonic_s()
        holding = self._holding and request.answer_schema is not None
        response = await self._post(image, media_type, request, holding=holding)
        if holding and response.status_code in _UNHELD:
            sent = monotonic_s()
            response = await self._post(image, media_type, request, holding=False)
            if response.status_code == 200:
                self._take_unheld()
        took_s = monotonic_s() - sent
        if response.status_code != 200:
            raise self._refused(response, sent)
        answer = said(_json(response, self._base))
        self._refused_since = None
        self._losses.pop(key, None)
        self._pace = self._pace.answered(took_s)
        if (proof := self._proof) is not None:
            proof.answered(request.prompt, image, answer.read)
            if proof.done or proof.late:
                self._proof = None
                await self._compare(proof)
        return CaptionReply(
            caption=answer.text,
            model=request.model or self._model,
            variant=self._model,
            prompt=request.prompt,
            finish=answer.finish,
            tokens=answer.tokens,
            engine_s=took_s,
            max_batch=self._pace.limit,
            permits=self._pace.limit,
            key=key,
            boot_id=_BOOT_ID,
        )

    async def _post(
        self, image: bytes, media_type: str, request: CaptionRequest, *, holding: bool
    ) -> httpx2.Response:
        asked = body(self._model, self._system, request, image, media_type, holding=holding)
        async with _seam(self._base, self._in_doubt):
            try:
                return await self._http.post("/chat/completions", content=asked)
            except httpx2.ReadTimeout as error:
                self._in_doubt()
                raise EngineFailed(f"No answer came within {self._timeout_s:g} s.") from error

    def _take_unheld(self) -> None:
        """Ask for objects by the prompt alone from now on."""
        self._holding = False
        self._note(
            f"{self._base} doesn't take a schema to hold its answers to. The prompt asks for it, "
            "and captiv checks each answer."
        )

    async def result(self, key: str, *, wait_s: float) -> CaptionReply | None:
        """Say that nothing is known of this work, a moment after it was lost.

        Raises:
            UnknownKey: always; `suspect` if the connection was lost over it again and again.
        """
        await anyio.sleep(min(_AGAIN_S, wait_s))
        self._losses[key] += 1
        suspect = self._losses[key] >= _SUSPECT_LOSSES
        raise UnknownKey("This server cannot be asked for an answer again.", suspect=suspect)

    async def _begin_proof(self, request: CaptionRequest, image: bytes) -> None:
        """Have the first prompt foretold, while the server reads it."""
        source = self._unproved
        if source is None or not is_named(self._model, self._wanted):
            return
        self._unproved = None
        self._proof = await foretelling(source, self._system, request.prompt, image)

    async def _compare(self, proof: Foretelling) -> None:
        """Tell a person if the prompt was read otherwise than the model's authors have it."""
        should = await proof.tokens()
        if proof.read is not None and should not in (None, proof.read):
            self._note(warning(self._base, proof.source, proof.read, should))

    async def _last_proof(self, proof: Foretelling) -> None:
        try:
            await proof.awaited()
            await self._compare(proof)
        finally:
            await proof.abandon()

    def _health(self, status: Literal["ready", "loading"], phase: str | None = None) -> Health:
        return Health(
            status=status,
            worker=self._base,
            boot_id=_BOOT_ID,
            model=self._model,
            max_batch=self._pace.limit,
            permits=self._pace.limit,
            loading=Loading(phase=phase) if phase else None,
        )

    def _refused(self, response: httpx2.Response, sent: float) -> CaptivError:
        error = refusal(
            response.status_code,
            response.content,
            response.headers,
            url=self._base,
            model=self._model,
            key=self._token,
        )
        if isinstance(error, WorkerUnreachable):
            self._in_doubt()
        if not isinstance(error, WorkerOverloaded):
            return error
        now = monotonic_s()
        if sent > self._slowed:
            self._pace, self._slowed = self._pace.refused(), now
        self._refused_since = self._refused_since or now
        if now - self._refused_since > _REFUSED_S:
            return NoWorker(error.message, hint="It has taken nothing for ten minutes.")
        return error

    def _in_doubt(self) -> None:
        """An answer was lost on the way, or came too late: it may have been computed."""
        self._note(
            f"An answer of {self._base} was lost. This protocol cannot ask for it again: the image "
            "is sent once more, and where answers are paid for, it may be paid twice."
        )

    def _note(self, text: str) -> None:
        _log.info("openai note text=%r", text)
        if text not in self._noted:
            self._noted.add(text)
            self._on_note(text)


def base_url(url: str) -> str:
    """Return where the protocol begins: a bare address has it below /v1, any other as given."""
    address = url.rstrip("/")
    return address if "/" in address.partition("://")[2] else f"{address}/v1"


async def served_models(url: str, token: str | None) -> list[str]:
    """Return the models that a server lists.

    Raises:
        WorkerError: it does not answer, or not in this protocol.
    """
    base = base_url(url)
    async with _http(base, token, connections=1) as http, _seam(base):
        response = await http.get("/models", timeout=_LIST_S)
    return _listed(response, base, token)


def _listed(response: httpx2.Response, base: str, token: str | None) -> list[str]:
    if WORKER_HEADER in response.headers:
        raise WorkerMismatch(
            f"What answers at {base} is a worker of captiv's.", hint="Leave --protocol openai out."
        )
    if response.status_code != 200:
        error = refusal(
            response.status_code, response.content, response.headers, url=base, model="", key=token
        )
        passing = isinstance(error, EngineFailed | WorkerOverloaded)
        raise WorkerUnreachable(error.message) if passing else error
    found = listed(_json(response, base))
    if found is None:
        raise _no_server(base)
    return found


def _json(response: httpx2.Response, base: str) -> Any:
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise _no_server(base) from error


def _no_server(base: str) -> WorkerMismatch:
    return WorkerMismatch(
        f"What answers at {base} does not speak OpenAI's protocol.",
        hint="Give the address that its /models and /chat/completions are below.",
    )


def _http(
    base: str, token: str | None, *, connections: int, timeout_s: float = _LIST_S
) -> httpx2.AsyncClient:
    headers = {"User-Agent": f"captiv/{__version__}", "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {checked_token(token)}"
    return httpx2.AsyncClient(
        base_url=base,
        headers=headers,
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        timeout=httpx2.Timeout(timeout_s, connect=_CONNECT_S, pool=None),
        verify=tls(base),
        trust_env=not is_loopback(base),
    )


@asynccontextmanager
async def _seam(base: str, in_doubt: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    try:
        yield
    except (httpx2.RequestError, httpx2.StreamError) as error:
        if not isinstance(error, _NOT_SENT):
            in_doubt()
        reason = str(error) or type(error).__name__
        raise WorkerUnreachable(f"The server at {base} does not answer: {reason}") from error
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{base!r} is not the URL of a server: {error}") from error
