import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from captiv.errors import UsageError
from captiv.gui.launch import Options, is_loopback, listen
from tests.support import Home

from .pages import PATIENCE_S, Page

pytestmark = pytest.mark.allow_blocking


def options(host: str = "127.0.0.1", port: int = 0, *, named: bool = False) -> Options:
    return Options(root=Path(), host=host, port=port, port_named=named)


@pytest.fixture
def taken() -> object:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        yield busy.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(taken: int) -> None:
    with pytest.raises(UsageError, match=f"Port {taken} of 127.0.0.1 is taken"):
        listen(options(port=taken, named=True))


def test_the_next_free_port_is_taken_if_none_was_asked_for(taken: int) -> None:
    with listen(options(port=taken)) as listener:
        assert taken < listener.getsockname()[1] <= taken + 20


def test_a_host_that_this_machine_has_not_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"cannot be served on 192\.0\.2\.1"):
        listen(options("192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_who_can_reach_a_host(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.slow
def test_the_command_says_what_is_wrong(home: Home, taken: int) -> None:
    missing = home.run("gui", "launch", str(home.folder / "nowhere"), "--no-open")
    (home.folder / "a.png").touch()
    file = home.run("gui", "launch", str(home.folder / "a.png"), "--no-open")
    busy = home.run("gui", "launch", "--port", str(taken), "--no-open")
    half = home.run("gui", "launch", "--ssl-keyfile", "key.pem", "--no-open")

    assert (missing.code, busy.code, half.code) == (2, 2, 2)
    assert "There is no folder" in missing.err
    assert file.code == 2
    assert "a.png is no folder" in file.err
    assert "--port 0 takes a free one" in busy.err
    assert "TLS needs both" in half.err


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_with_a_tab_open(home: Home, launch: Callable[..., Page]) -> None:
    page = launch()
    with page.visitor().live() as socket_:
        socket_.recv(timeout=PATIENCE_S)

        assert page.stop() == 0
    assert page.process.stderr is not None


@pytest.mark.slow
def test_other_machines_are_warned_about_and_need_the_token_all_the_same(
    home: Home, launch: Callable[..., Page]
) -> None:
    page = launch("--host", "0.0.0.0")
    address = f"http://127.0.0.1:{page.port}"

    with httpx2.Client(timeout=PATIENCE_S) as http:
        assert http.get(address).status_code == 401
        assert http.get(address, headers={"Host": "evil.example"}).status_code == 400
    page.process.terminate()
    assert "everybody on the way can read along" in page.process.communicate(timeout=PATIENCE_S)[1]


@pytest.mark.slow
def test_it_is_served_over_tls(home: Home, launch: Callable[..., Page], tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate}"
    named = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(f"{make} {named}".split(), check=True, capture_output=True)

    page = launch("--ssl-keyfile", str(key), "--ssl-certfile", str(certificate))

    trusting = ssl.create_default_context(cafile=str(certificate))
    with httpx2.Client(verify=trusting, timeout=PATIENCE_S) as http:
        entered = http.get(page.link)
        assert entered.status_code == 303
        assert "Secure" in entered.headers["set-cookie"].split("; ")
        own = {"Origin": page.address, "Cookie": entered.headers["set-cookie"].partition(";")[0]}
        assert http.post(page.address + "/api/links", headers=own).status_code == 200
        plain = own | {"Origin": page.address.replace("https", "http")}
        assert http.post(page.address + "/api/links", headers=plain).status_code == 403


@pytest.mark.slow
def test_files_that_are_no_certificate_are_an_error(home: Home) -> None:
    junk = home.folder / "junk.pem"
    junk.write_text("no key")

    ended = home.run(
        "gui", "launch", "--no-open", "--ssl-keyfile", str(junk), "--ssl-certfile", str(junk)
    )

    assert ended.code == 3
    assert "no certificate with its key" in ended.err
