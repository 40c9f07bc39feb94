"""axe-core finds nothing in any state that a person meets."""

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from tests.gui.pages import Page

from .conftest import PATIENCE_MS, fresh, known, ready, still

pytestmark = pytest.mark.slow


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser, page: Page) -> Tab:
    """A tab in which axe may run its script, which the page's policy forbids."""
    scheme: Literal["light", "dark"] = request.param
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 1280, "height": 800}
    )
    request.addfinalizer(context.close)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    opened.goto(page.address + "/?token=" + fresh(page))
    ready(opened)
    return opened


def violations(tab: Tab) -> list[str]:
    still(tab)
    found = Axe().run(tab).response["violations"]
    return [f"{v['id']}: {[n['target'] for n in v['nodes']][:3]}" for v in found]


def gallery(tab: Tab) -> None:
    expect(tab.locator("img.there").first).to_be_visible()


def selection(tab: Tab) -> None:
    tab.keyboard.press("Control+a")
    expect(tab.locator("#selected")).to_be_visible()


def nothing_found(tab: Tab) -> None:
    tab.locator("#search").fill("no such words")
    expect(tab.get_by_role("heading", name="Nothing found")).to_be_visible()


def menu(tab: Tab) -> None:
    tab.get_by_role("button", name="More").click()
    expect(tab.locator("#menu")).to_be_visible()


def keys(tab: Tab) -> None:
    tab.keyboard.press("?")
    expect(tab.locator("#keys")).to_be_visible()


def editor(tab: Tab) -> None:
    tab.keyboard.press("Enter")
    expect(tab.locator("#editor-facts dt").first).to_be_visible()
    known(tab)
    tab.locator("#caption").press_sequentially(" more")
    expect(tab.locator("#editor-status")).to_contain_text("Not saved yet")


def phone(tab: Tab) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.locator("#open-folders").click()
    expect(tab.locator("#folders")).to_be_visible()


def captioning(tab: Tab) -> None:
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("joycaption")
    tab.locator("#wish-options-box summary").click()
    tab.locator("#captioning summary", has_text="Advanced").click()
    expect(tab.locator("#wish-final")).to_contain_text("detailed description")


def trial(tab: Tab) -> None:
    captioning(tab)
    tab.locator("#wish-compare").click()
    expect(tab.locator("#trial-form")).to_be_visible()


def no_runs(tab: Tab) -> None:
    tab.locator("#views a", has_text="Runs").click()
    expect(tab.locator("#runs-empty")).to_be_visible()


@pytest.mark.parametrize(
    "state",
    [captioning, trial, no_runs, gallery, selection, nothing_found, menu, keys, editor, phone],
    ids=lambda s: s.__name__,
)
def test_axe_finds_nothing(tab: Tab, state: Callable[[Tab], None]) -> None:
    state(tab)

    assert violations(tab) == []


def test_axe_finds_what_is_wrong(tab: Tab) -> None:
    tab.evaluate("document.getElementById('gallery').removeAttribute('aria-label')")

    assert any("aria-input-field-name" in found for found in violations(tab))


def test_at_twice_the_type_size_nothing_is_cut_off(tab: Tab) -> None:
    tab.set_viewport_size({"width": 640, "height": 400})  # what 200 % leaves of 1280 by 800

    tab.keyboard.press("Enter")

    expect(tab.locator("#editor-save-next")).to_be_visible()
    tab.locator("#editor-save-next").scroll_into_view_if_needed()
    expect(tab.locator("#editor-save-next")).to_be_in_viewport()
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
