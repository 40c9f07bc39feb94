"""What is asked of a chat server, and what it answers: pure."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from captiv.core.thinking import without_thinking
from captiv.errors import AnswerError, WorkerMismatch
from captiv.wire import CaptionRequest, Generation, in_chat


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    text: str
    finish: Literal["stop", "length"]
    tokens: int
    read: int | None = None
    """How many tokens the prompt had, the image's among them."""


def body(
    model: str,
    system: str | None,
    request: CaptionRequest,
    image: bytes,
    media_type: str,
    *,
    holding: bool = True,
) -> bytes:
    """Return the body of POST /v1/chat/completions for one image.

    Args: `holding`: whether the server is to hold the answer to the schema, if there is one.
    """
    data = f"data:{media_type};base64,{base64.b64encode(image).decode('ascii')}"
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data}}]
    if request.prompt:
        content.append({"type": "text", "text": request.prompt})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    asked = {"model": model, "messages": messages, "stream": False}
    form = _form(request) if holding else {}
    return json.dumps(asked | _decoding(request.generation) | form).encode()


def _form(request: CaptionRequest) -> dict[str, Any]:
    """Return how the server is held to the schema of the answer, if there is one."""
    if request.answer_schema is None:
        return {}
    form = {"name": "answer", "schema": json.loads(request.answer_schema)}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _decoding(generation: Generation) -> dict[str, Any]:
    """Return the settings under the names that the server may know, where they change something."""
    fields: dict[str, Any] = {}
    for name, value in generation.model_dump(exclude_none=True).items():
        told = in_chat(name)
        if value == told.idle or (told.sampling and generation.temperature == 0):
            continue
        fields |= dict.fromkeys(told.names, value)
    return fields


def said(reply: Any) -> Said:
    """Return what a server's answer says.

    Raises:
        WorkerMismatch: it is no answer of this protocol.
        AnswerError: the model thought until it had to stop, or a filter took its answer away.
    """
    try:
        choice = reply["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text = _text(message.get("content"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise WorkerMismatch("The server's answer is not one of OpenAI's chat protocol.") from error
    if reason == "content_filter":
        raise AnswerError("The server's content filter took the answer away.")
    if not text.strip() and (message.get("reasoning_content") or message.get("reasoning")):
        raise _only_thought()
    answer = without_thinking(text)
    if answer is None:
        raise _only_thought()
    usage = reply.get("usage") or {}
    tokens, read = usage.get("completion_tokens"), usage.get("prompt_tokens")
    return Said(
        answer.strip(),
        "length" if reason == "length" else "stop",
        tokens if isinstance(tokens, int) else 0,
        read if isinstance(read, int) else None,
    )


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError("no text")
    return content


def _only_thought() -> AnswerError:
    return AnswerError(
        "The model thought until it had to stop, and gave no answer: switch its thinking off at "
        "the server, or allow more with --max-new-tokens."
    )
