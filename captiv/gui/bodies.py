"""What a request asks for, as a value."""

import json
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from captiv.errors import UsageError

Body = TypeVar("Body", bound=BaseModel)


async def body_of(request: Request, kind: type[Body], *, most_bytes: int, wrong: str) -> Body:
    """Return the body of a request.

    Raises:
        UsageError: it is nothing of the kind (`wrong` says so), or longer than `most_bytes`.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise UsageError("This is too long.")
    try:
        json.dumps(content := json.loads(body), ensure_ascii=False).encode()  # no lone surrogates
        return kind.model_validate(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(wrong) from error
