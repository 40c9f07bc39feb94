"""Captioning from the page, seen through a browser: from the sheet to the run's last image."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from tests.gui.browser.test_access import violations
from tests.gui.pages import Page
from tests.support import Home, until

from .conftest import PATIENCE_MS, Held, fresh, ready, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def page(home: Home) -> Iterator[Page]:
    home.scenes(8, nested=False)
    served = Page(home)
    yield served
    served.end()


def begin(tab: Tab, model: str = "shapes") -> None:
    """Choose a model in the open sheet, and begin."""
    tab.locator("#wish-model").select_option(model)
    expect(tab.locator("#wish-start")).to_be_enabled()
    tab.locator("#wish-start").click()
    expect(tab.locator("#captioning")).to_be_hidden()


def runs(tab: Tab) -> None:
    tab.locator("#views a", has_text="Runs").click()


def test_what_the_gallery_shows_is_captioned(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    tab = enter(page)

    tab.locator("#caption-shown").click()
    begin(tab)
    runs(tab)

    expect(tab.locator(".run .tag")).to_have_text("finished")
    expect(tab.locator(".run .numbers")).to_contain_text("8 captioned")
    assert len(home.captions()) == 8
    tab.locator("#views a", has_text="Images").click()
    expect(tab.locator(".card.without")).to_have_count(0)
    expect(tab.locator("[data-tally=without]")).to_have_text("0")


def test_r_captions_the_selection_again_and_keeps_hand_edits(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    visitor = page.visitor()
    visitor.write(visitor.images()[0], "by hand")
    tab = enter(page)
    tab.locator(".card").nth(1).click(modifiers=["Control"])
    tab.locator(".card").nth(0).click(modifiers=["Control"])

    tab.keyboard.press("r")

    expect(tab.locator("#captioning-scope")).to_have_text("2 selected images")
    expect(tab.get_by_label("Caption again; keep what was edited by hand")).to_be_checked()
    expect(tab.locator("#wish-summary")).to_have_text(
        "2 images, 1 with a caption, 1 edited by hand, kept."
    )
    begin(tab)
    runs(tab)
    expect(tab.locator(".run .numbers")).to_contain_text("1 kept")
    assert (home.pictures / home.sidecar(visitor.images()[0]["name"])).read_text() == "by hand"


def test_r_captions_the_image_under_the_cursor_without_the_mouse(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    (home.data / "config.toml").write_text('[model]\ndefault_model = "shapes"\n')
    tab = enter(page)
    tab.keyboard.press("ArrowRight")

    tab.keyboard.press("r")
    expect(tab.locator("#captioning-scope")).to_have_text("scene-0002.png")
    expect(tab.locator("#wish-start")).to_have_text("Caption 1 image")
    tab.keyboard.press("Control+Enter")

    expect(tab.locator("#captioning")).to_be_hidden()
    expect(tab.locator("#gallery")).to_be_focused()
    expect(tab.locator("[data-tally=without]")).to_have_text("7")
    assert list(home.captions()) == ["scene-0002.txt"]


def test_the_editor_has_its_image_captioned_again(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    tab = enter(page)
    tab.keyboard.press("Enter")
    expect(tab.locator("#editor-facts dt").first).to_be_visible()

    tab.keyboard.press("Alt+r")
    begin(tab)

    expect(tab.locator("#editor")).to_be_visible()
    expect(tab.locator("#caption")).not_to_have_value("")
    expect(tab.locator("#editor-by")).to_have_text("by a model")


def test_the_sheet_shows_what_the_model_has_and_the_finished_prompt(
    page: Page, enter: Callable[..., Tab]
) -> None:
    tab = enter(page)
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")

    expect(tab.locator("#wish-final")).to_contain_text("without any words")
    for part in ("#wish-variant", "#wish-length", "#wish-options-box", "#wish-own-box"):
        expect(tab.locator(part)).to_be_hidden()

    tab.locator("#wish-model").select_option("joycaption")
    tab.locator("#wish-length").fill("40")
    tab.locator("#wish-options-box summary").click()
    tab.get_by_label("If there is a person/character").check()

    expect(tab.locator("#wish-wrong")).to_contain_text("needs a name")
    expect(tab.locator("#wish-start")).to_be_disabled()
    tab.get_by_label("name", exact=True).fill("Rex")
    expect(tab.locator("#wish-final")).to_have_text(
        "Write a detailed description for this image in 40 words or less. If there is a "
        "person/character in the image you must refer to them as Rex."
    )
    expect(tab.locator("#wish-wrong")).to_be_hidden()

    tab.locator("#wish-mode").select_option("creative")
    expect(tab.locator("#wish-length")).to_be_hidden()
    tab.locator("#wish-own-box summary").click()
    tab.locator("#wish-prompt").fill("What is it?")
    expect(tab.locator("#wish-final")).to_have_text(re.compile(r"^What is it\? If there"))


def test_decoding_shows_the_models_own_numbers_and_takes_others(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    tab = enter(page)
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")
    tab.locator("#captioning summary", has_text="Advanced").click()
    expect(tab.get_by_label("Most tokens")).to_have_attribute("placeholder", "24")

    tab.get_by_label("Most tokens").fill("3")
    begin(tab)
    runs(tab)

    expect(tab.locator(".run .tag")).to_have_text("finished")
    assert all(len(text.split()) <= 3 for text in home.captions().values())


def test_an_answer_to_an_earlier_wish_begins_nothing(page: Page, enter: Callable[..., Tab]) -> None:
    tab = enter(page)
    tab.locator("#caption-shown").click()
    expect(tab.locator("#wish-start")).to_be_enabled()
    held = Held(tab, re.compile("/api/plans"))
    tab.locator("#wish-model").select_option("joycaption")
    wait_for(tab, lambda: bool(held.routes))

    tab.evaluate("window.setTimeout = () => 0")  # what is asked after a pause is never asked
    tab.locator("#wish-length").fill("40")
    with tab.expect_response(re.compile("/api/plans")) as answered:
        held.release()
    answered.value.finished()
    tab.evaluate("fetch('/api/models').then(answer => answer.json())")  # it has been taken in

    assert tab.locator("#wish-start").is_disabled()


def test_two_models_are_compared_and_one_is_gone_on_with(
    home: Home, launch: Callable[..., Page], enter: Callable[..., Tab]
) -> None:
    home.scenes(8, nested=False)
    home.scripted()
    tab = enter(launch())
    tab.locator("#caption-shown").click()
    tab.locator("#wish-model").select_option("shapes")
    expect(tab.locator("#wish-start")).to_be_enabled()

    tab.locator("#wish-compare").click()
    tab.locator("#trial-model").select_option("git")
    tab.locator("#trial-count").fill("3")
    tab.get_by_role("button", name="Try both").click()

    expect(tab.locator("#trial-status")).to_contain_text("Both are done")
    expect(tab.locator("#trial-rows tr")).to_have_count(3)
    assert home.captions() == {}
    tab.locator("#trial-take-other").click()
    expect(tab.locator("#wish-model")).to_have_value("git")
    expect(tab.locator("#wish-start")).to_have_text("Caption 8 images")


def test_failures_are_shown_by_reason_and_tried_again(
    home: Home, page: Page, enter: Callable[..., Tab]
) -> None:
    first = sorted(home.pictures.glob("*.png"))[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:300])
    tab = enter(page)
    tab.locator("#caption-shown").click()
    begin(tab)
    runs(tab)
    expect(tab.locator(".run .tag")).to_have_text("finished")
    tab.locator(".run summary").click()
    expect(tab.locator(".failures")).to_contain_text("1 image: the file is truncated")
    expect(tab.locator("figure.pace").get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("^Images a second over .* on average")
    )
    expect(tab.locator("figure.pace .upwards span").first).to_have_text(re.compile(r"^[\d.]+/s$"))
    expect(tab.locator("figure.pace .onwards span").last).to_have_text(re.compile(r"^\d+ s$"))

    first.write_bytes(whole)
    tab.get_by_role("button", name="Try these again").click()

    expect(tab.locator(".run .numbers")).to_contain_text("8 captioned")
    expect(tab.locator(".failures")).to_have_count(0)


def test_a_run_is_paused_gone_on_with_and_cancelled(
    home: Home, enter: Callable[..., Tab], tmp_path: Path, launch: Callable[..., Page]
) -> None:
    hold = home.held()
    home.scenes(300, nested=False)
    home.scripted(hold=str(hold), touch=str(tmp_path / "began"))
    tab = enter(launch())
    tab.locator("#caption-shown").click()
    begin(tab)
    runs(tab)
    wait_for(tab, (tmp_path / "began").exists)

    tab.get_by_role("button", name="Pause").click()
    expect(tab.locator(".run .tag")).to_have_text("coming to rest")
    hold.unlink()
    expect(tab.locator(".run .tag")).to_have_text("unfinished")
    expect(tab.locator(".run .numbers")).to_contain_text(re.compile(r"^[1-9]\d* captioned"))
    hold.touch()
    tab.get_by_role("button", name="Resume").click()
    expect(tab.locator(".run .tag")).to_have_text("at work")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.locator("#sure-no")).to_be_focused()
    tab.locator("#sure-yes").click()
    hold.unlink()

    expect(tab.locator(".run .tag")).to_have_text("cancelled")
    expect(tab.locator(".run .numbers")).to_contain_text("cancelled")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_a_run_failed_in_part(
    home: Home, page: Page, browser: Browser, scheme: str, request: pytest.FixtureRequest
) -> None:
    sorted(home.pictures.glob("*.png"))[0].write_bytes(b"none")
    visitor = page.visitor()
    visitor.http.post("/api/runs", json={"model": "shapes"}, timeout=60)
    until(lambda: visitor.get("/api/runs")["runs"][0]["state"] == "finished", every_s=0.1)
    context = browser.new_context(
        bypass_csp=True,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 640, "height": 400},
    )
    request.addfinalizer(context.close)
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(page.address + "/?token=" + fresh(page))
    ready(tab)
    runs(tab)
    tab.locator(".run summary").click()
    expect(tab.locator(".failures")).to_be_visible()

    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
