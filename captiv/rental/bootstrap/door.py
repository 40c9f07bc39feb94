"""Takes captiv's code, on the port on which the worker will listen, and tells how far the pod is.

Everyone may ask `/health`. One `PUT /carry/{sha256}` is taken: with the pod's token, of the hash
that the pod waits for, of at most `MAX_BODY` bytes. Of whom the token does not let in, nothing but
the head is read. One connection is served at a time, and each has its limits of bytes and time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import threading
import time
from typing import Any

from .pod import CARRIED, Broken, Pod, option, say

MAX_HEAD = 8 * 1024
MAX_BODY = 4 * 1024 * 1024
HEAD_S = 10.0
BODY_S = 120.0
LINGER_S = 1.0
REFUSED = (401, 409, 411, 413, 422)
TAKEN_OVER = ("HF_TOKEN",)
"""What may come as a secret (`Captiv-Secrets`, JSON in base64), for the provider not to show it."""


def open_door(pod: Pod, arguments: list[str]) -> None:
    """Listen where the worker will; what answers meanwhile is a thread that ends with this process.

    Raises:
        Broken: nobody could bring captiv's code.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((option(arguments, "--host"), int(option(arguments, "--port") or 0)))
        listener.listen(16)
    except (OSError, ValueError) as error:
        say(f"no_door {error}")
        if CARRIED:
            raise Broken(f"its port cannot be listened on: {error}") from error
        return
    threading.Thread(target=_serve, args=(listener, pod), daemon=True).start()


def _serve(listener: socket.socket, pod: Pod) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                _meet(connection, pod)
            except OSError:
                continue  # whoever asked is gone
            except Exception as error:
                say(f"refused {type(error).__name__}")


def _meet(connection: socket.socket, pod: Pod) -> None:
    """Answer one request, and see to it that the answer arrives."""
    try:
        head, begun = _head(connection)
        status, said = _answer(connection, head, begun, pod)
    except TimeoutError:
        status, said = 408, _problem(408, "It did not come in time.")
    body = json.dumps(said).encode()
    lines = [
        f"HTTP/1.1 {status} -",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Captiv-Worker: " + pod.boot_id,
        "Connection: close",
    ]
    connection.settimeout(HEAD_S)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    connection.shutdown(socket.SHUT_WR)
    until_s = time.monotonic() + LINGER_S  # else what was not read takes the answer along
    while status in REFUSED and time.monotonic() < until_s:
        connection.settimeout(max(0.01, until_s - time.monotonic()))
        if not connection.recv(65536):
            return


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return what precedes a body, and what of it came along; empty if it is too long."""
    until_s, came = time.monotonic() + HEAD_S, b""
    while b"\r\n\r\n" not in came and len(came) <= MAX_HEAD:
        came += _received(connection, until_s)
    head, _, rest = came.partition(b"\r\n\r\n")
    return (head, rest) if len(head) <= MAX_HEAD else (b"", b"")


def _received(connection: socket.socket, until_s: float) -> bytes:
    connection.settimeout(max(0.01, until_s - time.monotonic()))
    came = connection.recv(65536)
    if not came:
        raise ConnectionError("cut")
    return came


def _answer(
    connection: socket.socket, head: bytes, begun: bytes, pod: Pod
) -> tuple[int, dict[str, Any]]:
    if not head:
        return 431, _problem(431, f"The head has more than {MAX_HEAD} bytes.")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    path = target.partition(" ")[0].partition("?")[0]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in map(_parted, lines)]
    if path == "/health" and method == "GET":
        return 503, pod.health()
    if not path.startswith("/carry/") or method != "PUT":
        return 503, _problem(503, f"This pod is not ready: it is {pod.phase}.", "not_ready")
    return _put(connection, path[len("/carry/") :], headers, begun, pod)


def _put(
    connection: socket.socket, asked: str, headers: list[tuple[str, str]], begun: bytes, pod: Pod
) -> tuple[int, dict[str, Any]]:
    """Take the archive."""
    named = dict(headers)
    scheme, _, token = named.get("authorization", "").partition(" ")
    digest = hashlib.sha256(token.strip().encode("latin-1")).hexdigest()
    known = os.environ.get("CAPTIV_WORKER_TOKEN_SHA256", "").strip().lower()
    if scheme.lower() != "bearer" or not known or not hmac.compare_digest(digest, known):
        return 401, _problem(401, "The token is missing or wrong.", "unauthorized")
    if not CARRIED or asked != CARRIED:
        return 409, _problem(409, "This pod waits for the code of another captiv.")
    if pod.archive:
        return 200, {"sha256": CARRIED}
    lengths = {value for name, value in headers if name == "content-length"}
    size = lengths.pop() if len(lengths) == 1 else ""
    if "transfer-encoding" in named or not re.match(r"[0-9]{1,12}\Z", size):
        return 411, _problem(411, "The length of the body is not announced.")
    if int(size) > MAX_BODY:
        return 413, _problem(413, f"The body has more than {MAX_BODY} bytes.")
    if named.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    until_s, body = time.monotonic() + BODY_S, bytearray(begun)
    while len(body) < int(size):
        body += _received(connection, until_s)
    archive, hidden = bytes(body), _secrets(named.get("captiv-secrets", ""))
    if hidden is None or hashlib.sha256(archive).hexdigest() != CARRIED:
        return 422, _problem(422, "What came is not what was announced.")
    say(f"carried bytes={size}")
    pod.secrets, pod.archive, pod.phase = hidden, archive, "installing"
    pod.arrived.set()
    return 201, {"sha256": CARRIED}


def _secrets(text: str) -> dict[str, str] | None:
    """Return what is to be kept from whoever reads the pod's settings; None if it is no such."""
    try:
        found = json.loads(base64.b64decode(text, validate=True)) if text else {}
        return {str(name): str(found[name]) for name in TAKEN_OVER if name in found}
    except (ValueError, TypeError):
        return None


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _problem(status: int, detail: str, code: str = "rejected") -> dict[str, Any]:
    return {"title": code, "status": status, "detail": detail, "code": code}
