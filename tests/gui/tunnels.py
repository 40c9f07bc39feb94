"""A tunnel that ends on this machine.

A `cloudflared` that prints what the real one does, and a proxy over TLS that does to requests what
a tunnel's edge does.
"""

import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import AnyByteStream, ByteStream, SocketAttribute, TaskStatus
from anyio.from_thread import start_blocking_portal
from anyio.streams.tls import TLSListener

from tests.support import Home

NAME = "four-words-of-cloudflare.trycloudflare.com"

_PROGRAM = """#!{python}
import os, sys, time
with open({record!r}, "a") as record:
    record.write(repr((os.getpid(), sys.argv[1:], sorted(os.environ))) + "\\n")
say = lambda text: print("2026-11-25T05:00:00Z " + text, file=sys.stderr, flush=True)
say('INF Requesting new quick Tunnel on trycloudflare.com...')
{told}
time.sleep(600)
"""

_TOLD = """
say('INF +' + '-' * 92 + '+')
say('INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be '
    'reachable):  |')
say('INF |  https://{name}{pad}|')
say('INF +' + '-' * 92 + '+')
say('INF Registered tunnel connection connIndex=0 location=fra01 protocol=quic')
"""

_FAILED = """
say('ERR failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": no such host')
sys.exit(1)
"""


def install(home: Home, *, fails: bool = False) -> Path:
    """Put a `cloudflared` on an installation's PATH; return where it writes what it was told."""
    folder = home.folder / "bin"
    folder.mkdir(exist_ok=True)
    record = home.folder / "cloudflared.txt"
    told = _FAILED if fails else _TOLD.format(name=NAME, pad=" " * 30)
    program = folder / "cloudflared"
    program.write_text(_PROGRAM.format(python=sys.executable, record=str(record), told=told))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    home.env["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return record


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the tunnel's name; return it and its key."""
    key, made = folder / "tunnel-key.pem", folder / "tunnel.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {made}"
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return made, key


class _Listener(TLSListener):
    """One that keeps quiet about browsers that refuse a certificate of the test's at first."""

    @staticmethod
    async def handle_handshake_error(exc: BaseException, stream: AnyByteStream) -> None:
        await stream.aclose()


class Edge:
    """The tunnel's public end: TLS, and headers that say who asks. One request a connection."""

    def __init__(self, to_port: int, folder: Path) -> None:
        self._to = to_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate(folder))
        # The client of websockets reads in one thread and writes in another, which OpenSSL does not
        # stand while a ticket comes: of some 300 connections at once three hung for ever.
        self._context.num_tickets = 0
        self._running = start_blocking_portal()
        self._served = self._running.__enter__().start_task(self._serve)
        self.port: int = self._served[1]

    def close(self) -> None:
        self._served[0].cancel()
        self._running.__exit__(None, None, None)

    async def _serve(self, *, task_status: TaskStatus[int]) -> None:
        plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port: int = plain.extra(SocketAttribute.local_port)
        listener = _Listener(plain, self._context, standard_compatible=False)
        async with listener:
            task_status.started(port)
            await listener.serve(self._carry)

    async def _carry(self, outside: ByteStream) -> None:
        head = b""
        with suppress(
            anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError
        ):
            async with outside:
                while b"\r\n\r\n" not in head:
                    head += await outside.receive()
                async with (
                    await anyio.connect_tcp("127.0.0.1", self._to) as inside,
                    anyio.create_task_group() as tg,
                ):
                    await inside.send(_forwarded(head))
                    tg.start_soon(_pump, outside, inside)
                    await _pump(inside, outside)
                    tg.cancel_scope.cancel()


def _forwarded(head: bytes) -> bytes:
    lines, _, body = head.partition(b"\r\n\r\n")
    first, *headers = lines.split(b"\r\n")
    upgrade = any(line.lower().startswith(b"upgrade:") for line in headers)
    remote = b"198.51.100.7"
    kept = []
    for line in headers:
        name = line.partition(b":")[0].lower()
        if name == b"x-test-remote":
            remote = line.partition(b":")[2].strip()
        elif name != b"connection" or upgrade:
            kept.append(line)
    kept += [b"X-Forwarded-For: " + remote, b"X-Forwarded-Proto: https"]
    if not upgrade:
        kept.append(b"Connection: close")
    return b"\r\n".join([first, *kept]) + b"\r\n\r\n" + body


async def _pump(source: ByteStream, sink: ByteStream) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            await sink.send(await source.receive())


@contextmanager
def edge(to_port: int, folder: Path) -> Iterator[Edge]:
    """Have a tunnel's public end lead to a port."""
    made = Edge(to_port, folder)
    try:
        yield made
    finally:
        made.close()
