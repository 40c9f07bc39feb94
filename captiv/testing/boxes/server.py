"""The boxes' API on loopback, and the processes behind it."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from captiv.testing.ports import Port

HOST = "127.0.0.1"
OFFERS = (
    {"kind": "small", "gpu": "Tiny 8", "gb": 8, "per_minute": "0.002"},
    {"kind": "large", "gpu": "Tiny 80", "gb": 80, "per_minute": "0.02"},
)
_STOP_S = 10.0


@dataclass(slots=True)
class Box:
    """One box, alive or not."""

    id: str
    name: str
    kind: str
    key: str
    port: Port
    process: subprocess.Popen[bytes]
    made_s: float
    ended_s: float | None = None

    @property
    def minutes(self) -> int:
        """Minutes that were begun."""
        until_s = time.time() if self.ended_s is None else self.ended_s
        return int((until_s - self.made_s) // 60) + 1


@dataclass(slots=True)
class Boxes:
    """A provider with one account."""

    worker_args: Sequence[str] = ()
    """Appended to what each worker is told."""
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    url: str = ""
    made: dict[str, Box] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each call, in order."""
    swallow_creates: int = 0
    """So many creates make a box and never answer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def alive(self) -> list[str]:
        """Return the ids of the boxes that bill."""
        return [box.id for box in self.made.values() if box.ended_s is None]

    def create(self, asked: dict[str, Any]) -> Box:
        """Start a box."""
        port, key = Port(), secrets.token_hex(8)
        box_id = f"BX-{port.number}-{secrets.token_hex(3)}"
        arguments = _mapped(list(asked["arguments"]), port.number)
        env = os.environ | asked["env"] | {"BOX_ID": box_id, "BOX_KEY": key}
        process = subprocess.Popen(
            [sys.executable, "-m", "captiv_worker.guard", *arguments, *self.worker_args],
            env=env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        box = Box(box_id, asked["name"], asked["kind"], key, port, process, time.time())
        self.made[box_id] = box
        return box

    def end(self, box: Box) -> None:
        """End a box, as far as it is there."""
        with self._lock:
            if box.ended_s is not None:
                return
            box.ended_s = time.time()
        with suppress(ProcessLookupError):
            os.killpg(box.process.pid, 9)
        box.process.wait(_STOP_S)
        box.port.close()


@contextmanager
def serving(worker_args: Sequence[str] = ()) -> Iterator[Boxes]:
    """Have the boxes' API open; no box outlives it."""
    boxes = Boxes(worker_args)

    class Handler(_Handler):
        account = boxes

    server = ThreadingHTTPServer((HOST, 0), Handler)
    boxes.url = f"http://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield boxes
    finally:
        for box in list(boxes.made.values()):
            boxes.end(box)
        server.shutdown()
        server.server_close()
        thread.join()


def _mapped(arguments: list[str], port: int) -> list[str]:
    """Return the arguments with the container's address mapped to one of this machine."""
    for option, value in (("--host", HOST), ("--port", str(port))):
        arguments[arguments.index(option) + 1] = value
    return arguments


class _Handler(BaseHTTPRequestHandler):
    account: Boxes

    def do_GET(self) -> None:
        """Answer what is on offer, which boxes there are, and what they cost."""
        match self._parts():
            case ["offers"]:
                self._answer(200, list(OFFERS))
            case ["boxes"]:
                boxes = self.account.made.values()
                self._answer(200, [_told(box) for box in boxes if box.ended_s is None])
            case ["boxes", box_id] if self._alive(box_id) is not None:
                self._answer(200, _told(self.account.made[box_id]))
            case ["bills", box_id] if box_id in self.account.made:
                box = self.account.made[box_id]
                self._answer(200, {"kind": box.kind, "minutes": box.minutes})
            case _:
                self._answer(404, {"error": "there is no such box"})

    def do_POST(self) -> None:
        """Make a box."""
        if self._parts() != ["boxes"]:
            self._answer(404, {"error": "there is no such call"})
            return
        length = int(self.headers.get("Content-Length", "0"))
        box = self.account.create(json.loads(self.rfile.read(length)))
        if self.account.swallow_creates:
            self.account.swallow_creates -= 1
            self.close_connection = True
            return
        self._answer(201, _told(box))

    def do_DELETE(self) -> None:
        """End a box."""
        match self._parts():
            case ["boxes", box_id] if (box := self._alive(box_id)) is not None:
                self._answer(204, None)
                self.account.end(box)
            case _:
                self._answer(404, {"error": "there is no such box"})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _parts(self) -> list[str] | None:
        """Return the path's parts; None, answered, without the account's key or the box's own."""
        self.account.calls.append((self.command, self.path))
        parts = self.path.strip("/").split("/")
        given = self.headers.get("X-Box-Key", "")
        box = self.account.made.get(parts[-1])
        if given != self.account.key and (box is None or given != box.key):
            return None
        return parts

    def _alive(self, box_id: str) -> Box | None:
        box = self.account.made.get(box_id)
        return None if box is None or box.ended_s is not None else box

    def _answer(self, status: int, body: object) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _told(box: Box) -> dict[str, Any]:
    """Return a box as it is listed: without its name."""
    return {"id": box.id, "kind": box.kind, "since": int(box.made_s)}
