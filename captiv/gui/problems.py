"""How errors travel to the page: `application/problem+json` with captiv's stable codes."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from captiv.editing import version
from captiv.errors import (
    CaptionChanged,
    CaptivError,
    ConfigurationError,
    ImageError,
    ImageMissing,
    ModelError,
    ProviderError,
    SidecarError,
    StoreError,
    UsageError,
    WorkerError,
)

_STATUS: Final[tuple[tuple[type[CaptivError], int], ...]] = (
    (CaptionChanged, 409),
    (ImageMissing, 404),
    (ImageError, 422),
    (UsageError, 400),
    (ConfigurationError, 409),
    (ModelError, 409),
    (SidecarError, 500),
    (StoreError, 503),
    (ProviderError, 502),
    (WorkerError, 502),
)


class Gone(CaptivError):
    """What was asked for is not there (any more)."""

    code = "gone"


class Forbidden(CaptivError):
    """Who asks may not have this done."""

    code = "refused_right"


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """Return an answer that says what is wrong."""
    content = {"status": status, "code": code, "detail": detail, **more}
    return JSONResponse(content, status, media_type="application/problem+json")


async def told(request: Request, error: Exception) -> Response:
    """Turn an error of captiv's into an answer."""
    assert isinstance(error, CaptivError)
    more: dict[str, Any] = {"hint": error.hint} if error.hint else {}
    if isinstance(error, CaptionChanged):
        more |= {"text": error.text, "version": version(error.text)}
    return problem(_status(error), error.code, error.message, **more)


def _status(error: CaptivError) -> int:
    if isinstance(error, Gone):
        return 404
    if isinstance(error, Forbidden):
        return 403
    return next((status for cls, status in _STATUS if isinstance(error, cls)), 500)
