"""How others reach the page: the user's `cloudflared`, ngrok's SDK, or a tunnel of one's own.

Nothing is downloaded. Whoever runs the tunnel sees what travels through it: TLS ends there.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Protocol

import anyio
from anyio.abc import Process

from captiv.errors import TunnelFailed, UsageError
from captiv.gui.share import checked_url

TOLD_WITHIN_S: Final = 45.0
_STOP_S: Final = 5.0
_SECRETS: Final = ("CAPTIV_", "RUNPOD_", "HF_", "NGROK_")
"""Variables that are no business of a tunnel's program begin with these."""
_ADDRESS: Final = re.compile(r"\|\s+(https://[a-z0-9-]+\.trycloudflare\.com)\s+\|")


class Line(Protocol):
    """A tunnel that is open."""

    @property
    def url(self) -> str:
        """Where the page is reached."""

    async def lost(self) -> str:
        """Return, once the tunnel has broken, why."""


class Tunnel(Protocol):
    """A way by which others reach the page."""

    def reach(self, local: str) -> AbstractAsyncContextManager[Line]:
        """Open a tunnel to a local address, for as long as the context lasts.

        Raises:
            TunnelFailed: it does not open.
        """


def choose_tunnel(own: str | None = None) -> Tunnel:
    """Return the tunnel of one's own, else that of `cloudflared`, else ngrok's.

    Raises:
        UsageError: there is none; says how to come by one.
    """
    if own is not None:
        return Own(checked_url(own))
    if program := shutil.which("cloudflared"):
        return Cloudflared(program)
    if find_spec("ngrok") is not None:
        if not os.environ.get("NGROK_AUTHTOKEN"):
            raise UsageError(
                "ngrok needs a token to share the page.",
                hint="Set NGROK_AUTHTOKEN to the one on https://dashboard.ngrok.com.",
            )
        return Ngrok()
    raise UsageError(
        "There is no tunnel by which others could reach the page.",
        hint="Install cloudflared (https://github.com/cloudflare/cloudflared, no account needed),"
        " or pip install 'captiv[share]' for ngrok, or give your own: --share-url https://...",
    )


@dataclass(frozen=True, slots=True)
class Own:
    """A tunnel that somebody keeps themselves, to the port of the page."""

    url: str

    @asynccontextmanager
    async def reach(self, local: str) -> AsyncIterator[Line]:
        """Take it to be there."""
        yield self

    async def lost(self) -> str:
        """Never return: nobody tells."""
        await anyio.sleep_forever()
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Cloudflared:
    """A quick tunnel of Cloudflare's: no account, another address each time."""

    program: str

    @asynccontextmanager
    async def reach(self, local: str) -> AsyncIterator[Line]:
        """Run `cloudflared` as a child; raise TunnelFailed if it tells no address."""
        # Our own certificate names no loopback address; nobody is between the two.
        trusting = ["--no-tls-verify"] if local.startswith("https:") else []
        command = [self.program, "tunnel", "--no-autoupdate", *trusting, "--url", local]
        process = await _kept(command)
        said = _Said(process)
        try:
            yield _Child(await said.address(), said)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


class Ngrok:
    """A tunnel of ngrok's, by its SDK and the user's token."""

    @asynccontextmanager
    async def reach(self, local: str) -> AsyncIterator[Line]:
        """Open it in this process, which it does not outlive."""
        import ngrok

        try:
            with anyio.fail_after(TOLD_WITHIN_S):
                session = await ngrok.SessionBuilder().authtoken_from_env().connect()
                # One of ngrok's own threads carries what comes; the address is ours.
                listener = await session.http_endpoint().listen_and_forward(local)
        except (TimeoutError, ValueError, RuntimeError, OSError) as error:
            why = " ".join(": ".join(map(str, error.args)).split())[:300] or "no answer"
            raise TunnelFailed(
                f"ngrok does not open a tunnel: {why}.", hint="Is NGROK_AUTHTOKEN right?"
            ) from error
        try:
            yield Own(listener.url())
        finally:
            with anyio.move_on_after(_STOP_S, shield=True), suppress(Exception):
                await listener.close()
                await session.close()


@dataclass(frozen=True, slots=True)
class _Child:
    url: str
    said: "_Said"

    async def lost(self) -> str:
        """Read on until the program ends."""
        while await self.said.line() is not None:
            pass
        return self.said.last


class _Said:
    """What a program writes to standard error, line by line."""

    def __init__(self, process: Process) -> None:
        assert process.stderr is not None
        self._stream = process.stderr
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=20)

    async def address(self) -> str:
        try:
            with anyio.fail_after(TOLD_WITHIN_S):
                while (line := await self.line()) is not None:
                    if found := _ADDRESS.search(line):
                        return found[1]
        except TimeoutError as error:
            raise TunnelFailed(
                f"cloudflared told no address within {TOLD_WITHIN_S:.0f} s: {self.last}.",
                hint="Is this machine connected? Cloudflare's quick tunnels have no guarantee.",
            ) from error
        raise TunnelFailed(
            f"cloudflared ended without a tunnel: {self.last}.",
            hint="A ~/.cloudflared/config.yml stands in the way of quick tunnels.",
        )

    async def line(self) -> str | None:
        """Return the next line, None at the end."""
        while b"\n" not in self._rest and len(self._rest) < 65_536:
            try:
                self._rest += await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        text = line.decode("utf-8", "replace").strip()
        if text:
            self._lines.append(text)
        return text

    @property
    def last(self) -> str:
        """The last error that it told, else its last line."""
        bad = [line for line in self._lines if " ERR " in line or line.startswith("failed")]
        found = bad or list(self._lines)
        return found[-1].rstrip(".")[:300] if found else "it said nothing"


async def _kept(command: list[str]) -> Process:
    """Start a program that ends with this process, by whatever kill."""
    env = {name: v for name, v in os.environ.items() if not name.startswith(_SECRETS)}
    try:
        return await anyio.open_process(
            [sys.executable, "-P", "-m", "captiv.gui.keeper", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise TunnelFailed(f"{command[0]} cannot be started: {error.strerror}.") from error


async def _end(process: Process) -> None:
    assert process.stdin is not None
    with suppress(OSError, anyio.BrokenResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()
