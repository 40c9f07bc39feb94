"""Keeps a share open: its tunnel, the name that is let in, and the end, on time or asked for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from captiv.errors import TunnelFailed
from captiv.gui.guard import Hosts
from captiv.gui.live import Live
from captiv.gui.rights import OWN
from captiv.gui.share import Share
from captiv.gui.tunnels import Line, Tunnel

_log = logging.getLogger(__name__)

_LOOK_S: Final = 5.0
"""A machine that slept wakes up past the end; the wall clock is looked at this often."""


@dataclass(slots=True)
class Sharing:
    """Opens a share to the world, and closes it."""

    share: Share
    tunnel: Tunnel
    local: str
    """Where the tunnel leads."""
    hosts: Hosts
    live: Live
    on_open: Callable[[str], None]
    """Told the address once there is one."""
    on_note: Callable[[str], None]
    """Told what a person should know."""
    served: anyio.Event = field(default_factory=anyio.Event)
    """Set once the page answers: nothing is opened before."""

    async def run(self) -> None:
        """Share until it ends; a tunnel that fails ends the sharing, never the page."""
        await self.served.wait()
        try:
            async with self.tunnel.reach(self.local) as line:
                self._open(line)
                async with anyio.create_task_group() as tg:
                    tg.start_soon(self._watch, line)
                    await self._wait()
                    tg.cancel_scope.cancel()
        except TunnelFailed as error:
            self.share.end(error.message)
            self.on_note(" ".join(filter(None, (error.message, error.hint))))
        finally:
            self._close()

    def _open(self, line: Line) -> None:
        if self.share.state == "over":
            return
        self.share.opened(line.url)
        self.hosts.names.add(self.share.name)
        _log.info("page shared address=%s right=%s", self.share.url, self.share.right.word)
        self.on_open(self.share.url)
        self.live.tell("share", {"changed": True})

    async def _watch(self, line: Line) -> None:
        why = await line.lost()
        self.share.end(f"The tunnel ended: {why}.")
        self.on_note(f"the page is shared no more: the tunnel ended: {why}.")

    async def _wait(self) -> None:
        while self.share.state != "over":
            with anyio.move_on_after(min(self.share.left_s(), _LOOK_S)):
                await self.share.ended.wait()

    def _close(self) -> None:
        self.share.end("The page ended.")
        self.hosts.names.discard(self.share.name)
        self.live.dismiss(OWN)
        self.live.tell("share", {"changed": True})
        _log.info("page shared no more reason=%s", self.share.over_because)
