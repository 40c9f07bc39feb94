"""What a chat server's refusals mean to captiv: whose fault it is, and what to do about it."""

import json
import re
from typing import Any

from captiv.errors import (
    CaptivError,
    EngineFailed,
    NoWorker,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerRefused,
    WorkerRejected,
    WorkerUnreachable,
)

_GATEWAY = {502, 504, *range(520, 528)}
"""Said by something in between: the server is away."""
_BUSY_S = 1.0
_LONGEST_S = 60.0
_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum context|max_model_len|too many tokens|n_ctx"
    r"|exceeds? the (available )?context|longer than the maximum",
    re.IGNORECASE,
)
_UNPAID = re.compile(r"insufficient_quota|billing|credit balance|payment", re.IGNORECASE)


def refusal(
    status: int, body: bytes, headers: Any, *, url: str, model: str, key: str | None
) -> CaptivError:
    """Return the error that this answer stands for; a server that repeats the key is not quoted."""
    words = said_by(body) or f"HTTP {status}"
    if key:
        words = words.replace(key, "********")
    told = f"The server at {url} refuses: {words}"
    if status in (401, 403):
        return WorkerRefused(told, hint="Set CAPTIV_WORKER_TOKEN to the key of this server.")
    if status == 402 or (status == 429 and _UNPAID.search(words)):
        return NoWorker(told, hint="Nothing is lost: the same command resumes.")
    if status in (429, 503):
        return WorkerOverloaded(told, retry_after_s=_retry_after(headers))
    if status == 404:
        missing = f"has no model {model}" if model else "lists no models"
        return WorkerMismatch(
            f"The server at {url} {missing}, or answers elsewhere: {words}",
            hint="Give the address that its /models and /chat/completions are below.",
        )
    if 300 <= status < 400:
        where = headers.get("location", "another address")
        return WorkerMismatch(f"The server at {url} points to {where}.", hint="Use that address.")
    if status in _GATEWAY or status == 408:
        return WorkerUnreachable(f"The server at {url} is away (HTTP {status}).")
    if status >= 500 and status != 501:
        return EngineFailed(f"The server failed: {words}")
    return _rejected(told, words)


def _rejected(told: str, words: str) -> WorkerRejected:
    if _TOO_LONG.search(words):
        return WorkerRejected(
            f"{told} Image, prompt and answer together are too long for the model's context.",
            hint="Allow fewer --max-new-tokens, or start the server with a longer context.",
        )
    return WorkerRejected(told)


def said_by(body: bytes) -> str:
    """Return the server's own words, on one line: OpenAI's form, FastAPI's, or plain text."""
    try:
        reply = json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace")
        return "" if "<html" in text.lower() else _line(text)
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    if isinstance(error, dict):
        words = error.get("message") or error.get("detail") or error
        code = error.get("code") or error.get("type")
        text = words if isinstance(words, str) else json.dumps(words)
        return _line(f"{text} ({code})" if isinstance(code, str) else text)
    return _line(error if isinstance(error, str) else json.dumps(error))


def _line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 300 else f"{joined[:300]}…"


def _retry_after(headers: Any) -> float:
    try:
        return min(_LONGEST_S, max(0.05, float(headers.get("retry-after", _BUSY_S))))
    except ValueError:
        return _BUSY_S
