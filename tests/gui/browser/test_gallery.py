import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import Page as Tab

from tests.gui.pages import Page, Visitor
from tests.support import Home

from .conftest import Held, fresh, ready, wait_for

Enter = Callable[..., Tab]
NEW_LISTING = re.compile(r"/api/images\?(?!list=)")


def active(tab: Tab) -> int:
    id = tab.locator("#gallery").get_attribute("aria-activedescendant")
    assert id is not None
    return int(id.removeprefix("image-"))


@pytest.mark.slow
def test_the_link_opens_the_gallery_and_its_token_is_gone(page: Page, enter: Enter) -> None:
    tab = enter(page)

    assert tab.url == page.address + "/"
    expect(tab.locator("#summary")).to_have_text("43 images")
    expect(tab.locator("[role=option]:not([hidden]) img.there").first).to_be_visible()


def test_a_wrong_token_shows_what_to_do(page: Page, context: object, browser: object) -> None:
    tab = context.new_page()  # type: ignore[attr-defined]

    answer = tab.goto(page.address + "/?token=wrong")

    assert answer.status == 401
    expect(tab.get_by_role("heading")).to_have_text("This link does not work any more")
    assert tab.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none"


@pytest.mark.slow
def test_arrows_home_and_end_move_the_active_image(page: Page, enter: Enter) -> None:
    tab = enter(page)
    columns = tab.evaluate(
        "new Set([...document.querySelectorAll('[role=option]')].filter(e => !e.hidden)"
        ".map(e => new DOMMatrix(getComputedStyle(e).transform).e)).size"
    )

    places = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "Home"):
        tab.keyboard.press(key)
        places.append(active(tab))

    assert places == [1, 1 + columns, columns, 0, 0, 42, 0]


def test_only_what_is_on_the_screen_is_in_the_document(page: Page, enter: Enter) -> None:
    tab = enter(page)
    tab.set_viewport_size({"width": 700, "height": 500})

    tab.keyboard.press("End")

    expect(tab.locator("#image-42")).to_be_in_viewport()
    assert tab.locator("[role=option]:not([hidden])").count() < 40
    assert tab.locator("#image-42").get_attribute("aria-posinset") == "43"


@pytest.mark.slow
def test_search_finds_captions_and_names(page: Page, visitor: Visitor, enter: Enter) -> None:
    tab = enter(page)
    word = next(c for i in visitor.images() if (c := i["caption"])).split()[-1]

    tab.keyboard.press("/")
    tab.keyboard.type(word)

    found = len(visitor.images(text=word))
    expect(tab.locator("#summary")).to_have_text(f"{found} image{'s' * (found != 1)}")
    tab.locator("#search").fill("scene-0007")
    expect(tab.locator("[role=option]:not([hidden]) .name")).to_have_text(["scene-0007.png"])
    tab.locator("#search").fill("no such words")
    expect(tab.get_by_role("heading", name="Nothing found")).to_be_visible()
    tab.get_by_role("button", name="Show all images").click()
    expect(tab.locator("#summary")).to_have_text("43 images")
    expect(tab.locator("#gallery")).to_be_focused()


@pytest.mark.slow
def test_a_filter_stays_in_the_address(page: Page, visitor: Visitor, enter: Enter) -> None:
    tab = enter(page)

    tab.get_by_role("radio", name="Without caption").check()
    without = len(visitor.images(show="without", limit=100))
    expect(tab.locator("#summary")).to_have_text(f"{without} of 43 images")
    tab.reload()

    expect(tab.get_by_role("radio", name="Without caption")).to_be_checked()
    expect(tab.locator("#summary")).to_have_text(f"{without} of 43 images")


@pytest.mark.slow
def test_folders_are_chosen_with_the_keyboard(page: Page, enter: Enter) -> None:
    tab = enter(page)
    tree = tab.get_by_role("tree")
    tree.get_by_role("treeitem").first.focus()

    assert tree.locator("[tabindex='0']").count() == 1
    tab.keyboard.type("m")
    tab.keyboard.press("Enter")

    expect(tab.locator("#summary")).to_have_text("3 images")
    expect(tree.locator("[aria-selected=true] .folder-name")).to_have_text("more")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowLeft")
    expect(tree.get_by_role("treeitem")).to_have_count(1)
    tab.keyboard.press("ArrowRight")
    expect(tree.get_by_role("treeitem")).to_have_count(5)


@pytest.mark.slow
def test_several_images_are_selected_with_the_keyboard(page: Page, enter: Enter) -> None:
    tab = enter(page)
    chosen = tab.locator("#selected-count")

    tab.keyboard.press("Space")
    expect(chosen).to_have_text("1")
    for _ in range(3):
        tab.keyboard.press("Shift+ArrowRight")
    expect(chosen).to_have_text("4")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Space")
    expect(chosen).to_have_text("5")
    tab.keyboard.press("Control+a")
    expect(chosen).to_have_text("43")
    expect(tab.locator("#image-3")).to_have_attribute("aria-selected", "true")
    tab.keyboard.press("Escape")
    expect(tab.locator("#selected")).to_be_hidden()


@pytest.mark.slow
def test_several_images_are_selected_with_the_mouse(page: Page, enter: Enter) -> None:
    tab = enter(page)

    tab.locator("#image-1").click(modifiers=["Control"])
    tab.locator("#image-4").click(modifiers=["Shift"])

    expect(tab.locator("#selected-count")).to_have_text("4")
    tab.locator("#image-2 .pick").click()
    expect(tab.locator("#selected-count")).to_have_text("3")
    expect(tab.locator("#editor")).to_be_hidden()


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_scrolls_sideways(page: Page, enter: Enter, width: int) -> None:
    tab = enter(page)
    tab.set_viewport_size({"width": width, "height": 700})

    for key in ("ArrowRight", "Enter"):
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        tab.keyboard.press(key)
    expect(tab.locator("#editor")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert (
        tab.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.side'))") <= 0
    )


@pytest.mark.slow
def test_pictures_that_come_while_the_page_is_open_appear(
    shared_home: Home, page: Page, enter: Enter
) -> None:
    tab = enter(page, "#/gallery?text=newcomer")
    expect(tab.get_by_role("heading", name="Nothing found")).to_be_visible()
    source = next(shared_home.pictures.rglob("*.png"))
    late = shared_home.pictures / "newcomer.png"
    try:
        late.write_bytes(source.read_bytes())
        tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        expect(tab.locator("[role=option]:not([hidden]) .name")).to_have_text(["newcomer.png"])
    finally:
        late.unlink()
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(tab.get_by_role("heading", name="Nothing found")).to_be_visible()


@pytest.mark.slow
def test_captions_of_others_move_nothing_under_the_hands(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    home.scenes(260, nested=False)
    page = launch()
    tab = enter(page)
    visitor = page.visitor()
    first = visitor.images(limit=1)[0]
    tab.evaluate("document.getElementById('gallery').scrollTop = 9000")
    before = tab.evaluate("document.getElementById('gallery').scrollTop")
    expect(tab.locator("#image-0")).to_have_count(0)
    expect(tab.locator(".coming:not([hidden])")).to_have_count(0)
    tab.evaluate(
        "() => { window.empty = 0; new MutationObserver(() => {"
        " window.empty += document.querySelectorAll('.coming:not([hidden])').length;"
        " }).observe(document.getElementById('gallery'), {subtree: true, attributes: true}); }"
    )

    visitor.write(first, "by somebody else")

    expect(tab.locator("[data-tally=hand]")).to_have_text("1")
    assert tab.evaluate("document.getElementById('gallery').scrollTop") == before
    assert tab.evaluate("window.empty") == 0


@pytest.mark.slow
def test_a_key_pressed_while_the_listing_comes_anew_counts(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    home.scenes(12, nested=False)
    page = launch()
    visitor = page.visitor()
    tab = enter(page)
    held = Held(tab, NEW_LISTING)

    visitor.write(visitor.images()[0], "by somebody else")
    wait_for(tab, lambda: bool(held.routes))
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    assert active(tab) == 3
    held.release()

    expect(tab.locator("[data-tally=hand]")).to_have_text("1")
    assert active(tab) == 3
    tab.keyboard.press("Shift+ArrowRight")
    expect(tab.locator("#selected-count")).to_have_text("3")


@pytest.mark.slow
def test_the_first_listing_is_waited_for_even_when_another_overtakes_it(
    home: Home, launch: Callable[..., Page], context: BrowserContext
) -> None:
    home.scenes(3, nested=False)
    page = launch()
    visitor = page.visitor()
    tab = context.new_page()
    held = Held(tab, NEW_LISTING)
    tab.goto(page.address + "/?token=" + fresh(page))
    tab.wait_for_selector("#connection[data-state=open]")
    wait_for(tab, lambda: bool(held.routes))
    assert len(held.routes) == 1

    visitor.write(visitor.images()[0], "by somebody else")
    wait_for(tab, lambda: len(held.routes) > 1)
    assert not tab.locator("html[data-ready]").count()
    expect(tab.locator("#empty")).to_be_hidden()
    held.release()

    ready(tab)
    expect(tab.locator("#gallery")).to_be_focused()
    assert active(tab) == 0


@pytest.mark.slow
def test_opening_the_page_asks_for_one_listing(page: Page, enter: Enter) -> None:
    tab = enter(page)
    tab.wait_for_load_state("networkidle")

    asked = tab.evaluate(
        "performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => name.includes('/api/images'))"
    )
    assert {address.partition("?")[2] for address in asked} == {"deep=1&show=all&limit=100"}


@pytest.mark.slow
def test_another_filter_begins_at_the_top_even_when_captions_come_meanwhile(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    home.scenes(120, nested=False)
    page = launch()
    visitor = page.visitor()
    tab = enter(page)
    tab.keyboard.press("End")
    held = Held(tab, NEW_LISTING)

    tab.get_by_role("radio", name="Without caption").check()
    wait_for(tab, lambda: bool(held.routes))
    visitor.write(visitor.images()[0], "by somebody else")
    wait_for(tab, lambda: len(held.routes) > 1)
    held.release()

    expect(tab.locator("#summary")).to_have_text("119 of 120 images")
    assert active(tab) == 0
    assert tab.evaluate("document.getElementById('gallery').scrollTop") == 0
