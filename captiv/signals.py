"""The signals that end a command, received by a task instead of a handler, on every system.

Windows has no SIGHUP, and its event loop cannot watch signals: there a handler passes them on.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import anyio

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_BACKLOG = 16


def ending() -> list[signal.Signals]:
    """Return the signals that end a command; not those that captiv was told to ignore (nohup)."""
    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def received(
    numbers: list[signal.Signals],
) -> AbstractContextManager[AsyncIterable[signal.Signals]]:
    """Yield these signals as they come, in place of what they would do. In the main thread only."""
    if sys.platform == "win32":
        return by_handlers(numbers)
    return anyio.open_signal_receiver(*numbers)


@contextmanager
def by_handlers(numbers: list[signal.Signals]) -> Iterator[AsyncIterable[signal.Signals]]:
    """Do the same with handlers of Python's, which need nothing of the event loop.

    A handler runs between two steps of whatever the main thread does, so it may only leave a note;
    call_soon_threadsafe is asyncio's one call that also wakes a loop that sleeps.
    """
    loop = asyncio.get_running_loop()
    send, receive = anyio.create_memory_object_stream[signal.Signals](_BACKLOG)

    def pass_on(number: int) -> None:
        try:
            send.send_nowait(signal.Signals(number))
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # nobody listens any more, or they have not taken the first sixteen

    def handle(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(pass_on, number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        with send, receive:
            yield receive
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
