"""One HTTP/1.1 request to a server on this machine, on the event loop.

The worker needs no more of HTTP's client side than this, so that the environment beside vLLM needs
no client: h11 comes with uvicorn. Each request has a connection of its own, which costs nothing on
loopback beside the seconds that a caption takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import h11

HOST = "127.0.0.1"
_CHUNK = 65_536
_MAX_BODY = 8 * 1024 * 1024


class NoAnswer(Exception):
    """The connection was refused or lost, or what came was no whole answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered."""

    status: int
    body: bytes


async def request(
    port: int,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
) -> Reply:
    """Send one request and return the answer.

    Raises:
        NoAnswer: there was none.
        TimeoutError: it took longer than `timeout_s`.
    """
    head = {"Host": f"{HOST}:{port}", "Content-Length": str(len(body)), "Connection": "close"}
    asked = h11.Request(method=method, target=path, headers=[*(head | dict(headers or {})).items()])
    connection = h11.Connection(h11.CLIENT)
    try:
        with anyio.fail_after(timeout_s):
            async with await anyio.connect_tcp(HOST, port) as stream:
                for event in (asked, h11.Data(data=body), h11.EndOfMessage()):
                    await stream.send(connection.send(event) or b"")
                return await _answer(stream, connection)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, h11.ProtocolError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


async def _answer(stream: anyio.abc.ByteStream, connection: h11.Connection) -> Reply:
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.receive(_CHUNK))
            except anyio.EndOfStream:
                connection.receive_data(b"")
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MAX_BODY:
                raise NoAnswer("the answer is too long")
        elif isinstance(event, h11.EndOfMessage):
            return Reply(status, body)
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise NoAnswer("the connection was closed")
