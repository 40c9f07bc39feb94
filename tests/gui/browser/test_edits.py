from collections.abc import Callable

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from tests.gui.browser.test_access import violations
from tests.gui.pages import Page
from tests.support import Home

pytestmark = pytest.mark.slow

Enter = Callable[..., Tab]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("edits"))
    home.scenes(5, nested=False)
    for at, picture in enumerate(sorted(home.pictures.glob("*.png"))):
        picture.with_suffix(".txt").write_text("a red dog on grass" if at else "a cat")
    return home


def text(home: Home, at: int) -> str:
    return sorted(home.pictures.glob("*.txt"))[at].read_text()


def test_replace_is_looked_at_made_and_undone(page: Page, enter: Enter, shared_home: Home) -> None:
    tab = enter(page, "#/edits")
    tab.get_by_label("Find", exact=True).fill("red dog")
    tab.get_by_label("Replace with").fill("blue wolf")

    tab.get_by_role("button", name="Show every change").click()

    expect(tab.locator("#changes-summary")).to_contain_text("4 captions would change")
    first = tab.locator("#changes li").first
    expect(first.locator("del").first).to_have_text("red")
    expect(first.locator("ins").first).to_have_text("blue")
    assert text(shared_home, 1) == "a red dog on grass"
    tab.get_by_role("button", name="Change 4 captions").click()
    expect(tab.locator("#changes-summary")).to_have_text("4 captions changed.")
    assert text(shared_home, 1) == "a blue wolf on grass"
    tab.get_by_role("button", name="Undo: 'red dog' to 'blue wolf'").click()
    expect(tab.locator("#edits-past")).to_contain_text("undone")
    assert text(shared_home, 1) == "a red dog on grass"


def test_a_selection_in_the_gallery_is_edited_alone(
    page: Page, enter: Enter, shared_home: Home
) -> None:
    tab = enter(page)
    tab.locator("#gallery").focus()
    tab.keyboard.press("Space")

    tab.get_by_role("button", name="Bulk edit").click()
    tab.get_by_label("Trigger word").fill("ohwx")
    tab.keyboard.press("Enter")

    expect(tab.locator("#changes-summary")).to_contain_text("1 caption would change")
    tab.get_by_role("button", name="Change 1 caption").click()
    expect(tab.locator("#changes-summary")).to_have_text("1 caption changed.")
    assert text(shared_home, 0) == "ohwx, a cat"


def test_selected_images_that_a_filter_hides_are_counted(
    page: Page, enter: Enter, shared_home: Home
) -> None:
    tab = enter(page)
    tab.locator("#gallery").focus()
    tab.keyboard.press("Control+a")
    tab.locator("#search").fill("scene-0001")
    expect(tab.locator("#selected-unseen")).to_have_text(", 4 out of sight")

    tab.locator("#selected-caption").click()

    expect(tab.locator("#captioning-scope")).to_have_text(
        "5 selected images, 4 of them out of sight"
    )
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Bulk edit").click()
    expect(tab.locator("#edit-scope-selected")).to_have_text(
        "5 selected images, 4 of them out of sight"
    )


def test_an_edit_that_was_altered_has_to_be_looked_at_again(page: Page, enter: Enter) -> None:
    tab = enter(page, "#/edits")
    tab.get_by_label("Behind").fill("!")
    tab.get_by_role("button", name="Show every change").click()
    expect(tab.locator("#changes li").first).to_be_visible()

    tab.get_by_label("Behind").fill("?")

    expect(tab.locator("#changes-make")).to_be_hidden()
    expect(tab.locator("#changes li")).to_have_count(0)


def test_a_wrong_expression_is_told_beside_the_form(page: Page, enter: Enter) -> None:
    tab = enter(page, "#/edits")
    tab.get_by_label("Find", exact=True).fill("(")
    tab.get_by_label("Regular expression").check()

    tab.get_by_role("button", name="Show every change").click()

    expect(tab.locator("#edit-wrong")).to_contain_text("is wrong")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_is_accessible(page: Page, enter: Enter, scheme: str) -> None:
    tab = enter(page, "#/edits")
    tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    tab.get_by_label("Behind").fill("!")
    tab.get_by_role("button", name="Show every change").click()
    expect(tab.locator("#changes li").first).to_be_visible()

    assert violations(tab) == []
