"""Real servers for the tests: in a thread of this process, or as a child process."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import captiv_worker
import httpx2
import pytest
from captiv_worker.__main__ import configure
from captiv_worker.auth import digest
from captiv_worker.settings import Settings
from captiv_worker.worker import Worker
from PIL import Image

import captiv
from tests.serving import running

from .checkpoints import CHECKPOINTS, PathOf
from .described import hold_if_described

TOKEN = "a-token-of-the-tests"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
SCRIPTED = "captiv.testing.engine:ScriptedEngine"
DEADLINE_S = 90.0
"""Longer than a worker lets an answer be awaited; what takes so long never comes."""
HELD = {"response": [hold_if_described]}
"""Whatever a worker answers stands in docs/openapi.json."""

ROOTS = os.pathsep.join(
    str(Path(str(package.__file__)).parent.parent) for package in (captiv, captiv_worker)
)


def picture(colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (24, 24)) -> bytes:
    """Return a PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def until(holds: Callable[[], bool]) -> None:
    """Return as soon as a condition holds; fail if it never does."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s, "the condition never held"
        time.sleep(0.005)


@dataclass
class Served:
    """A worker that answers, and a client with its token."""

    worker: Worker
    app: Any
    url: str
    client: httpx2.Client
    deaths: list[bool] = field(default_factory=list)

    def caption(
        self,
        image: bytes,
        *,
        key: str | None = None,
        wait: int | None = None,
        **request: Any,
    ) -> httpx2.Response:
        headers = {"Content-Type": "image/png", "Captiv-Request": json.dumps(request)}
        if key is not None:
            headers["Idempotency-Key"] = key
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return self.client.post("/api/caption", content=image, headers=headers)

    def again(self, key: str, *, wait: int = 30) -> httpx2.Response:
        return self.client.get(f"/api/caption/{key}", headers={"Prefer": f"wait={wait}"})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def serving(settings: Settings, clock: Callable[[], float], *, ready: bool) -> Iterator[Served]:
    deaths: list[bool] = []
    worker = Worker(settings, died=lambda: deaths.append(True), clock=clock)
    config = configure(worker)
    with (
        running(config) as url,
        httpx2.Client(base_url=url, headers=AUTH, timeout=DEADLINE_S, event_hooks=HELD) as client,
    ):
        if ready:
            until(lambda: worker.status.health.status != "loading")
        yield Served(worker, config.app, url, client, deaths)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; the scripted engine unless the settings name something else."""
    with ExitStack() as stack:

        def start(
            *,
            script: dict[str, Any] | None = None,
            clock: Callable[[], float] = time.monotonic,
            ready: bool = True,
            **given: Any,
        ) -> Served:
            values: dict[str, Any] = {
                "token_sha256": digest(TOKEN),
                "model": "blip",
                "engine": SCRIPTED,
                "engine_options": script or {},
                "port": 0,
            } | given
            return stack.enter_context(serving(Settings(**values), clock, ready=ready))

        yield start


@dataclass
class Hold:
    """Keeps a scripted engine inside its batch, or from being loaded."""

    started: Path
    held: Path

    @property
    def script(self) -> dict[str, str]:
        return {"touch": str(self.started), "hold": str(self.held)}

    @property
    def load(self) -> dict[str, str]:
        return {"hold_load": str(self.held)}

    def wait(self) -> None:
        until(self.started.exists)

    def again(self) -> None:
        self.held.touch()

    def release(self) -> None:
        self.held.unlink(missing_ok=True)


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    held = Hold(tmp_path / "started", tmp_path / "held")
    held.again()
    yield held
    held.release()


@dataclass
class Child:
    """A worker as a child process, with its token on standard input."""

    process: subprocess.Popen[str]
    listening: dict[str, str]
    log: Path
    client: httpx2.Client

    def ready(self) -> "Child":
        until(lambda: self.client.get("/health").json()["status"] == "ready")
        return self


Spawn = Callable[..., Child]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ROOTS, **more}


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start child processes, and end those that a test leaves."""
    with ExitStack() as stack:

        def start(
            *arguments: str,
            script: dict[str, Any] | None = None,
            env: dict[str, str] | None = None,
            engine: bool = True,
            no_files: bool = False,
        ) -> Child:
            log = tmp_path / f"log-{time.monotonic_ns()}"
            line = [sys.executable, "-m", "captiv_worker", "--stdin-token", *arguments]
            if engine:
                line += ["--engine", SCRIPTED, "--engine-options", json.dumps(script or {})]
            if no_files:  # pipes and devices are none
                line = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *line]
            with Path(os.devnull if no_files else log).open("w") as errors:
                process = subprocess.Popen(
                    line,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment(**(env or {})),
                    text=True,
                )
            stack.callback(_end, process)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(TOKEN + "\n")
            process.stdin.flush()
            listening = json.loads(process.stdout.readline())
            client = stack.enter_context(
                httpx2.Client(
                    base_url=listening["url"],
                    headers=AUTH,
                    timeout=DEADLINE_S,
                    event_hooks=HELD,
                )
            )
            return Child(process, listening, log, client)

        yield start


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(DEADLINE_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@pytest.fixture(scope="session")
def tiny_blip(checkpoint_path: PathOf) -> Path:
    """Return a BLIP checkpoint of random weights; what it says depends on the picture."""
    return checkpoint_path(CHECKPOINTS[0])
