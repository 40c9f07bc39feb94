"""`captiv-worker`: binds a port, says where it listens, loads the model, serves until told to end.

One JSON line goes to standard output, as soon as the port answers (the model loads after it); the
log goes to standard error. With --stdin-token, and under a guard, the process ends at once when
standard input closes: whoever started it holds the other end, and however that one dies, the worker
is gone with it.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import uvicorn

from captiv.images.budget import allow
from captiv.shortage import raise_file_limit
from captiv_worker.app import create_app
from captiv_worker.settings import Settings, environment, parse
from captiv_worker.worker import Worker

_GRACE_S = 3
"""How long running requests may take to end after the first signal."""

_KEEP_ALIVE_S = 75
"""Longer than any client of ours keeps an idle connection, so that it is the client who closes."""

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, that says where it listens and ends without raising its signal again."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self._worker = worker

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        if sockets and not self.should_exit:
            _announce(self._worker, sockets[0])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal end the server softly and a second SIGINT at once."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle_exit)
        yield


def main() -> NoReturn:
    """Run a worker; ends the process."""
    settings = parse(sys.argv[1:], environment())
    allow(settings.image_memory_mb)
    _log_to_stderr(settings.log_level)
    raise_file_limit()
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        _log.error("cannot_listen host=%s port=%d error=%s", settings.host, settings.port, error)
        _end(1)
    _end(_serve(settings, listener))


def _serve(settings: Settings, listener: socket.socket) -> int:
    """Serve until a signal comes or the device is lost; return the exit code."""
    codes: list[int] = []

    def died() -> None:
        codes.append(1)
        server.should_exit = True

    worker = Worker(settings, died=died)
    server = Server(configure(worker), worker)
    if settings.stdin_token or settings.guard_folder:
        _end_with_stdin(worker)
    server.run(sockets=[listener])
    if not codes:
        worker.batch_file.clear()  # ended on purpose: nobody is suspect
    _log.info("ended code=%d", max(codes, default=0))
    return max(codes, default=0)


def configure(worker: Worker) -> uvicorn.Config:
    """Return how the worker is served."""
    return uvicorn.Config(
        create_app(worker),
        http="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    if sys.platform != "win32":  # where it would let another program take the port, too
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener


def _announce(worker: Worker, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    line = {
        "event": "listening",
        "url": url,
        "worker": worker.settings.name,
        "boot_id": worker.boot_id,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    if worker.settings.stdin_token:  # captiv reads that line and no more: the pipe must not fill
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _log.info("listening url=%s worker=%s boot_id=%s", url, worker.settings.name, worker.boot_id)


def _end_with_stdin(worker: Worker) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        worker.batch_file.clear()  # whoever started it is gone: nobody is suspect
        os._exit(0)

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="ts=%(asctime)s.%(msecs)03d level=%(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for noisy in (
        "uvicorn",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "urllib3",
        "python_multipart",
        "PIL",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _end(code: int) -> NoReturn:
    """End now: a device in the middle of a batch cannot be interrupted, and is not waited for."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
