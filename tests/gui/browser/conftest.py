"""A browser at the page. Chromium is the system's: nothing is downloaded.

Where there is none these tests are skipped, unless CAPTIV_CHROMIUM names it or says `required`.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect, sync_playwright
from playwright.sync_api import Page as Tab

from captiv.testing.scenes import write_scenes
from tests.gui.pages import Page
from tests.support import Home

PATIENCE_MS = 60_000
"""What a tab does not show by then it never shows."""

expect.set_options(timeout=PATIENCE_MS)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Return where the browser is."""
    named = os.environ.get("CAPTIV_CHROMIUM", "")
    if named not in ("", "required"):
        return named
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = chromium() is None and os.environ.get("CAPTIV_CHROMIUM") != "required"
    for item in items:
        if here in item.path.parents:
            # Playwright's synchronous API keeps an event loop of its own in this thread.
            item.add_marker(pytest.mark.allow_blocking)
            item.add_marker(pytest.mark.timeout(300))
            if missing:
                item.add_marker(pytest.mark.skip("Chromium is not installed"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    assert path is not None, "CAPTIV_CHROMIUM=required, and there is none"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Pictures for the tests of a module, each of which changes others."""
    home = Home(tmp_path_factory.mktemp("browser"))
    truth = home.scenes(40)
    for at, (name, caption) in enumerate(sorted(truth.items())):
        if at % 4:
            (home.pictures / name).with_suffix(".txt").write_text(caption)
    write_scenes(home.pictures / "more", 2, 3)
    return home


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def enter(context: BrowserContext) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, and fails for whatever went wrong in one."""
    troubles: list[str] = []

    def open_tab(page: Page, fragment: str = "", *, link: bool = True) -> Tab:
        tab = context.new_page()
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda message: _note(troubles, message.type, message.text))
        if link:
            tab.goto(page.address + "/?token=" + fresh(page))
        if fragment or not link:
            tab.goto(f"{page.address}/{fragment}")
        ready(tab)
        return tab

    yield open_tab
    assert troubles == []


def fresh(page: Page) -> str:
    """Return the token of a link that was not used."""
    url: str = page.visitor().http.post("/api/links").json()["url"]
    return url.partition("token=")[2]


def ready(tab: Tab) -> None:
    """Wait until the page shows what it has to show."""
    tab.wait_for_selector("html[data-ready]")
    tab.wait_for_selector("#connection[data-state=open]")


def known(tab: Tab) -> None:
    """Wait until the caption is known: what is typed by then is added to its end."""
    expect(tab.locator("#caption")).to_have_attribute("aria-busy", "false")


class Held:
    """Requests that are under way until they are released."""

    def __init__(self, tab: Tab, address: re.Pattern[str]) -> None:
        self.routes: list[Route] = []
        self.released = False
        tab.route(address, lambda route: self._take(route))

    def _take(self, route: Route) -> None:
        if self.released:
            route.continue_()
        else:
            self.routes.append(route)

    def release(self) -> None:
        self.released = True
        for route in self.routes:
            route.continue_()


def wait_for(tab: Tab, holds: Callable[[], bool]) -> None:
    """Wait for something outside of the tab, whose events are taken meanwhile."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline
        tab.wait_for_timeout(20)


def hear(tab: Tab) -> Callable[[], str]:
    """Return what tells all notices from now on: each of them is gone again after seconds."""
    tab.evaluate(
        "() => { const box = document.getElementById('notices'); window.heard = '';"
        " new MutationObserver(() => { window.heard += box.textContent; })"
        ".observe(box, {childList: true}); }"
    )
    return lambda: str(tab.evaluate("window.heard"))


def still(tab: Tab) -> None:
    """Wait until nothing moves or fades: colours in a transition have no contrast to measure."""
    ended = "document.getAnimations().every(a => a.effect.getComputedTiming().endTime === Infinity)"
    wait_for(tab, lambda: bool(tab.evaluate(ended)))


def _note(troubles: list[str], kind: str, text: str) -> None:
    # The browser itself reports every request that was refused or found nobody.
    if kind == "error" and "Failed to load resource" not in text and "WebSocket" not in text:
        troubles.append(text)
