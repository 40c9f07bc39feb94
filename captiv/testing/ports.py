"""A port whose number is known before the server listens on it."""

import random
import socket
import sys

HOST = "127.0.0.1"


class Port:
    """A port of this machine that nobody takes but the server that it is for, until it is closed.

    It stays bound, and a server that sets SO_REUSEADDR, as servers do, listens on it all the same.
    Linux has it so; elsewhere it is only one below those that the system itself hands out.
    """

    def __init__(self) -> None:
        self._held = _bound()
        self.number: int = self._held.getsockname()[1]
        if sys.platform == "linux":
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            self.close()

    def close(self) -> None:
        """Let others have it."""
        self._held.close()


def _bound() -> socket.socket:
    while True:
        held = socket.socket()
        try:
            held.bind((HOST, random.SystemRandom().randrange(20_000, 32_000)))
        except OSError:
            held.close()
        else:
            return held
