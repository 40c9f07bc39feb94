import socket
import sys
from contextlib import closing

import pytest

from captiv.testing.ports import HOST, Port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not held")


def listening(number: int) -> socket.socket:
    """Listen as a server does."""
    return socket.create_server((HOST, number))


def test_the_server_that_it_is_for_listens_on_it_again_and_again() -> None:
    with closing(Port()) as port:
        for _ in range(2):
            with listening(port.number), socket.create_connection((HOST, port.number)):
                pass


def test_nobody_else_is_given_it() -> None:
    with closing(Port()) as port, socket.socket() as other, pytest.raises(OSError):
        other.bind((HOST, port.number))


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([20_001, 20_001, *range(20_002, 20_100)])
    monkeypatch.setattr("random.SystemRandom.randrange", lambda *_: next(drawn))

    with closing(Port()) as one, closing(Port()) as two:
        assert one.number != two.number
