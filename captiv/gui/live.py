"""The live socket: everything that changes, to every tab, over one WebSocket each.

A message is JSON: a topic and what there is to say. What a tab has not been sent yet is kept by
topic, so a slow tab, or one behind a tunnel, gets the latest state and no queue grows. Changed
images are named, and told as they are when the message leaves.

    hello    the first one: this process's id, and the state of the folder
    images   images that changed, and whether there were too many to name
    folder   how much was read, and whether that is all

Other views add topics of their own with `tell`; `rights.py` says who is told of which. A tab says
`look` when a person comes back to it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from captiv.gui.entry import ImageId
from captiv.gui.rights import OWN, TOPICS, Right, held

_PAUSE_S: Final = 0.15
"""Changes of so long travel together."""
_NAMED: Final = 300
_POLICY_VIOLATION: Final = 1008
_WIRE_S: Final = 30.0
"""A tab that takes nothing for so long is gone; it connects again if it is not."""

Show = Callable[[Iterable[ImageId]], list[dict[str, Any]]]


@dataclass(slots=True, eq=False)
class _Tab:
    right: Right
    wake: anyio.Event = field(default_factory=anyio.Event)
    topics: dict[str, Any] = field(default_factory=dict)
    images: dict[ImageId, None] = field(default_factory=dict)
    many: bool = False
    over: bool = False
    """Whether it has to go: its session is worthless now."""

    def stir(self) -> None:
        self.wake.set()


class Live:
    """Every open tab."""

    def __init__(self, show: Show, hello: Callable[[], dict[str, Any]]) -> None:
        """Args: show: how images are told; hello: what a new tab is told first."""
        self._show = show
        self._hello = hello
        self._tabs: set[_Tab] = set()
        self.looked = anyio.Event()
        """Set when a person came back to a tab; whoever waits for it puts a new one there."""

    @property
    def tabs(self) -> int:
        """How many tabs are open."""
        return len(self._tabs)

    def tell(self, topic: str, value: Any) -> None:
        """Send the state of a topic to every tab; one that was not sent yet is forgotten."""
        needed = TOPICS.get(topic, OWN)
        for tab in self._tabs:
            if tab.right >= needed:
                tab.topics[topic] = value
                tab.stir()

    def tabs_below(self, right: Right) -> int:
        """Return how many tabs may do less than this."""
        return sum(tab.right < right for tab in self._tabs)

    def dismiss(self, below: Right) -> None:
        """Close the sockets of all who may do less than this."""
        for tab in self._tabs:
            if tab.right < below:
                tab.over = True
                tab.stir()

    def changed(self, ids: Iterable[ImageId]) -> None:
        """Tell every tab that these images changed."""
        ids = list(ids)
        if not ids:
            return
        for tab in self._tabs:
            if len(tab.images) + len(ids) > _NAMED:
                tab.many = True
            else:
                tab.images.update(dict.fromkeys(ids))
            tab.stir()

    async def serve(self, socket: WebSocket) -> None:
        """Talk to one tab until it goes, or has to."""
        await socket.accept()
        tab = _Tab(held(socket))
        self._tabs.add(tab)
        self._guests(tab)
        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._listen, socket, tg.cancel_scope)
                await self._talk(socket, tab)
                tg.cancel_scope.cancel()
            if tab.over:
                with anyio.move_on_after(_WIRE_S), suppress(RuntimeError, OSError):
                    await socket.close(_POLICY_VIOLATION)
        finally:
            self._tabs.discard(tab)
            self._guests(tab)

    def _guests(self, tab: _Tab) -> None:
        """Have the owner's tabs count visitors anew when one came or went."""
        if tab.right < OWN:
            self.tell("share", {"changed": True})

    async def _talk(self, socket: WebSocket, tab: _Tab) -> None:
        tab.topics = {"hello": self._hello(), **tab.topics}
        while not tab.over:
            for message in self._messages(tab):
                try:
                    with anyio.fail_after(_WIRE_S):
                        await socket.send_json(message)
                except (WebSocketDisconnect, RuntimeError, TimeoutError, OSError):
                    return
            await tab.wake.wait()
            await anyio.sleep(_PAUSE_S)

    def _messages(self, tab: _Tab) -> list[dict[str, Any]]:
        tab.wake = anyio.Event()
        topics, tab.topics = tab.topics, {}
        images, tab.images = tab.images, {}
        many, tab.many = tab.many, False
        messages = [{"topic": topic, "value": value} for topic, value in topics.items()]
        if images or many:
            value = {"changed": self._show(images), "more": many}
            messages.append({"topic": "images", "value": value})
        return messages

    async def _listen(self, socket: WebSocket, scope: anyio.CancelScope) -> None:
        try:
            while socket.client_state is WebSocketState.CONNECTED:
                if await socket.receive_text() == "look":
                    self.looked.set()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            scope.cancel()
