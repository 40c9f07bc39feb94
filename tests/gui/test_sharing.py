"""`captiv gui launch --share` as others meet it: through a tunnel that ends on this machine."""

import ast
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from captiv.gui.app import routes
from captiv.gui.rights import EDIT, LOOK, OWN, ROUTES, TOPICS, Right
from tests.support import Home, alive, until

from .pages import PATIENCE_S, Page, told
from .tunnels import NAME, Edge, edge, install

pytestmark = pytest.mark.slow

Launch = Callable[..., Page]
PUBLIC = f"https://{NAME}"
FILLED = {
    "{image}": "0123456789abcdef",
    "{size}": "small",
    "{listing}": "a-1",
    "{preview}": "1",
    "{edit:int}": "1",
    "{work}": "1",
    "{run:int}": "1",
    "{pod}": "abc",
    "{section}": "runpod",
    "{name}": "api_key",
    "{fingerprint}": "x",
    "{name:path}": "js/main.js",
}


class Shared:
    """A page that is shared, and those who come through its tunnel."""

    def __init__(self, page: Page, edge: Edge) -> None:
        self.page, self.edge = page, edge
        self.url, self.passphrase = page.shared()
        self._context = ssl.create_default_context(cafile=str(page.home.folder / "tunnel.pem"))
        self._open: list[httpx2.Client] = []

    def stranger(self, **headers: str) -> httpx2.Client:
        made = httpx2.Client(
            base_url=f"https://127.0.0.1:{self.edge.port}",
            headers={"Host": NAME} | headers,
            verify=self._context,
            timeout=PATIENCE_S,
        )
        self._open.append(made)
        return made

    def try_(self, http: httpx2.Client, passphrase: str, remote: str = "") -> httpx2.Response:
        headers = {"X-Test-Remote": remote} if remote else {}
        return http.post("/enter", data={"passphrase": passphrase}, headers=headers)

    def visitor(self) -> httpx2.Client:
        http = self.stranger()
        assert self.try_(http, self.passphrase).status_code == 303
        return http

    def live(self, http: httpx2.Client | None, **headers: str) -> ClientConnection:
        cookies = "; ".join(f"{k}={v}" for k, v in http.cookies.items()) if http else ""
        return connect(
            f"wss://{NAME}/live",
            address=("127.0.0.1", self.edge.port),
            proxy=None,
            ssl=self._context,
            additional_headers={"Cookie": cookies} | headers,
            open_timeout=PATIENCE_S,
        )

    def close(self) -> None:
        for http in self._open:
            http.close()


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("share"))
    home.scenes(3, nested=False)
    (home.pictures / "scene-0001.txt").write_text("a red dog")
    (home.pictures / "out.png").symlink_to(home.folder / "elsewhere.png")  # told as a problem
    install(home)
    home.env["RUNPOD_API_KEY"] = "rpa_N0tForAnyEyes"
    return home


def _shared(home: Home, option: str) -> Iterator[Shared]:
    page = Page(home, option)
    with edge(page.port, home.folder) as public:
        shared = Shared(page, public)
        yield shared
        shared.close()
    page.end()


@pytest.fixture(scope="module")
def look(shared_home: Home) -> Iterator[Shared]:
    yield from _shared(shared_home, "--share")


@pytest.fixture(scope="module")
def edits(shared_home: Home) -> Iterator[Shared]:
    yield from _shared(shared_home, "--share=edit")


@pytest.fixture
def fresh(home: Home, pictures: Path) -> Iterator[Shared]:
    install(home)
    yield from _shared(home, "--share=edit")


# -- coming in -------------------------------------------------------------------------------------


def test_the_passphrase_opens_a_session_that_is_for_https_alone(look: Shared) -> None:
    http = look.stranger(Accept="text/html")
    form = http.get("/")

    entered = look.try_(http, look.passphrase)

    assert (look.url, len(look.passphrase.split())) == (PUBLIC, 4)
    assert (form.status_code, entered.status_code) == (401, 303)
    assert 'action="/enter"' in form.text
    assert "scene-0001" not in form.text
    cookie = entered.headers["set-cookie"].split("; ")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie)
    (lasts,) = [part for part in cookie if part.startswith("Max-Age=")]
    assert http.get("/").status_code == 200
    left_s = http.get("/api/share").json()["until_ms"] / 1000 - time.time()
    assert left_s <= 8 * 3600
    assert int(lasts.partition("=")[2]) == pytest.approx(left_s, abs=60)
    assert http.get("/api/folders").status_code == 200


def test_nothing_is_there_without_the_passphrase(look: Shared) -> None:
    http = look.stranger()

    for method, path in ROUTES:
        answer = http.request(method, _filled(path))
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False), path
    assert http.get("/enter").status_code == 401
    with pytest.raises(InvalidStatus) as caught, look.live(None):
        pass
    assert caught.value.response.status_code == 403


def test_wrong_passphrases_are_slowed_for_one_remote(fresh: Shared) -> None:
    http = fresh.stranger(Accept="text/html")

    def at_once() -> bool:
        """Try a wrong one and the right one; tell whether that took less than the wait."""
        began = time.monotonic()
        first = fresh.try_(http, "one two three four")
        too_soon = fresh.try_(http, fresh.passphrase)
        if time.monotonic() - began >= 1:
            assert too_soon.status_code in (303, 429)
            until(lambda: fresh.try_(http, fresh.passphrase).status_code == 303, "it is forgotten")
            return False
        assert (first.status_code, first.headers["retry-after"]) == (401, "1")
        assert "That is not the passphrase" in first.text
        assert (too_soon.status_code, "set-cookie" in too_soon.headers) == (429, False)
        assert int(too_soon.headers["retry-after"]) == 1
        return True

    until(at_once, "both are tried in a second")
    other = fresh.try_(http, "one two three four", "203.0.113.9")

    assert other.status_code == 401
    until(lambda: fresh.try_(http, fresh.passphrase).status_code == 303, "the wait is over")


def test_many_remotes_are_slowed_together(fresh: Shared) -> None:
    http = fresh.stranger()
    remotes = (f"203.0.113.{n}" for n in range(250))
    wrong = [fresh.try_(http, "wrong", next(remotes)).status_code for _ in range(10)]

    assert wrong == [401] * 10
    until(lambda: fresh.try_(http, "wrong", next(remotes)).status_code == 429, "a new one waits")
    assert fresh.try_(http, fresh.passphrase, "192.0.2.1").status_code in (303, 429)


@pytest.mark.parametrize(
    "body", [b"", b"passphrase=", b"{}", b"passphrase=" + b"a" * 5000, b"\xff"]
)
def test_a_body_that_is_no_passphrase_opens_nothing(fresh: Shared, body: bytes) -> None:
    assert fresh.stranger().post("/enter", content=body).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{NAME}"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_pages_get_nothing_through_the_tunnel(look: Shared, headers: dict[str, str]) -> None:
    visitor = look.visitor()

    assert visitor.get("/api/folders", headers=headers).status_code == 403
    assert visitor.get("/api/folders", headers={"Origin": PUBLIC}).status_code == 200
    with pytest.raises(InvalidStatus), look.live(visitor, Origin="https://evil.example"):
        pass


# -- who is who ------------------------------------------------------------------------------------


def test_the_owner_keeps_all_rights_by_the_link_and_only_at_home(look: Shared) -> None:
    owner = look.page.visitor()
    link = owner.http.post("/api/links").json()["url"]

    outside = look.stranger().get("/" + link.partition("/")[2].partition("/")[2].lstrip("/"))

    assert owner.get("/api/settings")["sections"]
    assert owner.get("/api/share")["url"] == PUBLIC
    assert outside.status_code == 401
    assert "set-cookie" not in outside.headers
    stolen = look.stranger(Cookie=owner.cookie)
    assert stolen.get("/api/folders").status_code == 401
    with look.page.stranger() as home:
        assert home.get(link).status_code == 303  # it was not used up


def test_a_visitors_session_is_none_at_home(look: Shared) -> None:
    visitor = look.visitor()
    cookie = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())

    with look.page.stranger(Cookie=cookie) as home:
        assert home.get("/api/folders").status_code == 401
        assert home.post("/enter", data={"passphrase": look.passphrase}).status_code == 401


def test_no_other_name_is_let_in(look: Shared) -> None:
    visitor = look.visitor()

    for host in ("other.trycloudflare.com", "evil.example", "api.trycloudflare.com"):
        assert visitor.get("/api/folders", headers={"Host": host}).status_code == 400


# -- what they may do ------------------------------------------------------------------------------


def _filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return path


def _needs(*rights: Right) -> list[tuple[str, str]]:
    return [route for route, right in ROUTES.items() if right in rights]


def _request(http: httpx2.Client, route: tuple[str, str]) -> httpx2.Response:
    body: dict[str, Any] = {} if route[0] in ("GET", "DELETE") else {"json": {}}
    return http.request(route[0], _filled(route[1]), **body)


def test_every_route_and_method_of_the_page_is_in_the_table() -> None:
    known = {(method, path) for method, path in ROUTES}
    asked = set()
    for route in routes():
        path = route.path  # type: ignore[attr-defined]
        if path.startswith("/static/"):
            path = "/static/{fingerprint}/{name:path}"
        methods = getattr(route, "methods", None) or {"GET"}
        asked |= {(method, path) for method in methods - {"HEAD"}}

    assert asked == known


def test_only_looking_asks_for_no_more_than_to_look() -> None:
    assert all(method == "GET" for method, _ in _needs(LOOK))
    assert all(OWN is right for (_, path), right in ROUTES.items() if "/pods" in path)
    assert all(OWN is right for (_, path), right in ROUTES.items() if "/settings" in path)
    assert all(OWN is right for (_, path), right in ROUTES.items() if "/runs" in path)


@pytest.mark.parametrize("route", _needs(EDIT, OWN), ids=" ".join)
def test_whoever_may_look_may_do_nothing_else(look: Shared, route: tuple[str, str]) -> None:
    answer = _request(look.visitor(), route)

    assert (answer.status_code, answer.json()["code"]) == (403, "refused_right")


@pytest.mark.parametrize("route", _needs(OWN), ids=" ".join)
def test_whoever_may_edit_may_do_nothing_of_the_owners(
    edits: Shared, route: tuple[str, str]
) -> None:
    answer = _request(edits.visitor(), route)

    assert (answer.status_code, answer.json()["code"]) == (403, "refused_right")


@pytest.mark.parametrize("route", _needs(LOOK), ids=" ".join)
def test_whoever_may_look_can(look: Shared, route: tuple[str, str]) -> None:
    if route[1] != "/live":
        assert _request(look.visitor(), route).status_code in (200, 404)


def test_methods_and_routes_that_nobody_thought_of_are_the_owners(edits: Shared) -> None:
    visitor = edits.visitor()

    for method, path in [("POST", "/"), ("PUT", "/api/folders"), ("GET", "/api/nothing")]:
        assert visitor.request(method, path).status_code == 403
    assert visitor.head("/").status_code in (200, 405)


def test_with_edit_a_caption_is_saved_and_edited_in_bulk(fresh: Shared, pictures: Path) -> None:
    visitor = fresh.visitor()
    fresh.page.visitor()  # the folder is read
    image = visitor.get("/api/images").json()["images"][0]

    body = {"text": "by a friend", "version": image["version"]}
    saved = visitor.put(f"/api/images/{image['id']}/caption", json=body)
    listing = visitor.get("/api/images").json()["list"]
    wanted = {"list": listing, "find": "friend", "with": "guest"}
    preview = visitor.post("/api/edits/previews", json=wanted).json()
    made = visitor.post("/api/edits", json={"preview": preview["preview"]})

    assert (saved.status_code, made.json()["changed"]) == (200, 1)
    assert (pictures / image["name"]).with_suffix(".txt").read_text() == "by a guest"


def test_regular_expressions_are_the_owners(edits: Shared) -> None:
    visitor, owner = edits.visitor(), edits.page.visitor()
    listing = owner.get("/api/images")["list"]
    wanted = {"list": listing, "find": "(a+)+$", "with": "b", "regex": True}

    refused = visitor.post("/api/edits/previews", json=wanted)
    preview = owner.http.post("/api/edits/previews", json=wanted).json()["preview"]
    looked = visitor.get(f"/api/edits/previews/{preview}")
    made = visitor.post("/api/edits", json={"preview": preview})

    assert (refused.status_code, refused.json()["code"]) == (403, "refused_right")
    assert (looked.status_code, made.status_code) == (403, 403)


# -- what they see ---------------------------------------------------------------------------------


def test_a_visitor_is_told_of_what_a_visitor_may_see(fresh: Shared, pictures: Path) -> None:
    owner, visitor = fresh.page.visitor(), fresh.visitor()
    image = owner.image("scene-0001.png")
    topics = []
    with fresh.live(visitor) as socket:
        topics.append(json.loads(socket.recv(timeout=PATIENCE_S))["topic"])
        owner.http.put("/api/settings/gui/port", json={"value": "80"})
        owner.write(image, "a new one")
        while topics[-1] != "images":
            topics.append(json.loads(socket.recv(timeout=PATIENCE_S))["topic"])

    assert all(TOPICS[topic] <= EDIT for topic in topics)
    assert "settings" not in topics


def test_nothing_names_where_the_folder_is_or_the_key(look: Shared, shared_home: Home) -> None:
    look.page.visitor()  # the folder is read
    visitor = look.visitor()
    answers = [visitor.get("/").text, visitor.get("/api/folders").text]
    answers.append(visitor.get("/api/images").text)
    answers.append(visitor.get("/api/share").text)
    with look.live(visitor) as socket:
        answers.append(str(socket.recv(timeout=PATIENCE_S)))
    assert "out.png" in answers[-1]

    for answer in answers:
        assert str(shared_home.folder) not in answer
        assert "rpa_" not in answer
        assert "trycloudflare" not in answer


# -- the end ---------------------------------------------------------------------------------------


def test_the_owner_ends_it_and_everybody_is_out_at_once(fresh: Shared) -> None:
    owner, visitor = fresh.page.visitor(), fresh.visitor()
    with fresh.live(visitor) as socket, fresh.page.visitor().live() as own:
        socket.recv(timeout=PATIENCE_S)
        own.recv(timeout=PATIENCE_S)

        assert owner.http.delete("/api/share").json()["state"] == "over"

        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(timeout=PATIENCE_S)
        assert told(own, "share") == {"changed": True}
    assert visitor.get("/api/folders").status_code == 410
    assert fresh.try_(fresh.stranger(), fresh.passphrase).status_code == 410
    assert owner.http.delete("/api/share").status_code == 404
    assert owner.get("/api/folders")


def test_it_ends_by_itself(home: Home, pictures: Path, launch: Launch) -> None:
    record = install(home)
    page = launch("--share", "--share-hours", "0.01")  # 36 s is the least; the clock is tried above
    page.shared()
    owner = page.visitor()

    until(lambda: owner.get("/api/share")["state"] == "over", "its time is over", every_s=0.5)

    assert owner.get("/api/share")["because"] == "Its time is over."
    until(lambda: not _running(record), "the tunnel ends")


def _pid(record: Path) -> int:
    until(lambda: record.exists() and record.read_text().endswith("\n"), "it runs")
    pid: int = ast.literal_eval(record.read_text())[0]
    return pid


def _running(record: Path) -> bool:
    return alive(_pid(record))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_tunnel_ends_with_captiv(
    home: Home, pictures: Path, launch: Launch, number: signal.Signals
) -> None:
    record = install(home)
    page = launch("--share")
    page.shared()
    assert _running(record)

    page.process.send_signal(number)

    until(lambda: not _running(record), "the tunnel ends")
    page.process.communicate(timeout=PATIENCE_S)


def test_the_tunnel_ends_even_with_its_keeper(home: Home, pictures: Path, launch: Launch) -> None:
    record = install(home)
    page = launch("--share")
    page.shared()
    keeper = int(Path(f"/proc/{_pid(record)}/stat").read_text().rpartition(")")[2].split()[1])

    os.kill(keeper, signal.SIGKILL)

    until(lambda: not _running(record), "the tunnel ends")
    owner = page.visitor()
    until(lambda: owner.get("/api/share")["state"] == "over", "that is noticed")
    assert owner.get("/api/folders")


def test_what_the_tunnels_program_is_told(look: Shared, shared_home: Home) -> None:
    lines = (shared_home.folder / "cloudflared.txt").read_text().splitlines()
    told = [ast.literal_eval(line) for line in lines]
    local = f"http://127.0.0.1:{look.page.port}"

    (environment,) = [env for _, words, env in told if local in words]
    (words,) = [words for _, words, _ in told if local in words]
    assert words == ["tunnel", "--no-autoupdate", "--url", local]
    assert not [name for name in environment if name.startswith(("CAPTIV_", "RUNPOD_"))]


# -- which tunnel ----------------------------------------------------------------------------------


def test_a_tunnel_that_does_not_open_is_told_and_the_page_goes_on(
    home: Home, pictures: Path, launch: Launch
) -> None:
    install(home, fails=True)
    page = launch("--share")
    owner = page.visitor()

    until(lambda: owner.get("/api/share")["state"] == "over", "it is given up")

    assert "no such host" in owner.get("/api/share")["because"]
    assert owner.get("/api/folders")
    page.process.send_signal(signal.SIGINT)
    _, err = page.process.communicate(timeout=PATIENCE_S)
    assert "cloudflared ended without a tunnel" in err


def test_without_any_tunnel_it_says_how_to_come_by_one(home: Home, pictures: Path) -> None:
    (home.folder / "empty").mkdir()

    ended = home.run("gui", "launch", "--share", str(pictures), PATH=str(home.folder / "empty"))

    assert ended.code == 2
    for way in ("cloudflared", "captiv[share]", "--share-url"):
        assert way in ended.err


def test_a_tunnel_of_ones_own_is_let_in_under_its_name(
    home: Home, pictures: Path, launch: Launch
) -> None:
    page = launch("--share-url", PUBLIC)
    with edge(page.port, home.folder) as public:
        shared = Shared(page, public)
        visitor = shared.visitor()

        assert shared.url == PUBLIC
        assert visitor.get("/api/share").json()["edit"] is False
        shared.close()


@pytest.mark.parametrize(
    "options", [["--share-url", "http://a.example"], ["--share-hours", "2"], ["--share=all"]]
)
def test_what_cannot_be_shared_is_refused(home: Home, pictures: Path, options: list[str]) -> None:
    assert home.run("gui", "launch", str(pictures), *options).code == 2


def test_the_passphrase_is_in_no_log(look: Shared, shared_home: Home) -> None:
    look.visitor()
    log = (shared_home.data / "log" / "captiv.log").read_text()
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True
    )

    assert "page shared" in log
    for place in (log, listed.stdout):
        assert look.passphrase not in place
