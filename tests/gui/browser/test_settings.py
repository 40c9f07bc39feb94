import re
from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from tests.gui.browser.test_access import violations
from tests.gui.pages import Page
from tests.support import Home

from .conftest import PATIENCE_MS, fresh, ready

pytestmark = pytest.mark.slow

Enter = Callable[..., Tab]
SECRET = "rpa_N0tForAnyEyes"


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("settings"))
    home.scenes(2, nested=False)
    home.env["CAPTIV_OUTPUT_PREFIX"] = "photo of "
    return home


@pytest.fixture
def tab(page: Page, enter: Enter) -> Tab:
    opened = enter(page, "#/settings")
    expect(opened.get_by_label("max_price", exact=True)).to_be_visible()
    return opened


def file(home: Home) -> str:
    return (home.data / "config.toml").read_text()


def test_a_setting_is_saved_and_given_back_its_default(tab: Tab, shared_home: Home) -> None:
    field = tab.get_by_label("max_price", exact=True)
    field.fill("0.5")

    field.press("Enter")

    row = tab.locator(".setting", has=field)
    expect(row.locator(".from")).to_have_text(
        re.compile(r"^Set in config.toml:\d+; the default is 1.5$")
    )
    assert "max_price = 0.5" in file(shared_home)
    row.get_by_role("button", name="Use default").click()
    expect(row.locator(".from")).to_have_text("Default")
    expect(field).to_have_value("1.5")
    assert "max_price" not in file(shared_home)


def test_what_is_wrong_is_told_beside_the_field(tab: Tab) -> None:
    field = tab.get_by_label("port", exact=True)
    field.fill("many")

    tab.locator(".setting", has=field).get_by_role("button", name="Save").click()

    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    wrong = tab.locator("#setting-gui-port-wrong")
    expect(wrong).to_contain_text("gui.port must be a whole number from 0 to 65535")
    field.fill("80")
    expect(wrong).to_be_hidden()


def test_a_secret_is_written_and_not_shown(tab: Tab, shared_home: Home) -> None:
    field = tab.get_by_label("api_key", exact=True)
    row = tab.locator(".setting", has=field)
    expect(row.locator(".from")).to_have_text("Not set.")
    field.fill(SECRET)

    field.press("Enter")

    expect(row.locator(".from")).to_contain_text("Set in config.toml")
    expect(field).to_have_value("")
    assert SECRET in file(shared_home)
    assert SECRET not in tab.content()
    row.get_by_role("button", name="Remove").click()
    expect(row.locator(".from")).to_have_text("Not set.")


def test_what_the_environment_says_is_changed_there(tab: Tab) -> None:
    field = tab.get_by_label("prefix", exact=True)

    expect(field).to_be_disabled()
    expect(tab.locator(".setting", has=field).locator(".from")).to_contain_text(
        "by the environment (CAPTIV_OUTPUT_PREFIX)"
    )


def test_settings_are_found_by_name_and_words(tab: Tab) -> None:
    tab.get_by_label("Find a setting").fill("dollars hour")

    expect(tab.locator(".setting:visible")).to_have_count(1)
    expect(tab.get_by_label("max_price", exact=True)).to_be_visible()
    tab.get_by_label("Find a setting").fill("no such thing")
    expect(tab.get_by_role("heading", name="No setting like that")).to_be_visible()


def test_another_tab_shows_the_new_value_and_keeps_what_is_typed(tab: Tab, page: Page) -> None:
    typed = tab.get_by_label("device", exact=True)
    typed.fill("cuda:1")

    page.visitor().http.put("/api/settings/gui/host", json={"value": "localhost"})

    expect(tab.get_by_label("host", exact=True)).to_have_value("localhost")
    expect(typed).to_have_value("cuda:1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_settings(
    page: Page, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(page.address + "/?token=" + fresh(page) + "#/settings")
    ready(tab)
    tab.get_by_label("port", exact=True).fill("many")
    tab.get_by_label("port", exact=True).press("Enter")
    expect(tab.locator("#setting-gui-port-wrong")).to_be_visible()

    assert violations(tab) == []
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert violations(tab) == []
    context.close()
