"""The signals that end a command, received by a task instead of a handler, on every system.

A command hears of them from its first line of code to its last:

- `catch` has them end a command that has begun nothing, as Ctrl-C does;
- `received` hands them to the task that drains a run, those that came just before it first;
- `outlast_hangup` is for a command whose work the closing of a terminal must not cut off: between
  those two, and while it says how the run ended, a hang-up is only noted.

One closed terminal may hang up twice: the kernel tells its foreground, and the shell tells its
jobs. So a hang-up never counts as the second signal, which ends a run at once.
"""

import signal
import threading
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_BACKLOG = 16

_unheard: list[signal.Signals] = []
"""What came while no task received signals."""


def ending() -> list[signal.Signals]:
    """Return the signals that end a command; not those that captiv was told to ignore (nohup)."""
    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def is_hangup(number: signal.Signals) -> bool:
    """Whether the terminal is gone: nobody is impatient."""
    return number.name == "SIGHUP"


@contextmanager
def catch(*, process: bool) -> Iterator[None]:
    """Have the signals that end a command raise KeyboardInterrupt until the block ends.

    Args: `process`: the process ends with the block, and no hang-up takes its exit code any more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = [number for number in ending() if number is not signal.SIGINT]  # which Python catches
    before = {number: signal.signal(number, _interrupt) for number in own}
    try:
        yield
    finally:
        _unheard.clear()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if process and is_hangup(number) else handler)


def outlast_hangup() -> None:
    """From now on only note a hang-up, until `catch` ends."""
    for number in ending():
        if is_hangup(number) and signal.getsignal(number) is _interrupt:
            signal.signal(number, _note)


@contextmanager
def received(numbers: list[signal.Signals]) -> Iterator[AsyncIterable[signal.Signals]]:
    """Yield these signals as they come, in place of what they would do. In the main thread only.

    A handler runs between two steps of whatever the main thread does, so it may only leave a note;
    call_soon_threadsafe is asyncio's one call that also wakes a loop that sleeps.
    """
    import asyncio  # here: a command that receives nothing starts without an event loop's weight

    import anyio

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
    while _unheard:
        pass_on(_unheard.pop(0))
    try:
        with send, receive:
            yield receive
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    ending = bool(_unheard)
    _note(number, frame)  # what is being imported may swallow the exception
    if not (ending and is_hangup(signal.Signals(number))):  # it may meet the end half-way
        raise KeyboardInterrupt


def _note(number: int, _frame: FrameType | None) -> None:
    _unheard.append(signal.Signals(number))
