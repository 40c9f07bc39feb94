"""Captions typed without waiting for the page: each letter goes into the image it was typed for."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from captiv.testing.ports import Port
from tests.gui.pages import Page
from tests.support import Home

from .conftest import Held, known, ready, wait_for

Enter = Callable[..., Tab]

COUNT = 5
KEY_MS = 60
CAPTIONS = [f"picture {at} of many" for at in range(1, COUNT + 1)]


@pytest.fixture
def port() -> Iterator[str]:
    """A port that nobody takes while no page listens there."""
    kept = Port()
    yield str(kept.number)
    kept.close()


@pytest.fixture
def names(home: Home) -> list[str]:
    """Pictures without captions, in the gallery's order."""
    return sorted(Path(name).stem for name in home.scenes(COUNT, nested=False))


def delay(tab: Tab, latency_ms: int) -> None:
    """Delay each answer from now on."""
    conditions = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    session = tab.context.new_cdp_session(tab)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {**conditions, "latency": latency_ms})


def open_first(tab: Tab) -> None:
    tab.locator("#gallery").focus()
    tab.keyboard.press("Enter")


def type_captions(tab: Tab, captions: list[str], key_ms: int = KEY_MS) -> None:
    """Type and go on, as a person does who looks at the next picture only."""
    for caption in captions:
        tab.keyboard.type(caption, delay=key_ms)
        tab.keyboard.press("Control+Enter")


def on_disk(home: Home) -> dict[str, str]:
    files = sorted(home.pictures.glob("*.txt"))
    return {file.stem: file.read_bytes().decode() for file in files}


def drafts(tab: Tab) -> dict[str, str]:
    """Return what the browser keeps, by the image's id."""
    stored: dict[str, str] = tab.evaluate("({...localStorage})")
    return {key.split(":")[2]: json.loads(draft)["text"] for key, draft in stored.items()}


def arrives(tab: Tab, home: Home, expected: dict[str, str]) -> None:
    """Wait until the files are as they were typed and nothing waits to be saved; fail if not."""
    try:
        wait_for(tab, lambda: on_disk(home) == expected and drafts(tab) == {})
    except AssertionError:
        assert (on_disk(home), drafts(tab)) == (expected, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("latency_ms", "key_ms"),
    [
        (0, 0),
        (400, KEY_MS),
        pytest.param(0, KEY_MS, marks=pytest.mark.slow),
        pytest.param(150, 0, marks=pytest.mark.slow),
        pytest.param(150, KEY_MS, marks=pytest.mark.slow),
        pytest.param(400, 0, marks=pytest.mark.slow),
    ],
)
def test_captions_typed_without_a_pause_are_each_in_their_file(
    home: Home,
    names: list[str],
    launch: Callable[..., Page],
    enter: Enter,
    latency_ms: int,
    key_ms: int,
) -> None:
    tab = enter(launch())
    delay(tab, latency_ms)

    open_first(tab)
    type_captions(tab, CAPTIONS, key_ms)

    arrives(tab, home, dict(zip(names, CAPTIONS, strict=True)))


@pytest.mark.slow
def test_what_is_typed_before_a_caption_is_there_is_added_to_its_end(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    held = ["held\n", "held\r\nheld\r\n", "held"]
    for name, text in zip(names, held, strict=False):
        (home.pictures / f"{name}.txt").write_bytes(text.encode())
    tab = enter(launch())
    delay(tab, 400)

    open_first(tab)
    type_captions(tab, [" and more"] * 3, key_ms=0)

    expected = ["held and more\n", "held\r\nheld and more\r\n", "held and more"]
    arrives(tab, home, dict(zip(names, expected, strict=False)))


@pytest.mark.slow
def test_a_caption_that_is_opened_and_left_is_not_touched(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    file = home.pictures / f"{names[0]}.txt"
    file.write_bytes(b"one\r\ntwo\r\n")
    tab = enter(launch())
    open_first(tab)
    expect(tab.locator("#caption")).to_have_value("one\ntwo")

    tab.keyboard.press("Control+s")
    expect(tab.locator("#editor-status")).to_contain_text("Nothing to save")
    tab.keyboard.press("Control+Enter")
    expect(tab.locator("#editor-name")).to_have_text(f"{names[1]}.png")
    tab.keyboard.press("Alt+ArrowLeft")

    expect(tab.locator("#editor-by")).to_have_text("found in its file")
    assert file.read_bytes() == b"one\r\ntwo\r\n"


@pytest.mark.slow
def test_a_caption_is_edited_on_the_line_that_trainers_read(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    (home.pictures / f"{names[0]}.txt").write_bytes(b"a cat\n")
    tab = enter(launch())

    open_first(tab)
    expect(tab.locator("#caption")).to_have_value("a cat")
    tab.keyboard.type(", sitting")
    tab.keyboard.press("Control+s")

    arrives(tab, home, {names[0]: "a cat, sitting\n"})


@pytest.mark.slow
def test_nothing_is_written_into_what_an_input_method_composes(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    (home.pictures / f"{names[0]}.txt").write_text("one ")
    tab = enter(launch())
    delay(tab, 400)
    method = tab.context.new_cdp_session(tab)

    with tab.expect_response("**/api/images/*"):
        open_first(tab)
        composing = {"text": "か", "selectionStart": 1, "selectionEnd": 1}
        method.send("Input.imeSetComposition", composing)
    expect(tab.locator("#caption")).to_have_value("か")
    method.send("Input.insertText", {"text": "下"})

    expect(tab.locator("#caption")).to_have_value("one 下")
    tab.keyboard.press("Control+s")
    arrives(tab, home, {names[0]: "one 下"})


@pytest.mark.slow
def test_captions_typed_offline_are_drafts_of_their_images_and_saved_later(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    page = launch()
    tab = enter(page)
    ids = {image["id"]: Path(image["name"]).stem for image in page.visitor().images()}
    open_first(tab)
    type_captions(tab, CAPTIONS[:1])
    arrives(tab, home, {names[0]: CAPTIONS[0]})

    tab.context.set_offline(True)
    for at in range(1, COUNT):
        expect(tab.locator("#editor-name")).to_have_text(f"{names[at]}.png")
        source = tab.locator("#editor-picture").get_attribute("src") or ""
        assert ids[source.split("/")[2]] == names[at]
        type_captions(tab, CAPTIONS[at : at + 1])
    expect(tab.locator("#editor-status")).to_contain_text("captiv cannot be reached")
    kept = {ids[id]: text for id, text in drafts(tab).items()}
    assert kept == dict(zip(names[1:], CAPTIONS[1:], strict=True))
    assert on_disk(home) == {names[0]: CAPTIONS[0]}
    tab.context.set_offline(False)

    arrives(tab, home, dict(zip(names, CAPTIONS, strict=True)))


@pytest.mark.slow
def test_captions_typed_while_captiv_restarts_are_each_in_their_file(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter, port: str
) -> None:
    first = launch("--port", port)
    tab = enter(first)
    open_first(tab)
    type_captions(tab, CAPTIONS[:2])

    assert first.stop() == 0
    type_captions(tab, CAPTIONS[2:3])
    launch("--port", port)
    type_captions(tab, CAPTIONS[3:])

    arrives(tab, home, dict(zip(names, CAPTIONS, strict=True)))


@pytest.mark.slow
def test_what_was_not_saved_is_marked_counted_and_shown_alone(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    tab = enter(launch())
    tab.route("**/caption", lambda route: route.abort())
    expect(tab.get_by_label("Not saved")).to_be_hidden()
    open_first(tab)
    tab.keyboard.press("Alt+ArrowRight")
    type_captions(tab, ["not to be saved yet"], key_ms=0)

    tab.keyboard.press("Escape")
    expect(tab.locator("#image-1 .unsaved")).to_be_visible()
    expect(tab.locator("[role=option] .unsaved")).to_have_count(1)
    expect(tab.locator("[data-tally=unsaved]")).to_have_text("1")
    tab.get_by_label("Not saved").check()
    expect(tab.locator("[role=option]:not([hidden]) .name")).to_have_text([f"{names[1]}.png"])

    tab.unroute("**/caption")
    arrives(tab, home, {names[1]: "not to be saved yet"})
    expect(tab.get_by_role("heading", name="Everything is saved")).to_be_visible()


@pytest.mark.slow
def test_a_caption_that_somebody_writes_meanwhile_is_shown_and_stays(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    tab = enter(launch())
    open_first(tab)
    tab.keyboard.type("mine")

    (home.pictures / f"{names[0]}.txt").write_text("theirs\n")
    expect(tab.locator("#editor-conflict blockquote")).to_have_text("theirs")
    tab.keyboard.press("Control+Enter")
    expect(tab.locator("#caption")).to_have_value("mine")
    tab.keyboard.press("Alt+ArrowRight")
    expect(tab.locator("#editor-name")).to_have_text(f"{names[1]}.png")
    tab.keyboard.press("Alt+ArrowLeft")

    expect(tab.locator("#caption")).to_have_value("mine")
    expect(tab.get_by_role("alert")).to_contain_text("changed meanwhile")
    assert on_disk(home) == {names[0]: "theirs\n"}
    assert list(drafts(tab).values()) == ["mine"]


FILL = """() => {
  let size = 1 << 22;
  for (let n = 0; size > 0; n += 1) {
    try { localStorage.setItem(`filler:${n}`, "x".repeat(size)); } catch { size >>= 1; }
  }
}"""


@pytest.mark.slow
def test_a_draft_stays_where_the_browser_has_no_room_to_keep_it_anew(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    tab = enter(launch())
    tab.route("**/caption", lambda route: route.abort())
    open_first(tab)
    known(tab)
    tab.keyboard.type("half a sentence")
    tab.evaluate(FILL)

    for _ in range(2):
        tab.reload()
        ready(tab)
        open_first(tab)
        expect(tab.locator("#caption")).to_have_value("half a sentence")
        expect(tab.locator("#editor-status")).to_contain_text("unsaved text is here again")
    tab.unroute("**/caption")
    tab.keyboard.press("Control+s")

    wait_for(tab, lambda: on_disk(home) == {names[0]: "half a sentence"})
    kept = "Object.keys(localStorage).filter(key => key.startsWith('captiv:draft')).length"
    wait_for(tab, lambda: tab.evaluate(kept) == 0)


@pytest.mark.slow
def test_a_text_that_is_given_up_while_it_is_saved_is_not_left_in_the_file(
    home: Home, names: list[str], launch: Callable[..., Page], enter: Enter
) -> None:
    file = home.pictures / f"{names[0]}.txt"
    file.write_bytes(b"one\r\ntwo")
    tab = enter(launch())
    held = Held(tab, re.compile("/caption$"))
    open_first(tab)
    known(tab)
    tab.locator("#caption").fill("mine")
    tab.keyboard.press("Control+s")
    wait_for(tab, lambda: len(held.routes) == 1)

    tab.get_by_role("button", name="Undo").click()
    expect(tab.locator("#caption")).to_have_value("one\ntwo")
    held.release()

    expect(tab.locator("#editor-history .text").first).to_have_text("mine")
    arrives(tab, home, {names[0]: "one\r\ntwo"})
    expect(tab.locator("#editor-status")).to_contain_text("discarded")
