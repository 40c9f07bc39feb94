"""The installed command with a worker whose engine hangs: it ends in words, with the right code."""

import signal

import pytest

from tests.support import Home, finish, told, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SOON = {
    "CAPTIV_WORKER_SILENCE_WARNING": "1",
    "CAPTIV_WORKER_SILENCE_LIMIT": "2",
    "CAPTIV_WORKER_FIRST_CAPTION": "2",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_drain_of_a_worker_that_hangs_has_a_limit(home: Home, number: int) -> None:
    home.scenes(12)
    began = home.folder / "began"
    home.scripted(hold=str(home.held()), touch=str(began))
    process = home.start_generate(CAPTIV_WORKER_DRAIN_LIMIT="1")
    until(began.exists)

    process.send_signal(number)
    told(process, "for at most 1 s; a second")
    ended = finish(process)

    assert ended.code == 130, ended
    assert "still at the worker after 1 s" in ended.err
    assert home.captions() == {}
    assert home.workers() == []
    again = home.scripted().generate()
    assert again.code == 0, again
    assert len(home.captions()) == 12


def test_a_worker_here_that_always_hangs_is_started_again_and_then_given_up(home: Home) -> None:
    home.scenes(6)
    ended = home.scripted(hold=str(home.held())).generate(timeout=120, **SOON)

    assert ended.code == 4, ended
    assert "No caption has come from this machine for 1 s" in ended.err
    assert "The worker hangs (no caption came for 2 s); starting another." in ended.err
    assert "died 3 times without a caption (no caption came for 2 s)" in ended.err
    assert home.workers() == []
    assert home.scripted().generate().code == 0
    assert len(home.captions()) == 6
