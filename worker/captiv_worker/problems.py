"""Every error as `application/problem+json` (RFC 9457) with one of captiv's codes.

Codes of the protocol's own, beside those of captiv.errors: `key_reused` 422 (the key names other
content), `worker_busy` 409, `not_found` 404, `method_not_allowed` 405, `internal` 500.
"""

import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from captiv.errors import (
    CaptivError,
    EngineFailed,
    ImageError,
    ModelError,
    UnknownKey,
    UsageError,
    WorkerBusy,
    WorkerMismatch,
    WorkerNotReady,
    WorkerOverloaded,
    WorkerRefused,
    WorkerRejected,
)
from captiv.wire import PROBLEM_TYPE, Problem

_log = logging.getLogger(__name__)

INVALID = WorkerRejected.code
KEY_REUSED = "key_reused"

_STATUS: tuple[tuple[type[CaptivError], int], ...] = (
    (ImageError, 422),
    (WorkerOverloaded, 429),
    (WorkerNotReady, 503),
    (ModelError, 503),
    (WorkerRefused, 401),
    (WorkerRejected, 422),
    (WorkerMismatch, 409),
    (EngineFailed, 500),
)

_TITLES = {
    400: "Malformed request",
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported content type",
    422: "Cannot be processed",
    429: "Too many requests",
    431: "Header too large",
    500: "Internal error",
    503: "Not ready",
}

NOT_READY_RETRY_S = 2
BUSY_RETRY_S = 2


class Rejection(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = dict(headers or {})


def problem(
    status: int, code: str, detail: str, *, suspect: bool = False, killed: bool = False
) -> Problem:
    """Return a problem of this status."""
    title = _TITLES.get(status, "Error")
    return Problem(
        title=title, status=status, detail=detail, code=code, suspect=suspect, killed=killed
    )


def reject(status: int, detail: str, *, code: str = INVALID) -> Rejection:
    """Return the rejection of a request that is wrong in itself."""
    return Rejection(problem(status, code, detail))


def busy(detail: str) -> Rejection:
    """Return the rejection of another model, for now."""
    headers = {"Retry-After": str(BUSY_RETRY_S)}
    return Rejection(problem(409, WorkerBusy.code, detail), headers)


def unknown_key(*, suspect: bool, killed: bool) -> Rejection:
    """Return the answer to a key that this life knows no work under."""
    detail = "This worker knows no work under this key."
    told = problem(404, UnknownKey.code, detail, suspect=suspect, killed=suspect and killed)
    return Rejection(told)


def problem_of(error: CaptivError) -> Problem:
    """Return the problem that tells this error."""
    status = next((status for cls, status in _STATUS if isinstance(error, cls)), 500)
    code = error.code
    if isinstance(error, UsageError):
        status, code = 422, INVALID
    detail = error.message if error.hint is None else f"{error.message} {error.hint}"
    return problem(status, code, detail)


def respond(
    told: Problem, headers: Mapping[str, str] | None = None, *, key: str | None = None
) -> Response:
    """Return the response that carries this problem; `key` names the work that it is about."""
    body = told.model_copy(update={"key": key}).model_dump_json().encode()
    extra = dict(headers or {})
    if told.status == 503:
        extra.setdefault("Retry-After", str(NOT_READY_RETRY_S))
    return Response(body, status_code=told.status, media_type=PROBLEM_TYPE, headers=extra)


async def on_rejection(request: Request, error: Exception) -> Response:
    """Answer a request that was rejected."""
    assert isinstance(error, Rejection)
    return respond(error.problem, error.headers, key=_key(request))


async def on_captiv_error(request: Request, error: Exception) -> Response:
    """Answer an error of captiv's own tree."""
    assert isinstance(error, CaptivError)
    headers = {}
    if isinstance(error, WorkerOverloaded):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return respond(problem_of(error), headers, key=_key(request))


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Answer what the routing refused."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, INVALID)
    return respond(problem(error.status_code, code, error.detail), error.headers)


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answer a defect without its details, which are in the log."""
    _log.error("request_failed path=%s", request.url.path, exc_info=error)
    told = problem(500, "internal", "The worker failed; its log says why.")
    return respond(told, key=_key(request))


def _key(request: Request) -> str | None:
    """Return the key of the work that a request is about, as far as it was read."""
    key: str | None = getattr(request.state, "key", None)
    return key
