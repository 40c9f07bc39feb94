"""Drives a chat model by vLLM, which batches continuously, in a server that this engine owns.

The worker renders the whole prompt and resizes the picture to what the model sees, so that what
vLLM adds is the picture's tokens and nothing else: its template, made here, prints texts as they
are. How many tokens a prompt has is foretold; an answer to any other prompt is no caption.
"""

import base64
import http.client
import io
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from captiv.clock import monotonic_s
from captiv.core.thinking import without_thinking
from captiv.errors import EngineFailed, ImageUnreadable, WorkerRejected
from captiv.offload import offload
from captiv_worker.engines import startup
from captiv_worker.engines.checks import always_thinks
from captiv_worker.engines.dialects import Unfit
from captiv_worker.engines.foretold import Foretold, Prompts
from captiv_worker.engines.loopback import HOST, NoAnswer, Reply, request
from captiv_worker.engines.server import Server
from captiv_worker.engines.sights import Sight, sight_of
from captiv_worker.engines.spec import (
    Answer,
    DeviceLost,
    EngineItem,
    EngineSpec,
    Failure,
    Loaded,
    Outcome,
    Progress,
)
from captiv_worker.models import read_config

CAPACITY = 128
"""As its author's own pods have it; vLLM lets wait what its memory does not hold."""
_CPU_CAPACITY = 8

_START_S = 3600.0
_ANSWER_S = 1800.0
"""A server that gives no answer for so long gives none."""
_ASK_S = 10.0
_POLL_S = 0.1
_WATCH_S = 0.25
_ROOM = 4096
"""Tokens of a prompt's words: the longest of the catalog's with its options has some 400; a schema
of 8,192 characters, and what was wrong with an answer before, some 3,000."""
_ANSWER = 1024
"""Tokens of an answer at least: an object is longer than a text."""
_ROUND = 1024

VERBATIM = (
    "{%- for message in messages -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
)
"""A chat template that prints texts as they are. The image token is in the text already."""


def command() -> list[str] | None:
    """Return how vLLM is started on this machine; None where it is not installed."""
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.is_file() else shutil.which("vllm")
    if found is not None:
        return [found]
    if find_spec("vllm") is not None:
        return [sys.executable, "-P", "-m", "vllm.entrypoints.cli.main"]
    return None


class VllmEngine:
    """A chat model in a vLLM server of its own."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._path = Path(spec.path)
        self._model = spec.variant or "model"
        self._key = secrets.token_hex(32)
        self._port = 0
        self._limit = 0
        self._startup = startup.Startup()
        self._server = Server("vllm", self._startup.see)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._prompts: Prompts | None = None
        self._sight: Sight | None = None

    # On the device's thread

    def load(self, progress: Progress) -> Loaded:
        """Start the server and wait until it answers.

        Raises:
            ModelError: the checkpoint cannot be driven, or the server ended, in its words.
            OutOfMemory: the model does not fit.
        """
        progress("reading")
        self._sight = sight_of(self._path)
        self._prompts = Prompts(self._path, self._spec.system)
        if self._prompts.begin_thinking:
            raise always_thinks(self._path)
        written = max(self._spec.new_tokens, _ANSWER)
        self._limit = _limit(self._path, self._sight.most_tokens + _ROOM + written)
        self._port = _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="captiv-vllm-")
        template = Path(self._folder.name) / "verbatim.jinja"
        template.write_text(VERBATIM, encoding="utf-8")
        started = command()
        if started is None:
            raise startup.missing()
        self._server.start([*started, *self._arguments(template)], self._environment())
        self._await_healthy(progress)
        return Loaded(
            device=self._startup.device or self._spec.device,
            dtype=self._startup.dtype or self._spec.dtype,
            max_batch=self._capacity,
            version=self._version(),
        )

    def close(self) -> None:
        """End the server with all its processes."""
        self._server.close()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def _capacity(self) -> int:
        default = _CPU_CAPACITY if self._spec.device == "cpu" else CAPACITY
        return self._spec.max_batch or default

    def _arguments(self, template: Path) -> list[str]:
        return [
            "serve",
            str(self._path),
            *("--host", HOST, "--port", str(self._port)),
            *("--served-model-name", self._model),
            *("--dtype", self._spec.dtype),
            *("--max-model-len", str(self._limit)),
            *("--max-num-seqs", str(self._capacity)),
            *("--gpu-memory-utilization", "0.9"),
            *("--limit-mm-per-prompt", '{"image": 1}'),
            "--enable-prefix-caching",
            *("--chat-template", str(template)),
            *("--chat-template-content-format", "openai"),
            *("--uvicorn-log-level", "warning"),
        ]

    def _environment(self) -> dict[str, str]:
        """Return the server's environment, with its key and without the hub's: it needs none."""
        hidden = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
        environ = {name: value for name, value in os.environ.items() if name not in hidden}
        environ |= {
            "VLLM_API_KEY": self._key,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        kind, _, number = self._spec.device.partition(":")
        if kind == "cpu":
            environ["CUDA_VISIBLE_DEVICES"] = ""
        elif number:
            seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            index = int(number)
            environ["CUDA_VISIBLE_DEVICES"] = seen[index] if index < len(seen) > 1 else number
        return environ

    def _await_healthy(self, progress: Progress) -> None:
        told, start_s = "", monotonic_s()
        while not self._healthy():
            if self._server.ended.wait(_POLL_S):
                raise startup.ended(list(self._server.lines), self._server.code)
            if monotonic_s() - start_s > _START_S:
                raise startup.late(_START_S)
            if self._startup.phase not in ("", told):
                told = self._startup.phase
                progress(told)

    def _healthy(self) -> bool:
        try:
            return self._get("/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _version(self) -> str | None:
        try:
            return str(json.loads(self._get("/version")[1])["version"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_ASK_S)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}

    # On the event loop

    async def watch(self) -> None:
        """Raise DeviceLost as soon as the server has ended."""
        while not self._server.ended.is_set():  # noqa: ASYNC110 - it is set by a thread
            await anyio.sleep(_WATCH_S)
        raise DeviceLost(f"vLLM ended (exit code {self._server.code})")

    async def caption(self, item: EngineItem) -> Outcome:
        """Return the outcome of one image.

        Raises:
            DeviceLost: the server ended, or answers no more.
        """
        asked = await offload(self._asked, item)
        if isinstance(asked, Failure):
            return asked
        body, tokens = asked
        try:
            reply = await request(
                self._port,
                "POST",
                "/v1/chat/completions",
                body=body,
                headers=self._headers,
                timeout_s=_ANSWER_S,
            )
        except (NoAnswer, TimeoutError) as error:
            await self._check_alive()
            if isinstance(error, TimeoutError):
                raise DeviceLost(f"vLLM gave no answer within {_ANSWER_S:.0f} s") from error
            raise
        if reply.status >= 500:
            await self._check_alive()
        return _outcome(reply, tokens)

    async def _check_alive(self) -> None:
        """Raise DeviceLost unless the server still says that it is well."""
        try:
            reply = await request(
                self._port, "GET", "/health", headers=self._headers, timeout_s=_ASK_S
            )
        except (NoAnswer, TimeoutError) as error:
            raise DeviceLost("vLLM answers no more") from error
        if reply.status != 200:
            raise DeviceLost(f"vLLM's engine has died (its health is {reply.status})")

    # On threads

    def _asked(self, item: EngineItem) -> tuple[bytes, int] | Failure:
        """Return the request, and how many tokens its prompt has; or why there is none."""
        assert self._prompts is not None, "load() comes first"
        assert self._sight is not None, "load() comes first"
        foretold = self._prompts.of(item.prompt)
        if foretold is None:
            token = self._prompts.image_token
            message = f"The prompt holds {token}, which stands for the image."
            return Failure(WorkerRejected.code, message)
        try:
            image = self._sight.fitted(item.image)
        except Unfit as error:
            return Failure(ImageUnreadable.code, str(error))
        tokens = foretold.tokens + self._sight.tokens(image.size)
        room = self._limit - tokens
        if room < 1:
            message = f"The prompt has {tokens} tokens; the model reads {self._limit - 1}."
            return Failure(WorkerRejected.code, message)
        png = io.BytesIO()
        image.save(png, "PNG", compress_level=1)
        body = _body(self._model, foretold, png.getvalue(), item, room, self._spec.new_tokens)
        return json.dumps(body).encode(), tokens


def _body(
    model: str, foretold: Foretold, png: bytes, item: EngineItem, room: int, new_tokens: int
) -> dict[str, Any]:
    """Return the request. It names every setting: vLLM takes the others from the checkpoint."""
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": foretold.text},
    ]
    asked = item.generation
    count = min(asked.max_new_tokens or new_tokens, room)
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": count,
        "min_tokens": min(asked.min_new_tokens or 0, count),
        "temperature": asked.temperature or 0.0,
        "top_p": asked.top_p or 1.0,
        "top_k": asked.top_k or -1,
        "min_p": 0.0,
        "presence_penalty": asked.presence_penalty or 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": asked.repetition_penalty or 1.0,
    }
    if asked.temperature and asked.seed is not None:
        body["seed"] = asked.seed
    if item.answer_schema is not None:
        body["structured_outputs"] = {"json": json.loads(item.answer_schema)}
    return body


def _outcome(reply: Reply, foretold: int) -> Outcome:
    try:
        said = json.loads(reply.body)
        if reply.status != 200:
            error = said.get("error", said)
            return _failed(f"vLLM refused the image: {error['message']}")
        choice, usage = said["choices"][0], said["usage"]
        text = choice["message"]["content"] or ""
        read, written = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        finish = choice["finish_reason"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return _failed(f"vLLM answered {reply.status} with something else than a caption.")
    if read != foretold:
        return _failed(
            f"vLLM read a prompt of {read} tokens where captiv foretold {foretold}: the model is "
            "not asked as it was trained. Use --engine transformers."
        )
    if finish not in ("stop", "length"):
        return _failed(f"vLLM ended its answer for another reason ({finish}).")
    tokens = written - (finish == "stop")  # what ends an answer is none of it
    answer = without_thinking(text)
    if answer is None:
        return Answer("", tokens=tokens, finish="length")
    return Answer(answer.strip(), tokens=tokens, finish=finish)


def _failed(message: str) -> Failure:
    return Failure(EngineFailed.code, message)


def _limit(path: Path, wanted: int) -> int:
    """Return how long prompt and answer may be together, which is no more than the model has."""
    config = read_config(path)
    text = config.get("text_config") or config
    positions = int(text.get("max_position_embeddings") or wanted + _ROUND)
    return min(positions, -(-wanted // _ROUND) * _ROUND)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
