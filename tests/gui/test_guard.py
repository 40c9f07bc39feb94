import socket
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from captiv.gui.app import routes
from captiv.gui.guard import Hosts
from tests.support import Home

from .pages import PATIENCE_S, Page, Visitor

ROUTES = [
    ("GET", "/"),
    ("GET", "/api/folders"),
    ("GET", "/api/images"),
    ("GET", "/api/images/0123456789abcdef"),
    ("PUT", "/api/images/0123456789abcdef/caption"),
    ("POST", "/api/images/0123456789abcdef/undo"),
    ("GET", "/api/edits"),
    ("POST", "/api/edits"),
    ("POST", "/api/edits/previews"),
    ("GET", "/api/edits/previews/1"),
    ("POST", "/api/edits/1/undo"),
    ("DELETE", "/api/edits/under-way/1"),
    ("GET", "/api/listings/a-1/ids"),
    ("POST", "/api/listings/a-1/unseen"),
    ("POST", "/api/links"),
    ("GET", "/api/models"),
    ("POST", "/api/plans"),
    ("POST", "/api/quotes"),
    ("GET", "/api/runs"),
    ("POST", "/api/runs"),
    ("GET", "/api/runs/1"),
    ("GET", "/api/runs/1/captions"),
    ("POST", "/api/runs/1/resume"),
    ("POST", "/api/runs/1/retry"),
    ("POST", "/api/runs/1/pause"),
    ("POST", "/api/runs/1/cancel"),
    ("GET", "/api/pods"),
    ("POST", "/api/pods"),
    ("POST", "/api/pods/sweep"),
    ("DELETE", "/api/pods/abc"),
    ("GET", "/api/pods/abc/end"),
    ("GET", "/api/pods/abc/log"),
    ("GET", "/api/share"),
    ("DELETE", "/api/share"),
    ("GET", "/api/settings"),
    ("PUT", "/api/settings/gui/port"),
    ("DELETE", "/api/settings/gui/port"),
    ("GET", "/images/0123456789abcdef/small"),
    ("GET", "/images/0123456789abcdef/large"),
    ("GET", "/static/x/js/main.js"),
    ("GET", "/live"),
    ("GET", "/nothing"),
    ("DELETE", "/"),
    ("OPTIONS", "/api/images"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_answers_without_a_session(page: Page, method: str, path: str) -> None:
    with page.stranger() as http:
        response = http.request(method, path)

    assert response.status_code == 401
    assert response.json()["code"] == "refused_session"
    assert "set-cookie" not in response.headers


def test_every_route_of_the_page_is_among_those_tried(page: Page) -> None:
    tried = {path for _, path in ROUTES}
    for route in routes():
        regex = route.path_regex  # type: ignore[attr-defined]
        if "/static/" in regex.pattern:
            continue
        assert any(regex.match(path) for path in tried), regex.pattern


def test_the_socket_is_closed_to_whoever_has_no_session(page: Page) -> None:
    address = page.address.replace("http", "ws") + "/live"

    with pytest.raises(InvalidStatus) as caught, connect(address, open_timeout=PATIENCE_S):
        pass

    assert caught.value.response.status_code == 403


def test_the_socket_is_closed_to_other_pages(page: Page, visitor: Visitor) -> None:
    with pytest.raises(InvalidStatus) as caught, visitor.live(Origin="http://evil.example"):
        pass

    assert caught.value.response.status_code == 403


@pytest.mark.slow
def test_the_link_works_once_and_leaves_no_token_in_the_address(
    home: Home, pictures: object, launch: Callable[..., Page]
) -> None:
    page = launch()
    with page.stranger() as first, page.stranger() as second:
        entered = first.get(page.link)
        again = second.get(page.link)

        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert first.get("/").status_code == 200
        assert again.status_code == 401
        assert again.json()["code"] == "refused_link"


def test_a_link_for_another_browser_opens_a_session(page: Page, visitor: Visitor) -> None:
    url = visitor.http.post("/api/links").json()["url"]

    with page.stranger() as other:
        entered = other.get(url)
        cookie = entered.headers["set-cookie"]

        assert entered.status_code == 303
        assert cookie.startswith(f"captiv-{page.port}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert other.get("/api/folders").status_code == 200


def test_a_wrong_token_opens_nothing(page: Page) -> None:
    with page.stranger(Accept="text/html") as http:
        response = http.get("/?token=" + "A" * 43)

    assert response.status_code == 401
    assert "does not work any more" in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.slow
def test_a_session_survives_a_restart_and_opens_no_other_folder(
    home: Home, pictures: object, launch: Callable[..., Page]
) -> None:
    first = launch()
    visitor = first.visitor()
    cookie = next(iter(visitor.http.cookies.values()))
    assert first.stop() == 0

    again = launch()
    (home.folder / "other").mkdir()
    with again.stranger(Cookie=f"captiv-{again.port}={cookie}") as http:
        assert http.get("/api/folders").status_code == 200
    with again.stranger(Cookie=f"captiv-{again.port}={cookie[:-1]}x") as http:
        assert http.get("/api/folders").status_code == 401

    home.pictures = home.folder / "other"
    other = launch()
    with other.stranger(Cookie=f"captiv-{other.port}={cookie}") as http:
        assert http.get("/api/folders").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.7", "", "127.0.0.1.x"])
def test_another_host_is_refused(page: Page, visitor: Visitor, host: str) -> None:
    response = visitor.http.get("/api/folders", headers={"Host": host})

    assert response.status_code == 400


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://{host}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_are_refused(page: Page, visitor: Visitor, headers: dict[str, str]) -> None:
    host = page.address.partition("//")[2]
    sent = {name: value.replace("{host}", host) for name, value in headers.items()}

    assert visitor.http.get("/api/folders", headers=sent).status_code == 403
    assert visitor.http.post("/api/links", headers=sent).status_code == 403


def test_the_own_page_is_let_in(page: Page, visitor: Visitor) -> None:
    own = {"Origin": page.address, "Sec-Fetch-Site": "same-origin"}

    assert visitor.http.post("/api/links", headers=own).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/folders", "/nothing"])
def test_every_answer_carries_the_policy(page: Page, visitor: Visitor, path: str) -> None:
    with page.stranger() as stranger:
        for response in (visitor.http.get(path), stranger.get(path)):
            policy = response.headers["content-security-policy"]
            assert policy.startswith("default-src 'self'; ")
            assert "unsafe" not in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["referrer-policy"] == "no-referrer"


def test_a_machine_elsewhere_is_let_in_only_by_address_or_own_name() -> None:
    hosts = Hosts({"127.0.0.1", "box"}, any_address=True)

    assert hosts.admit("192.168.1.5:7860")
    assert hosts.admit("[fe80::1]:7860")
    assert hosts.admit("Box:7860")
    assert not hosts.admit("rebound.example:7860")
    assert not Hosts({"127.0.0.1"}).admit("192.168.1.5:7860")


def test_raw_paths_lead_nowhere(page: Page, visitor: Visitor) -> None:
    for path in ("/static/../../pyproject.toml", "/images/..%2f..%2fetc/small", "//etc/passwd"):
        with socket.create_connection(("127.0.0.1", page.port), PATIENCE_S) as raw:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {visitor.cookie}\r\n\r\n"
            raw.sendall(request.encode())
            assert raw.recv(64).split()[1] == b"404"
