"""A chat server that speaks OpenAI's protocol, for tests: real HTTP, real pictures, no model.

It answers with `scripted_caption` of the picture in the data URL, so that a test can tell that the
very picture, and the prompt, arrived. A rule of the test's own may answer otherwise.

    with ChatServer(models=["joy"], rule=lambda call: refused(429, "slow down")) as server:
        ...  # server.url, server.calls, server.most_at_once
"""

import base64
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import anyio
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from captiv.testing.engine import scripted_caption

_START_S = 30.0
_HELD_S = 0.01


@dataclass(frozen=True, slots=True)
class Call:
    """One POST /v1/chat/completions, taken apart."""

    number: int
    """Counted from 0 over the life of the server."""
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def image(self) -> Image.Image:
        """The picture in the data URL."""
        url = next(p for p in self._parts() if p["type"] == "image_url")["image_url"]["url"]
        head, _, data = url.partition(";base64,")
        assert head.startswith("data:image/"), head
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert Image.MIME[picture.format or ""] == head.removeprefix("data:")
        return picture

    @property
    def prompt(self) -> str | None:
        """The text beside the picture."""
        return next((p["text"] for p in self._parts() if p["type"] == "text"), None)

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return next((m["content"] for m in self.body["messages"] if m["role"] == "system"), None)

    def _parts(self) -> list[dict[str, Any]]:
        return list(next(m for m in self.body["messages"] if m["role"] == "user")["content"])


Rule = Callable[[Call], Response | None]
"""What to answer; None for a caption."""


def refused(status: int, message: str, code: str | None = None, **headers: str) -> Response:
    """Return an error in OpenAI's form."""
    error = {"message": message, "type": "error", "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": error}, status, named)


def answered(text: Any, *, finish: str = "stop", tokens: int = 7, **more: Any) -> Response:
    """Return an answer with this content; `more` goes into the message."""
    message = {"role": "assistant", "content": text, **more}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 800, "completion_tokens": tokens, "total_tokens": 800 + tokens}
    return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": usage})


def dropped() -> Response:
    """Return an answer that ends before it is whole: the connection is lost."""

    async def half() -> AsyncIterator[bytes]:
        yield b'{"choices": ['

    return StreamingResponse(half(), 200, {"Content-Length": "1000"}, "application/json")


@dataclass
class ChatServer:
    """A server on a port of its own, in a thread."""

    models: Sequence[str] = ("some-vlm",)
    key: str | None = None
    """The API key that it wants; None takes anybody."""
    rule: Rule = field(default=lambda _call: None)
    slots: int = 1_000
    """How many images it works on at once; the others wait, as llama.cpp has it."""
    answer_s: float = 0.0
    held: Callable[[Call], bool] = field(default=lambda _call: False)
    """Keeps an answer back for as long as this is true of its call."""
    listing: Response | None = None
    """What GET /v1/models says instead of the models."""
    calls: list[Call] = field(default_factory=list)
    most_at_once: int = 0
    """The largest number of images that were there, waiting ones included."""
    url: str = ""

    def __enter__(self) -> "ChatServer":
        app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )
        config = uvicorn.Config(
            app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._working: anyio.CapacityLimiter | None = None
        self._inside = 0
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_START_S)

    def _allows(self, request: Request) -> bool:
        return self.key is None or request.headers.get("authorization") == f"Bearer {self.key}"

    async def _models(self, request: Request) -> Response:
        if not self._allows(request):
            return refused(401, "Incorrect API key provided.", "invalid_api_key")
        if self.listing is not None:
            return self.listing
        data = [{"id": name, "object": "model", "created": 0} for name in self.models]
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        if not self._allows(request):
            return refused(401, "Incorrect API key provided.", "invalid_api_key")
        body = json.loads(await request.body())  # first: others may come while it does
        call = Call(len(self.calls), body, dict(request.headers))
        self.calls.append(call)
        self._inside += 1
        self.most_at_once = max(self.most_at_once, self._inside)
        try:
            return await self._worked_on(call)
        finally:
            self._inside -= 1

    async def _worked_on(self, call: Call) -> Response:
        otherwise = self.rule(call)
        if otherwise is not None:
            return otherwise
        if call.body["model"] not in self.models:
            return refused(404, f"The model `{call.body['model']}` does not exist.")
        self._working = self._working or anyio.CapacityLimiter(self.slots)
        async with self._working:
            await anyio.sleep(self.answer_s)
            while self.held(call):  # noqa: ASYNC110 - it is ended in another thread
                await anyio.sleep(_HELD_S)
        return answered(scripted_caption(call.image.convert("RGB"), call.prompt))
