"""A page that is served by a process of its own, and who comes to it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
from websockets.sync.client import ClientConnection, connect

from tests.support import Home, until

PATIENCE_S = 60.0
"""What a page has not answered by then it never answers."""


class Page:
    """`captiv gui launch` over the pictures of an installation."""

    def __init__(self, home: Home, *options: str) -> None:
        self.home = home
        self.process = home.start(
            "gui", "launch", str(home.pictures), "--no-open", "--port", "0", *options
        )
        assert self.process.stdout is not None
        self._visitor: Visitor | None = None
        self.visitors: list[httpx2.Client] = []
        self.link = self.process.stdout.readline().strip()
        assert self.link, self.process.communicate(timeout=PATIENCE_S)

    def shared(self) -> tuple[str, str]:
        """Return the address under which the page is shared, and the passphrase, once told."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip(), self.process.stdout.readline().strip()

    @property
    def address(self) -> str:
        return self.link.partition("/?")[0]

    @property
    def port(self) -> int:
        port = urlsplit(self.link).port
        assert port is not None
        return port

    def says(self, words: str) -> None:
        """Wait until the page says something on standard error."""
        assert self.process.stderr is not None
        assert any(words in line for line in self.process.stderr), f"it never said: {words}"

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)
        for visitor in self.visitors:
            visitor.close()

    def visitor(self) -> "Visitor":
        """Return somebody who came in through the link, which works once."""
        if self._visitor is None:
            self._visitor = Visitor(self)
        return self._visitor

    def stranger(self, **headers: str) -> httpx2.Client:
        """Return somebody without a session."""
        return httpx2.Client(base_url=self.address, headers=headers, timeout=PATIENCE_S)


class Visitor:
    """Somebody who came through the link."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.http = page.stranger()
        page.visitors.append(self.http)
        assert self.http.get(page.link).status_code == 303
        until(self.complete, "the folder is read", every_s=0.05)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    def complete(self) -> bool:
        with self.live() as socket:
            return bool(json.loads(socket.recv(timeout=PATIENCE_S))["value"]["complete"])

    def get(self, path: str, **query: Any) -> Any:
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def images(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/images", **query)["images"]
        return found

    def image(self, name: str) -> dict[str, Any]:
        (found,) = [image for image in self.images(limit=500) if image["name"] == name]
        return found

    def write(self, image: dict[str, Any], text: str | None, version: str = "") -> httpx2.Response:
        body = {"text": text, "version": version or image["version"]}
        return self.http.put(f"/api/images/{image['id']}/caption", json=body)

    @contextmanager
    def live(self, **headers: str) -> Iterator[ClientConnection]:
        address = self.page.address.replace("http", "ws", 1) + "/live"
        own = {"Cookie": self.cookie} | headers
        with connect(address, additional_headers=own, open_timeout=PATIENCE_S) as socket:
            yield socket


def told(socket: ClientConnection, topic: str) -> Any:
    """Return what is told next of a topic; others, as that of runs, come when they like."""
    while True:
        message = json.loads(socket.recv(timeout=PATIENCE_S))
        if message["topic"] == topic:
            return message["value"]
