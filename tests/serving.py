"""Servers on real ports: apps in a thread of their own, and a worker that was started by hand."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from tests.support import SCRIPTED, Home, until

_METHODS = ["GET", "POST", "DELETE"]


@contextmanager
def running(config: uvicorn.Config) -> Iterator[str]:
    """Run a server in a thread of its own, on a port that is free; yield its URL."""
    config.port = 0
    config.timeout_graceful_shutdown = 1
    httpx2.AsyncHTTPTransport()  # what it imports would block the loop
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def serving(endpoint: Callable[..., Any]) -> Iterator[str]:
    """Serve one endpoint at every path; yield the URL."""
    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=_METHODS)])
    with running(uvicorn.Config(app, log_config=None)) as url:
        yield url


@contextmanager
def started_by_hand(
    home: Home,
    token: str,
    *arguments: str,
    script: Mapping[str, object] | None = None,
    log: Path | None = None,
) -> Iterator[str]:
    """Start a worker with the torch-free engine as a person would; yield its address.

    Args:
        home: whose environment it has.
        token: its own.
        arguments: of its command line.
        script: what its engine does.
        log: collects what it says on standard error; nothing does without.
    """
    command = [sys.executable, "-m", "captiv_worker", "--engine", SCRIPTED, *arguments]
    with (
        open(log or os.devnull, "wb") as said,
        subprocess.Popen(
            [*command, "--engine-options", json.dumps(script or {})],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=home.env | {"CAPTIV_WORKER_TOKEN": token},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()
