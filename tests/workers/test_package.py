"""A package that nobody could install is known before a pod is rented to try."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from captiv.workers.package import missing

THERE = {"/captiv-1-py3-none-any.whl", "/pypi/captiv/1.0/json"}


class Shelf(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in THERE else 503 if "busy" in self.path else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def shelf() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.allow_blocking
@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("captiv[local]==1.0", None),
        ("captiv==1.0", None),
        ("captiv[local]==2.0", "PyPI has no captiv 2.0."),
        ("captiv[local] @ {shelf}/captiv-1-py3-none-any.whl", None),
        ("{shelf}/captiv-1-py3-none-any.whl#sha256=0", None),
        ("{shelf}/gone.whl", "{shelf}/gone.whl is not there."),
        ("{shelf}/busy.whl", None),
        ("captiv>=2", None),
        ("/opt/captiv-2-py3-none-any.whl[local]", None),
        ("http://127.0.0.1:1/captiv.whl", None),
    ],
)
async def test_what_is_not_there_is_named_and_what_is_not_known_is_not(
    shelf: str, requirement: str, reason: str | None
) -> None:
    found = await missing(requirement.format(shelf=shelf), index=shelf)

    assert found == (reason and reason.format(shelf=shelf))
