"""Stands for vLLM in tests: its command line, its routes, its batches; the answers are scripted.

    python -m captiv.testing.vllm --script JSON serve CHECKPOINT --port N ...

It reads the checkpoint's own tokenizer and the chat template that it is given, so that
`usage.prompt_tokens` is what that template really makes. It batches continuously, in steps whose
times are drawn by seed; each request takes a number of steps that is drawn from its picture. Like
vLLM it drops a request whose client has left, and has a child process, which a death of the server
alone would leave behind.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from captiv.testing.chat import Call, refused
from captiv.testing.engine import mean_colour, scripted_caption, scripted_object

VERSION = "0.33.0"
_CHILD = "import time; time.sleep(3600)"
_LEADING = {"clip_vision_model": 1}
_MARKS = ("bos_token", "eos_token", "pad_token")
_WORD = "<image>"
"""What vLLM writes for a LLaVA's image into a text."""
_UNIMPLEMENTED = ("uniqueItems", "minProperties", "maxProperties", "format", "oneOf")
"""Keywords of a schema that vLLM's grammars refuse, or refuse of most schemas."""


@dataclass(frozen=True, slots=True)
class Script:
    """How it behaves. `*_on` lists name colours of pictures, as `mean_colour` gives."""

    load_s: float = 0.0
    refuses: str | None = None
    """It ends while it loads, with this line."""
    step_s: float = 0.002
    """Mean time of a step."""
    steps: float = 10.0
    """Mean number of steps of an answer; two in a hundred take five times as many."""
    miscount: int = 0
    """So many tokens are added to each prompt, as by a template that is not the model's."""
    die_on: Sequence[str] = ()
    """The server ends at once, by SIGKILL."""
    sicken_on: Sequence[str] = ()
    """Its engine dies: every answer is 500 from then on, its health 503."""
    hang_on: Sequence[str] = ()
    """The request is never answered, and keeps its room."""
    hold: str | None = None
    """While this file exists, no step is made."""
    fail_on: Sequence[str] = ()
    """The request alone is answered with 500."""
    trace: str | None = None
    """A file that gets a line with the time for each request that comes (+) and ends (-)."""
    kept: str | None = None
    """A file that gets each request's body, one a line."""


@dataclass(slots=True)
class _Sequence:
    left: int
    done: anyio.Event = field(default_factory=anyio.Event)


class _Scheduler:
    """Runs the requests step by step; one that waits joins as soon as there is room."""

    def __init__(self, most: int, script: Script) -> None:
        self._most = most
        self._script = script
        self._random = random.Random(7)
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._came = anyio.Event()

    async def run_through(self, steps: int) -> None:
        """Return when so many steps were made for this request; cancelled, give its room back."""
        sequence = _Sequence(steps)
        self._waiting.append(sequence)
        self._came.set()
        try:
            await sequence.done.wait()
        finally:
            sequence.left = 0

    async def steps(self) -> None:
        """Make steps for ever."""
        while True:
            while self._waiting and len(self._running) < self._most:
                self._running.append(self._waiting.popleft())
            if not self._running:
                self._came = anyio.Event()
                await self._came.wait()
                continue
            await anyio.sleep(self._script.step_s * self._random.uniform(0.5, 1.5))
            if self._held():
                continue
            for sequence in self._running:
                sequence.left -= 1
                if sequence.left <= 0:
                    sequence.done.set()
            self._running = [s for s in self._running if s.left > 0]

    def _held(self) -> bool:
        return self._script.hold is not None and os.path.exists(self._script.hold)


class _Checkpoint:
    """Counts the tokens of a prompt as vLLM does: the text's, and the picture's in its place."""

    def __init__(self, path: Path, template: str, *, in_parts: bool) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from tokenizers import Tokenizer

        self._in_parts = in_parts
        told = json.loads((path / "tokenizer_config.json").read_text())
        self._marks = {n: t for n, t in told.items() if n in _MARKS and isinstance(t, str)}
        self._config = json.loads((path / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(template)
        config = self._config
        self._image = config.get("image_token_id", config.get("image_token_index"))

    def prompt_tokens(self, call: Call) -> int:
        """Return the count; ValueError where the picture has no place, or more than one."""
        turns = [
            {"role": turn["role"], "content": self._content(turn["content"])}
            for turn in call.body["messages"]
        ]
        text = self._template.render(messages=turns, add_generation_prompt=True, **self._marks)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if ids.count(self._image) != 1:
            raise ValueError("Failed to apply prompt replacement for mm_items['image'][0]")
        return len(ids) - 1 + self._image_tokens(*call.image.size)

    def _content(self, content: Any) -> Any:
        """Return what a template is given: parts, or one text with a word for the image."""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if self._in_parts:
            return [{"type": "image"} if p["type"] == "image_url" else p for p in parts]
        return "\n".join(_WORD if p["type"] == "image_url" else p["text"] for p in parts)

    def _image_tokens(self, width: int, height: int) -> int:
        vision = self._config["vision_config"]
        patch: int = vision["patch_size"]
        if "spatial_merge_size" in vision:
            side: int = patch * vision["spatial_merge_size"]
            return max(1, round(width / side)) * max(1, round(height / side))
        strategy = self._config.get("vision_feature_select_strategy", "default")
        leading = _LEADING.get(vision["model_type"], 0)
        return int((vision["image_size"] // patch) ** 2 + leading - (strategy == "default"))


class _Server:
    def __init__(self, options: argparse.Namespace, script: Script) -> None:
        model = Path(options.model)
        template = Path(options.chat_template or model / "chat_template.jinja").read_text()
        in_parts = options.chat_template_content_format == "openai"
        self._checkpoint = _Checkpoint(model, template, in_parts=in_parts)
        self._options = options
        self._script = script
        self._scheduler = _Scheduler(options.max_num_seqs, script)
        self._name = options.served_model_name or options.model
        self._key = os.environ.get("VLLM_API_KEY")
        self._calls = 0
        self._sick = False

    def app(self) -> Starlette:
        """Return its routes."""
        return Starlette(
            lifespan=self._lifespan,
            routes=[
                Route("/health", self._health),
                Route("/version", self._version),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ],
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._scheduler.steps)
            yield
            tasks.cancel_scope.cancel()

    async def _health(self, _request: Request) -> Response:
        return Response(status_code=503 if self._sick else 200)

    async def _version(self, _request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def _models(self, request: Request) -> Response:
        if not self._allows(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        card = {"id": self._name, "object": "model"}
        return JSONResponse({"object": "list", "data": [card]})

    async def _chat(self, request: Request) -> Response:
        if not self._allows(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        call = Call(self._calls, json.loads(await request.body()), dict(request.headers))
        self._calls += 1
        _append(self._script.kept, json.dumps(call.body))
        _append(self._script.trace, f"+ {time.monotonic()}")
        try:
            return await _unless_left(request, partial(self._answer, call))
        finally:
            _append(self._script.trace, f"- {time.monotonic()}")

    async def _answer(self, call: Call) -> Response:
        image = call.image.convert("RGB")
        if call.body["model"] != self._name:
            return refused(404, f"The model `{call.body['model']}` does not exist.")
        try:
            read = self._checkpoint.prompt_tokens(call) + self._script.miscount
        except ValueError as error:
            return refused(400, str(error))
        await self._misbehave(mean_colour(image))
        if self._sick or mean_colour(image) in self._script.fail_on:
            return refused(500, "EngineCore encountered an issue.")
        schema = call.body.get("structured_outputs", {}).get("json")
        if unimplemented := _unimplemented(schema):
            return refused(400, f"Unimplemented keys: {json.dumps(unimplemented)}")
        words = _said(image, schema).split()
        most = call.body["max_tokens"]
        await self._scheduler.run_through(self._steps(image.tobytes()))
        if self._sick:
            return refused(500, "EngineCore encountered an issue.")
        finish = "length" if len(words) > most else "stop"
        written = most if finish == "length" else len(words) + 1
        message = {"role": "assistant", "content": " " + " ".join(words[:most])}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": usage})

    async def _misbehave(self, colour: str) -> None:
        if colour in self._script.die_on:
            os.kill(os.getpid(), signal.SIGKILL)
        if colour in self._script.sicken_on:
            self._sick = True
        if colour in self._script.hang_on:
            await self._scheduler.run_through(sys.maxsize)

    def _steps(self, seed: bytes) -> int:
        drawn = random.Random(seed)
        if drawn.random() < 0.02:
            return round(5 * self._script.steps)
        return max(1, round(drawn.gauss(self._script.steps, 0.3 * self._script.steps)))

    def _allows(self, request: Request) -> bool:
        return self._key is None or request.headers.get("authorization") == f"Bearer {self._key}"


async def _unless_left(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    """Return the answer; as soon as its client has left, work on it no more."""
    found = Response(status_code=499)

    async def work() -> None:
        nonlocal found
        found = await answer()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        while (await request.receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()
    return found


def _said(image: Image.Image, schema: Any) -> str:
    """Return the caption of a picture, or the object where there is a schema."""
    if schema is None:
        return scripted_caption(image)
    return json.dumps(scripted_object(image, json.dumps(schema)))


def _unimplemented(schema: Any) -> list[str]:
    """Return the keywords of a schema, and of those in it, that are refused."""
    if not isinstance(schema, dict):
        return []
    inner = [schema.get("items"), schema.get("additionalProperties")]
    for key in ("properties", "$defs", "definitions"):
        inner += schema.get(key, {}).values()
    for key in ("anyOf", "allOf", "prefixItems"):
        inner += schema.get(key, [])
    found = [key for key in _UNIMPLEMENTED if key in schema]
    return found + [key for each in inner for key in _unimplemented(each)]


def _append(path: str | None, line: str) -> None:
    if path is not None:
        with open(path, "a") as file:
            file.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("--script", type=lambda text: Script(**json.loads(text)), default=Script())
    serve = parser.add_subparsers(required=True).add_parser("serve")
    serve.add_argument("model")
    serve.add_argument("--host")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--served-model-name")
    serve.add_argument("--dtype", default="auto")
    serve.add_argument("--max-model-len", type=int)
    serve.add_argument("--max-num-seqs", type=int, default=256)
    serve.add_argument("--gpu-memory-utilization", type=float)
    serve.add_argument("--limit-mm-per-prompt", type=json.loads)
    serve.add_argument("--enable-prefix-caching", action="store_true")
    serve.add_argument("--chat-template")
    serve.add_argument("--chat-template-content-format", choices=("auto", "string", "openai"))
    serve.add_argument("--uvicorn-log-level")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes."""
    options: Any = _parser().parse_args(arguments)
    script: Script = options.script
    child = subprocess.Popen([sys.executable, "-S", "-c", _CHILD])
    try:
        _say(f"vLLM API server version {VERSION}")
        _say("Initializing a V1 LLM engine with config: dtype=torch.bfloat16, device_config=cpu")
        _say(f"Starting to load model {options.model}...")
        time.sleep(script.load_s)
        if script.refuses is not None:
            _say(
                f"(EngineCore_DP0 pid={child.pid}) ERROR 11-30 12:00:00 [core.py:708] "
                + script.refuses
            )
            _say("RuntimeError: Engine core initialization failed. See root cause above.")
            return 1
        app = _Server(options, script).app()
        _say("Application startup complete.")
        uvicorn.run(app, host=options.host, port=options.port, log_config=None)
    finally:
        child.kill()
        child.wait()
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"INFO 11-30 12:00:00 [standin] {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
