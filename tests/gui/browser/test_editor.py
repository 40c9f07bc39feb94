from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from captiv.testing.ports import Port
from tests.gui.pages import Page, Visitor
from tests.support import Home

from .conftest import known, ready, wait_for

Enter = Callable[..., Tab]


def edit(enter: Enter, page: Page, name: str, *, link: bool = True) -> Tab:
    """Return a tab in which one image is being edited."""
    tab = enter(page, f"#/gallery?text={name}", link=link)
    expect(tab.locator("[role=option]:not([hidden]) .name")).to_have_text([f"{name}.png"])
    tab.locator("#gallery").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#editor-name")).to_have_text(f"{name}.png")
    known(tab)
    return tab


def sidecar(home: Home, name: str) -> Path:
    return next(home.pictures.rglob(f"{name}.png")).with_suffix(".txt")


@pytest.mark.slow
def test_save_and_next_with_the_keyboard(shared_home: Home, page: Page, enter: Enter) -> None:
    tab = enter(page)
    tab.keyboard.press("Enter")
    expect(tab.locator("#editor-place")).to_contain_text("1 of 43")
    known(tab)
    name = tab.locator("#editor-name").inner_text().removesuffix(".png")

    tab.keyboard.press("Control+a")
    tab.keyboard.type("written with the keyboard")
    tab.keyboard.press("Control+Enter")

    expect(tab.locator("#editor-place")).to_contain_text("2 of 43")
    file = sidecar(shared_home, name)
    wait_for(tab, lambda: file.exists() and file.read_text() == "written with the keyboard")
    tab.keyboard.press("Alt+ArrowLeft")
    expect(tab.locator("#editor-by")).to_have_text("edited by hand")
    tab.keyboard.press("Escape")
    expect(tab.locator("#editor")).to_be_hidden()
    expect(tab.locator("#gallery")).to_be_focused()
    expect(tab.locator("#image-0 .caption")).to_have_text("written with the keyboard")
    expect(tab.locator("#image-0 .hand")).to_be_visible()


@pytest.mark.slow
def test_going_on_under_a_filter_passes_over_nothing(
    page: Page, visitor: Visitor, enter: Enter
) -> None:
    tab = enter(page, "#/gallery?show=without")
    names = [image["name"] for image in visitor.images(show="without")]
    tab.locator("#gallery").focus()
    tab.keyboard.press("Enter")

    for name in names[:3]:
        expect(tab.locator("#editor-name")).to_have_text(name)
        known(tab)
        expect(tab.locator("#caption")).to_have_value("")
        tab.keyboard.type(f"a caption for {name}")
        tab.keyboard.press("Control+Enter")
    expect(tab.locator("#editor-name")).to_have_text(names[3])

    tab.keyboard.press("Escape")
    expect(tab.locator("#image-0 .name")).to_have_text(names[3])


@pytest.mark.slow
def test_length_is_told_in_words_and_estimated_tokens(page: Page, enter: Enter) -> None:
    tab = edit(enter, page, "scene-0010")

    tab.locator("#caption").fill("a small dog, running")

    expect(tab.locator("#caption-length")).to_have_text(
        "4 words · about 5 tokens of CLIP's 75 (estimated)"
    )
    tab.locator("#caption").fill("word " * 80)
    expect(tab.locator("#caption-length.over")).to_be_visible()


@pytest.mark.slow
def test_undo_goes_back_step_by_step(shared_home: Home, page: Page, enter: Enter) -> None:
    file = sidecar(shared_home, "scene-0011")
    file.write_text("found there")
    tab = edit(enter, page, "scene-0011")
    for text in ("first", "second"):
        tab.locator("#caption").fill(text)
        tab.keyboard.press("Control+s")
        expect(tab.locator("#editor-status")).to_have_text("Saved.")
    assert file.read_text() == "second"
    expect(tab.locator("#editor-history .text")).to_have_text(["second", "first", "found there"])

    undo = tab.get_by_role("button", name="Undo")
    undo.click()
    expect(tab.locator("#caption")).to_have_value("first")
    undo.click()
    expect(tab.locator("#caption")).to_have_value("found there")

    expect(undo).to_be_disabled()
    assert file.read_text() == "found there"


@pytest.mark.slow
def test_an_earlier_caption_is_taken_up_again(shared_home: Home, page: Page, enter: Enter) -> None:
    file = sidecar(shared_home, "scene-0012")
    file.write_text("the old one")
    tab = edit(enter, page, "scene-0012")
    tab.locator("#caption").fill("the new one")
    tab.keyboard.press("Control+s")
    expect(tab.locator("#editor-status")).to_have_text("Saved.")

    tab.get_by_role("button", name="Use this text").click()
    expect(tab.locator("#caption")).to_have_value("the old one")
    tab.keyboard.press("Control+s")

    expect(tab.locator("#editor-status")).to_have_text("Saved.")
    assert file.read_text() == "the old one"


@pytest.mark.slow
def test_a_half_typed_caption_survives_a_reload(page: Page, enter: Enter) -> None:
    tab = edit(enter, page, "scene-0013")
    before = tab.locator("#caption").input_value()
    tab.locator("#caption").press_sequentially("half a sen")

    tab.reload()
    ready(tab)
    tab.locator("#gallery").focus()
    tab.keyboard.press("Enter")

    expect(tab.locator("#caption")).to_have_value(before + "half a sen")
    expect(tab.locator("#editor-status")).to_contain_text("unsaved text is here again")
    tab.get_by_role("button", name="Discard it").click()
    expect(tab.locator("#editor-status")).to_have_text("")


@pytest.fixture
def port() -> Iterator[str]:
    """A port that nobody takes while no page listens there."""
    kept = Port()
    yield str(kept.number)
    kept.close()


@pytest.mark.slow
def test_a_half_typed_caption_survives_a_restarted_server(
    home: Home, launch: Callable[..., Page], enter: Enter, port: str
) -> None:
    home.scenes(2, nested=False)
    first = launch("--port", port)
    tab = edit(enter, first, "scene-0001")
    tab.keyboard.type("half a")

    assert first.stop() == 0
    expect(tab.locator("#connection")).to_have_attribute("data-state", "lost")
    tab.keyboard.type(" sentence")
    tab.keyboard.press("Control+s")
    expect(tab.locator("#editor-status")).to_contain_text("Your text is kept in this browser")

    launch("--port", port)
    expect(tab.locator("#connection")).to_have_attribute("data-state", "open")
    expect(tab.locator("#caption")).to_have_value("half a sentence")
    expect(tab.locator("#editor-status")).to_have_text("Saved.")
    assert (home.pictures / "scene-0001.txt").read_text() == "half a sentence"


@pytest.mark.slow
def test_a_half_typed_caption_survives_a_lost_connection(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    home.scenes(2, nested=False)
    tab = edit(enter, launch(), "scene-0001")
    tab.keyboard.type("half a")

    tab.context.set_offline(True)
    tab.keyboard.type(" sentence")
    tab.keyboard.press("Control+s")
    expect(tab.locator("#editor-status")).to_contain_text("Your text is kept in this browser")
    expect(tab.locator("#caption")).to_have_value("half a sentence")
    tab.context.set_offline(False)

    expect(tab.locator("#editor-status")).to_have_text("Saved.")
    assert (home.pictures / "scene-0001.txt").read_text() == "half a sentence"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["loss", "news"])
def test_a_caption_that_was_saved_while_the_answer_was_lost_is_no_conflict(
    home: Home, launch: Callable[..., Page], enter: Enter, first: str
) -> None:
    home.scenes(2, nested=False)
    tab = edit(enter, launch(), "scene-0001")

    def lose(route: Route) -> None:
        route.fetch()
        if first == "news":  # the tab hears that the caption is there while it waits for its answer
            expect(tab.locator("#image-0 .caption")).to_have_text("a whole one")
        route.abort()

    tab.route("**/caption", lose)
    tab.keyboard.type("a whole one")
    tab.keyboard.press("Control+s")

    expect(tab.locator("#editor-status")).to_have_text("Saved.")
    expect(tab.locator("#editor-conflict")).to_be_hidden()
    expect(tab.locator("#editor-by")).to_have_text("edited by hand")
    tab.reload()
    ready(tab)
    assert tab.evaluate("Object.keys(localStorage).length") == 0


@pytest.mark.slow
def test_two_tabs_are_told_and_see_both_texts(shared_home: Home, page: Page, enter: Enter) -> None:
    file = sidecar(shared_home, "scene-0014")
    one = edit(enter, page, "scene-0014")
    other = edit(enter, page, "scene-0014", link=False)
    one.locator("#caption").fill("from one tab")
    other.locator("#caption").fill("from the other tab")
    other.keyboard.press("Control+s")
    expect(other.locator("#editor-status")).to_have_text("Saved.")

    expect(one.get_by_role("alert")).to_contain_text("changed meanwhile")
    expect(one.locator("#editor-conflict blockquote")).to_have_text("from the other tab")
    expect(one.locator("#caption")).to_have_value("from one tab")
    one.locator("#caption").focus()
    one.keyboard.press("Control+s")
    expect(one.get_by_role("alert")).to_be_visible()
    assert file.read_text() == "from the other tab"

    one.get_by_role("button", name="Keep mine").click()
    expect(one.locator("#editor-status")).to_have_text("Saved.")
    assert file.read_text() == "from one tab"
    expect(other.locator("#caption")).to_have_value("from one tab")


@pytest.mark.slow
def test_a_picture_that_cannot_be_shown_says_why(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    (home.pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    tab = enter(launch())
    expect(tab.locator("#image-0.broken")).to_be_visible()

    tab.keyboard.press("Enter")

    expect(tab.locator("#editor-broken")).to_contain_text("This picture cannot be shown: the file")


@pytest.mark.slow
def test_markup_in_names_and_captions_is_text(
    home: Home, launch: Callable[..., Page], enter: Enter
) -> None:
    (name,) = home.scenes(1, nested=False)
    markup = "<img src=x onerror=alert(1)>"
    (home.pictures / name).rename(home.pictures / f"{markup}.png")
    (home.pictures / f"{markup}.txt").write_text(f"<b>{markup}</b>")
    tab = enter(launch())

    expect(tab.locator("#image-0 .caption")).to_have_text(f"<b>{markup}</b>")
    tab.keyboard.press("Enter")
    expect(tab.locator("#editor-name")).to_have_text(f"{markup}.png")


@pytest.mark.slow
def test_selected_images_are_edited_one_by_one(page: Page, enter: Enter) -> None:
    tab = enter(page)
    for place in (2, 5, 9):
        tab.locator(f"#image-{place}").click(modifiers=["Control"])
    expect(tab.locator("#selected-count")).to_have_text("3")

    tab.get_by_role("button", name="Edit one by one").click()

    expect(tab.locator("#editor-place")).to_contain_text("1 of 3")
    tab.keyboard.press("Alt+ArrowRight")
    expect(tab.locator("#editor-place")).to_contain_text("2 of 3")
