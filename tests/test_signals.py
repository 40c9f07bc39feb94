import os
import signal
import threading
from collections.abc import Iterator

import anyio
import pytest

from captiv import signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process there")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    after = {number: signal.getsignal(number) for number in before}
    assert after == before


async def test_a_signal_wakes_a_loop_that_sleeps() -> None:
    kill = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))

    with signals.received([signal.SIGTERM, signal.SIGHUP]) as received, anyio.fail_after(60):
        kill.start()  # by then nothing is left to do but to wait
        first = await anext(aiter(received))

    assert first is signal.SIGTERM


async def test_each_is_told_in_its_turn_and_what_nobody_takes_is_dropped() -> None:
    with signals.received([signal.SIGTERM, signal.SIGHUP]) as received, anyio.fail_after(60):
        for number in (signal.SIGTERM, signal.SIGHUP, *[signal.SIGTERM] * 40):
            signal.raise_signal(number)
        await anyio.lowlevel.checkpoint()
        told = aiter(received)

        assert [await anext(told) for _ in range(2)] == [signal.SIGTERM, signal.SIGHUP]


def test_what_was_told_to_be_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in signals.ending()
        assert signal.SIGTERM in signals.ending()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_system_without_sighup_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")

    assert signal.SIGTERM in signals.ending()


def test_a_terminal_that_hangs_up_twice_interrupts_once() -> None:
    """The kernel tells the foreground, the shell tells its jobs: the second meets the end."""
    with signals.catch(process=False):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
