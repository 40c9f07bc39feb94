"""A small server in the place of a provider's API, and the calls that end a pod there."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from captiv.rental.provider import ending_as_json
from captiv.rental.runpod.ending import ending

KEY = "rpa_the_key_of_this_pod"
ANOTHERS_KEY = "the_key_of_another_cloud"
POD = "pod7"
ELSEWHERE = "/elsewhere"


@dataclass(frozen=True)
class Call:
    """One request that the API got."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Api:
    """A provider's API, as far as a guard goes: it answers everything with `status`."""

    server: ThreadingHTTPServer
    status: int = 204
    """A redirect leads to `ELSEWHERE`, where the answer is 200."""
    clock: Callable[[], float] = time.time
    """The time that it tells."""
    accepts: str = ""
    """A body that holds these words is answered with 200, whatever `status` is."""
    calls: list[Call] = field(default_factory=list)
    thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def up(self) -> None:
        self.server.server_activate()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        if self.thread is not None:
            self.server.shutdown()
            self.thread.join(60)
        self.server.server_close()

    def count(self, method: str) -> int:
        return sum(call.method == method for call in self.calls)

    def runpods(self) -> dict[str, str]:
        """Return what RunPod, if it were here, and captiv would put into a pod's environment."""
        return {
            "CAPTIV_GUARD_ENDING": ending_as_json(ending(self.url)),
            "RUNPOD_POD_ID": POD,
            "RUNPOD_API_KEY": KEY,
        }

    def anothers(self) -> dict[str, str]:
        """Return the same of a cloud that ends its machines in another way."""
        calls: list[dict[str, Any]] = [
            {
                "method": "PUT",
                "url": self.url + "/machines/${MACHINE}?zone=${ZONE}",
                "headers": {"X-Key": "${CLOUD_KEY}", "X-Account": "me", "content-type": "a/b"},
                "body": "end ${MACHINE}",
            },
            {"method": "GET", "url": self.url + "/goodbye"},
        ]
        return {
            "CAPTIV_GUARD_ENDING": json.dumps(calls),
            "MACHINE": "eu/7 ü",
            "ZONE": "a&b=c",
            "CLOUD_KEY": ANOTHERS_KEY,
        }


@contextmanager
def api_held() -> Iterator[Api]:
    """Hold the API's port; nothing listens there before `up`."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            simulated.calls.append(Call(time.time(), self.command, self.path, headers, body))
            taken = self.path == ELSEWHERE or (simulated.accepts and simulated.accepts in body)
            self.send_response(200 if taken else simulated.status)
            self.send_header("Location", ELSEWHERE)
            self.end_headers()

        def do_HEAD(self) -> None:
            """Answer who asks nothing but the time."""
            self.send_response(404)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(simulated.clock() if timestamp is None else timestamp, usegmt=True)

        do_POST = do_DELETE = do_GET = do_PUT = _answer

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.server_bind()
    simulated = Api(server)
    try:
        yield simulated
    finally:
        simulated.close()
