"""A shared page as a visitor's browser shows it, through a tunnel that ends on this machine."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright
from playwright.sync_api import Page as Tab

from tests.gui.pages import Page
from tests.gui.tunnels import NAME, Edge, install
from tests.support import Home

from .conftest import ARGUMENTS, PATIENCE_MS, chromium, ready
from .test_access import violations

pytestmark = pytest.mark.slow

Visit = Callable[..., Tab]
Scheme = Literal["light", "dark"]


class Shared:
    def __init__(self, page: Page, edge: Edge) -> None:
        self.page, self.edge = page, edge
        self.url, self.passphrase = page.shared()
        self.page.visitor()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("shared"))
    made.scenes(4, nested=False)
    for picture in made.pictures.glob("*.png"):
        picture.with_suffix(".txt").write_text("a red dog")
    install(made)
    return made


@pytest.fixture
def sharing(home: Home) -> Iterator[Callable[[str], Shared]]:
    pages: list[Page] = []
    edges: list[Edge] = []

    def start(option: str) -> Shared:
        pages.append(Page(home, option))
        edges.append(Edge(pages[-1].port, home.folder))
        return Shared(pages[-1], edges[-1])

    yield start
    for public in edges:
        public.close()
    for page in pages:
        page.end()


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Opens a visitor's browser, to which the tunnel's name leads to its end on this machine."""
    path = chromium()
    contexts: list[BrowserContext] = []
    with sync_playwright() as playwright:

        def opened(shared: Shared, *, scheme: Scheme = "light") -> Tab:
            rule = f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{shared.edge.port}"
            browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, rule])
            context = browser.new_context(
                ignore_https_errors=True, bypass_csp=True, color_scheme=scheme
            )
            context.set_default_timeout(PATIENCE_MS)
            contexts.append(context)
            tab = context.new_page()
            tab.goto(shared.url)
            return tab

        yield opened
        for context in contexts:
            browser = context.browser
            context.close()
            if browser is not None:
                browser.close()


def go_in(tab: Tab, passphrase: str) -> None:
    tab.get_by_label("Passphrase").fill(passphrase)
    tab.keyboard.press("Enter")


def test_a_visitor_looks_and_cannot_edit(
    sharing: Callable[[str], Shared], visit: Visit, home: Home
) -> None:
    shared = sharing("--share")
    tab = visit(shared)
    go_in(tab, "one two three four")
    expect(tab.get_by_role("alert")).to_contain_text("That is not the passphrase")
    tab.wait_for_timeout(1100)

    go_in(tab, shared.passphrase)

    ready(tab)
    assert tab.url == f"{shared.url}/"
    expect(tab.locator("#shared-words")).to_contain_text("Shared with you to look at, until")
    expect(tab.locator("#views a")).to_have_text(["Images"])
    expect(tab.locator("img.there").first).to_be_visible()
    for hidden in ("#caption-shown", "#shared-end", "#link"):
        expect(tab.locator(hidden)).to_be_hidden()
    tab.keyboard.press("Enter")
    caption = tab.locator("#caption")
    expect(caption).to_have_value("a red dog")
    caption.press_sequentially("!")
    tab.keyboard.press("Control+s")
    expect(caption).to_have_value("a red dog")
    for name in ("Save", "Save and next Ctrl ↵", "Caption again Alt R", "Undo"):
        expect(tab.get_by_role("button", name=name, exact=True)).to_be_hidden()
    assert {path.read_text() for path in home.pictures.glob("*.txt")} == {"a red dog"}


def test_with_edit_a_visitor_saves(
    sharing: Callable[[str], Shared], visit: Visit, home: Home
) -> None:
    shared = sharing("--share=edit")
    tab = visit(shared)
    go_in(tab, shared.passphrase)
    ready(tab)
    expect(tab.locator("#views a")).to_have_text(["Images", "Bulk edit"])

    tab.locator("#gallery").press("Enter")
    expect(tab.locator("#caption")).to_have_value("a red dog")
    tab.locator("#caption").fill("two red dogs")
    tab.keyboard.press("Control+s")

    expect(tab.locator("#editor-status")).to_have_text("Saved.")
    assert "two red dogs" in {path.read_text() for path in home.pictures.glob("*.txt")}
    tab.keyboard.press("Escape")
    tab.get_by_role("link", name="Bulk edit").click()
    expect(tab.get_by_label("Whole words")).to_be_visible()
    expect(tab.get_by_label("Regular expression")).to_be_hidden()


def test_the_owner_sees_that_it_is_shared_and_ends_it(
    sharing: Callable[[str], Shared], visit: Visit
) -> None:
    shared = sharing("--share")
    guest = visit(shared)
    go_in(guest, shared.passphrase)
    ready(guest)
    own = guest.context.browser
    assert own is not None
    owner = own.new_context().new_page()
    owner.set_default_timeout(PATIENCE_MS)
    url = shared.page.visitor().http.post("/api/links").json()["url"]
    owner.goto(url)
    ready(owner)
    expect(owner.locator("#shared-words")).to_contain_text(f"Shared under {shared.url}, to look at")
    expect(owner.locator("#shared-words")).to_contain_text("1 other tab open.")

    owner.get_by_role("button", name="End sharing").click()

    expect(owner.locator("#shared-words")).to_have_text("Shared no more. You ended it.")
    expect(guest.locator("#connection")).to_contain_text("the sharing has ended")
    guest.reload()
    expect(guest.get_by_role("heading", name="This page is shared no more")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_the_door_and_behind_it(
    sharing: Callable[[str], Shared], visit: Visit, scheme: Scheme
) -> None:
    shared = sharing("--share")
    tab = visit(shared, scheme=scheme)

    assert violations(tab) == []
    go_in(tab, "one two three four")
    expect(tab.get_by_role("alert")).to_be_visible()
    assert violations(tab) == []
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    tab.wait_for_timeout(1100)
    go_in(tab, shared.passphrase)
    ready(tab)
    expect(tab.locator("#shared")).to_be_visible()
    assert violations(tab) == []
