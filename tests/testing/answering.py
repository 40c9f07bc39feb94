"""What stands for a worker in a pod where none is needed: answers, slowly or never, or ends."""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/die":
            os._exit(3)
        time.sleep(float(query.get("wait_s", 0)))
        if url.path == "/env":
            self._answer("\n".join(f"{k}={v}" for k, v in os.environ.items()))
        elif url.path == "/drip":
            self._drip(float(query["every_s"]), int(query["count"]), stops="stops" in query)
        else:
            self._answer(self.path)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        self._answer(f"{len(body)} {body[:4]!r} {self.headers.get('Captiv-Request')}")

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _drip(self, every_s: float, count: int, *, stops: bool) -> None:
        """Send a byte now and then, and all of them, or stop before the last."""
        self.send_response(200)
        self.send_header("Content-Length", str(count + stops))
        self.end_headers()
        for _ in range(count):
            time.sleep(every_s)
            self.wfile.write(b".")
        time.sleep(1000 if stops else 0)

    def log_message(self, *_: object) -> None:
        return


if __name__ == "__main__":
    print(f"serving as {' '.join(sys.argv[1:])}", flush=True)
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    ThreadingHTTPServer((arguments["--host"], int(arguments["--port"])), Handler).serve_forever()
