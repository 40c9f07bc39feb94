"""The server: its routes over one worker."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from captiv.catalog import FAMILIES, choose, describe, describe_modes, family_named
from captiv.errors import CaptivError, WorkerOverloaded
from captiv.offload import offload
from captiv.wire import (
    MAX_WAIT_S,
    Accepted,
    CaptionReply,
    GuardLimits,
    ModelChange,
    ModelsReply,
)
from captiv_worker import problems
from captiv_worker.auth import Auth, Signed
from captiv_worker.requests import Patience, check, key_of, patience, read, read_value
from captiv_worker.work import Opened, Work, fingerprint
from captiv_worker.worker import Worker

_RETRY_AFTER_S = 1.0


def create_app(worker: Worker) -> ASGIApp:
    """Return the server over this worker, which loads when the server starts.

    The rings lie outside Starlette, so that they hold for its own answers to defects too.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with worker.running():
            yield

    routes = _Routes(worker)
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", routes.health, methods=["GET"]),
            Route("/api/caption", routes.caption, methods=["POST"]),
            Route("/api/caption/{key:path}", routes.caption_again, methods=["GET"]),
            Route("/api/models", routes.models, methods=["GET"]),
            Route("/api/modes/{model:path}", routes.modes, methods=["GET"]),
            Route("/api/model", routes.load, methods=["PUT"]),
            Route("/api/guard", routes.guard, methods=["PUT"]),
        ],
        exception_handlers={
            problems.Rejection: problems.on_rejection,
            CaptivError: problems.on_captiv_error,
            HTTPException: problems.on_http_exception,
            Exception: problems.on_unexpected,
        },
    )
    inner = Auth(app, token_sha256=worker.settings.token_sha256, spoken=worker.spoken)
    return Signed(inner, boot_id=worker.boot_id)


class _Routes:
    """One method a route."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def health(self, _request: Request) -> Response:
        """Tell anyone how the worker is."""
        health = self._worker.status.health
        return _json(health, status_code=200 if health.status == "ready" else 503)

    async def caption(self, request: Request) -> Response:
        """Caption one image, or join the work under its key."""
        self._worker.status.require_ready()
        check(request)
        key = request.state.key = key_of(request.headers) or secrets.token_hex(16)
        waits = patience(request.headers, default_s=MAX_WAIT_S)
        try:
            work = await self._admit(request, key)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        return await _answer(work, waits)

    async def caption_again(self, request: Request) -> Response:
        """Tell how the work under a key ended, or that it has not."""
        key = request.state.key = str(request.path_params["key"])
        work = self._worker.store.find(key)
        if work is None:
            raise problems.unknown_key(
                suspect=key in self._worker.suspects, killed=self._worker.settings.killed
            )
        return await _answer(work, patience(request.headers, default_s=0.0))

    async def models(self, _request: Request) -> Response:
        """Tell what the catalog has, and what is loaded."""
        health = self._worker.status.health
        ready = health.status == "ready"
        return _json(
            ModelsReply(
                loaded=health.model if ready else None,
                loaded_variant=health.variant if ready else None,
                source=self._worker.source,
                models=[describe(family) for family in FAMILIES],
            )
        )

    async def modes(self, request: Request) -> Response:
        """Tell the modes, lengths and prompt options of one family, or of one variant."""
        name = str(request.path_params["model"])
        family = family_named(name)
        if family is None and (choice := choose(name)) is not None:
            family = choice.family
        if family is None:
            known = ", ".join(f.name for f in FAMILIES)
            raise problems.reject(
                404, f"There is no model {name!r}. Known: {known}.", code="not_found"
            )
        return _json(describe_modes(family))

    async def load(self, request: Request) -> Response:
        """Load another model, and tell how the worker is now."""
        try:
            change = await read_value(request, ModelChange)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        begun = self._worker.change(change)
        return _json(self._worker.status.health, status_code=202 if begun else 200)

    async def guard(self, request: Request) -> Response:
        """Give the guard of this pod new limits, and repeat them."""
        try:
            limits = await read_value(request, GuardLimits)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        await offload(self._worker.renew, limits)
        return _json(limits)

    async def _admit(self, request: Request, key: str) -> Work:
        """Read the body under a permit, which passes to the pipeline with new work."""
        permits = self._worker.permits
        if not permits.take():
            raise WorkerOverloaded(
                f"All {permits.total} permits are taken.", retry_after_s=_RETRY_AFTER_S
            )
        started = False
        try:
            asked = await read(request)
            ask = self._worker.ask(asked.request)
            opened, work = self._worker.store.open(key, fingerprint(asked.request, asked.image))
            if opened is Opened.REUSED:
                raise problems.reject(
                    422,
                    "This key names other work: another image or other settings.",
                    code=problems.KEY_REUSED,
                )
            if opened is Opened.NEW:
                self._worker.pipeline.start(work, asked.image, ask)
                started = True
            return work
        finally:
            if not started:
                permits.give()


async def _answer(work: Work, waits: Patience) -> Response:
    """Answer with how the work ended, or 202 if that takes longer than the client waits."""
    with anyio.move_on_after(waits.wait_s):
        await work.done.wait()
    headers = {"Preference-Applied": waits.applied} if waits.applied else {}
    if work.ending is None:
        headers["Location"] = f"/api/caption/{quote(work.key, safe='')}"
        return _json(Accepted(key=work.key, status="running"), status_code=202, headers=headers)
    if isinstance(work.ending, CaptionReply):
        return _json(work.ending, headers=headers)
    return problems.respond(work.ending, headers, key=work.key)


def _json(
    reply: BaseModel, *, status_code: int = 200, headers: dict[str, str] | None = None
) -> Response:
    body = reply.model_dump_json().encode()
    return Response(body, status_code, headers, media_type="application/json")
