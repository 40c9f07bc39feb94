"""From an HTTP request to one image and what is asked about it. Everything stays in memory.

Two forms. Raw: the body is the image, the `Captiv-Request` header is a CaptionRequest as ASCII
JSON. Multipart: the field `image` is the image, every other field is one setting; `prompt_options`
is comma separated, `prompt_variables` is `k=v` comma separated or a JSON object.

A body may have MAX_IMAGE_BYTES (and a multipart body its other fields besides). A longer one is
refused before it is read where it says its length, and else as soon as the count passes the limit.
"""

import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from captiv.wire import (
    KEY_HEADER,
    MAX_IMAGE_BYTES,
    MAX_REQUEST_HEADER_BYTES,
    MAX_VALUE_BYTES,
    MAX_WAIT_S,
    REQUEST_HEADER,
    CaptionRequest,
    Generation,
)
from captiv_worker.problems import Rejection, reject

MAX_FIELDS_BYTES = 256 * 1024
"""What a multipart body may hold besides the image."""

MAX_KEY_CHARS = 255
IDLE_S = 30.0
"""A body that brings nothing for so long is given up, and its permit given back."""

_MAX_FIELDS = 64
_GENERATION = tuple(Generation.model_fields)
_PLAIN = ("model", "variant", "mode", "length", "prompt", "answer_schema")
_FIELDS = (*_PLAIN, "prompt_options", "prompt_variables", "tagging", *_GENERATION)
_WAIT = re.compile(
    r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9}(?:\.\d{1,9})?)"?\s*(?:$|[,;])', re.IGNORECASE
)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?:$|[,;])", re.IGNORECASE)
_KEY = re.compile(r"[!-~]+")

_Value = TypeVar("_Value", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked:
    """One image and what is asked about it."""

    request: CaptionRequest
    image: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may be waited for; `applied` is what Preference-Applied says of it."""

    wait_s: float
    applied: str | None = None


def patience(headers: Headers, *, default_s: float) -> Patience:
    """Return the wait that `Prefer` asks for (RFC 7240), at most MAX_WAIT_S."""
    preferred = ", ".join(headers.getlist("prefer"))
    found = _WAIT.search(preferred)
    if found:
        wait_s = min(float(found[1]), MAX_WAIT_S)
        return Patience(wait_s, f"wait={wait_s:g}")
    if _ASYNC.search(preferred):
        return Patience(0.0, "respond-async")
    return Patience(default_s)


def key_of(headers: Headers) -> str | None:
    """Return the name that the client gives to the work, or None."""
    key = headers.get(KEY_HEADER)
    if key is None:
        return None
    if len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key):
        raise reject(
            422, f"{KEY_HEADER} is 1 to {MAX_KEY_CHARS} visible ASCII characters, no spaces."
        )
    return key


def check(request: Request) -> None:
    """Refuse what need not be read: a body that says it is too long, or is neither form."""
    length = request.headers.get("content-length", "0")
    limit = _limit(request)
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    kind = _media_type(request)
    if not (
        kind.startswith("image/") or kind in ("", "application/octet-stream", "multipart/form-data")
    ):
        raise reject(
            415,
            f"Send the image as the body with a Content-Type of image/*, or as the field `image` "
            f"of multipart/form-data (curl: -F image=@FILE), not as {kind}.",
        )


async def read(request: Request) -> Asked:
    """Return the image and the request of this body, whichever form it has.

    Raises: Rejection; ClientDisconnect if the client left before the body was whole.
    """
    if _media_type(request) == "multipart/form-data":
        return await _multipart(request)
    asked = _from_header(request.headers.get(REQUEST_HEADER))
    chunks = [chunk async for chunk in _body(request, _limit(request))]
    return Asked(asked, b"".join(chunks))


async def read_value(request: Request, cls: type[_Value]) -> _Value:
    """Return the value that the body is, as JSON.

    Raises: Rejection; ClientDisconnect if the client left before the body was whole.
    """
    body = b"".join([chunk async for chunk in _body(request, MAX_VALUE_BYTES)])
    fields = _parsed("The body", body)
    if not isinstance(fields, dict):
        raise reject(422, f"The body is a JSON object with: {', '.join(cls.model_fields)}.")
    return _validated(cls, fields, tuple(cls.model_fields))


def _from_header(text: str | None) -> CaptionRequest:
    if text is None:
        return CaptionRequest()
    if len(text) > MAX_REQUEST_HEADER_BYTES:
        raise reject(
            431,
            f"{REQUEST_HEADER} has {len(text)} bytes, and may have {MAX_REQUEST_HEADER_BYTES}: "
            "send the request as multipart/form-data.",
        )
    if not text.isascii():
        raise reject(400, f"{REQUEST_HEADER} is not ASCII: write \\u escapes.")
    fields = _parsed(REQUEST_HEADER, text)
    if not isinstance(fields, dict):
        raise reject(422, f"{REQUEST_HEADER} is a JSON object with: {', '.join(_KNOWN)}.")
    return _validated(CaptionRequest, fields, _KNOWN)


async def _multipart(request: Request) -> Asked:
    parser = _InMemory(
        request.headers,
        _body(request, _limit(request)),
        max_files=1,
        max_fields=_MAX_FIELDS,
        max_part_size=MAX_FIELDS_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise reject(400, f"The multipart body is malformed: {error.message}") from error
    try:
        if not parser.ended:
            raise reject(400, "The multipart body ends before its last boundary.")
        fields, image = await _fields_of(form)
    finally:
        await form.close()
    if image is None:
        raise reject(422, "The field `image` is missing, or no file (curl: -F image=@FILE).")
    if len(image) > MAX_IMAGE_BYTES:
        raise _too_large(MAX_IMAGE_BYTES)
    return Asked(_from_fields(fields), image)


async def _fields_of(form: FormData) -> tuple[dict[str, str], bytes | None]:
    fields: dict[str, str] = {}
    image: bytes | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "image":
                raise _unknown_field(name)
            image = await value.read()
        elif name in fields:
            raise reject(422, f"The field {name!r} is given twice.")
        else:
            fields[name] = value
    return fields, image


class _InMemory(MultiPartParser):
    """Starlette's parser, except that no part ever goes to a temporary file."""

    spool_max_size = MAX_IMAGE_BYTES + MAX_FIELDS_BYTES + 1
    ended = False

    def on_end(self) -> None:
        """Note the last boundary: a body without it was cut off."""
        self.ended = True


def _from_fields(fields: dict[str, str]) -> CaptionRequest:
    for name in fields:
        if name not in _FIELDS:
            raise _unknown_field(name)
    nested: dict[str, Any] = {name: fields[name] for name in _PLAIN if fields.get(name)}
    nested["prompt_options"] = tuple(_split(fields.get("prompt_options", "")))
    nested["prompt_variables"] = _variables(fields.get("prompt_variables", ""))
    nested["generation"] = {name: fields[name] for name in _GENERATION if fields.get(name)}
    nested["tagging"] = _object("tagging", fields["tagging"]) if fields.get("tagging") else None
    return _validated(CaptionRequest, nested, _FIELDS)


def _parsed(name: str, text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise reject(400, f"{name} isn't JSON: {error}.") from error


def _object(name: str, text: str) -> dict[str, Any]:
    found = _parsed(name, text)
    if not isinstance(found, dict):
        raise reject(422, f"{name} is a JSON object.")
    return found


def _variables(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return _object("prompt_variables", text)
    pairs = [part.partition("=") for part in _split(text)]
    if any(not sign for _, sign, _ in pairs):
        raise reject(422, "prompt_variables is name=value, comma separated, or a JSON object.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_KNOWN = tuple(CaptionRequest.model_fields)


def _validated(cls: type[_Value], fields: dict[str, Any], known: tuple[str, ...]) -> _Value:
    try:
        return cls.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _GENERATION if name.startswith("generation.") else known
            raise _unknown_field(name, known) from error
        raise reject(422, f"{name}: {first['msg']}.") from error


def _unknown_field(name: str, known: tuple[str, ...] = ("image", *_FIELDS)) -> Rejection:
    return reject(422, f"There is no field {name!r}. The fields: {', '.join(known)}.")


async def _body(request: Request, limit: int) -> AsyncGenerator[bytes]:
    """Yield the body as it comes, refusing one that grows too long or stands still."""
    count = 0
    chunks = aiter(request.stream())
    while True:
        try:
            with anyio.fail_after(IDLE_S):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise reject(408, f"The body brought nothing for {IDLE_S:.0f} s.") from None
        count += len(chunk)
        if count > limit:
            raise _too_large(limit)
        yield chunk


def _limit(request: Request) -> int:
    multipart = _media_type(request) == "multipart/form-data"
    return MAX_IMAGE_BYTES + (MAX_FIELDS_BYTES if multipart else 0)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limit: int) -> Rejection:
    if limit == MAX_VALUE_BYTES:
        return reject(413, f"A body of JSON may have {limit // 1024} kB.")
    return reject(413, f"An image may have {limit / 1024**2:.0f} MB as it is sent.")


__all__ = [
    "Asked",
    "ClientDisconnect",
    "Patience",
    "check",
    "key_of",
    "patience",
    "read",
    "read_value",
]
