"""The pictures of the terminal show what the commands say now."""

import html
import re
import shutil

import pytest

from scripts.screens import SCREENS, Screen, pictures

from .pages import DOCS
from .test_lines import parsed

PICTURES = DOCS / "pictures"
OPEN = (
    (r"Pod \w{14}", "Pod ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
    (r"\$0\.\d{4}\b", "$SUM"),
    (r"\d+(\.\d+)? s\b", "N s"),
    (r"/\S*/(pictures|more)\S*", "FOLDER"),
    (r"\s+", " "),
)
"""What differs from one time to the next."""


def said(svg: str) -> str:
    """Return the text of a picture."""
    shown = " ".join(re.findall(r"<text class=\"[\w-]*r\d+\"[^>]*>([^<]*)</text>", svg))
    text = html.unescape(shown).replace("\xa0", " ")
    for pattern, instead in OPEN:
        text = re.sub(pattern, instead, text)
    return text.strip()


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
def test_a_picture_is_of_its_lines_and_a_page_shows_it(screen: Screen) -> None:
    name = f"terminal-{screen.name}.svg"
    svg = (PICTURES / name).read_text(encoding="utf-8")

    for line in screen.lines:
        assert line in said(svg)
        parsed(line.partition(" | ")[0].split()[1:])
    assert any(f"](pictures/{name})" in page.read_text("utf-8") for page in DOCS.glob("*.md"))


def test_every_picture_is_one_of_the_script_and_brings_all_it_needs() -> None:
    files = {path.name for path in PICTURES.glob("terminal-*")}

    assert files == {f"terminal-{screen.name}.svg" for screen in SCREENS}
    for name in files:
        svg = (PICTURES / name).read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\"')\s]+", svg)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }
        assert "url(http" not in svg


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_they_show_what_the_commands_say_now() -> None:
    now = dict(pictures())

    for screen in SCREENS:
        kept = (PICTURES / f"terminal-{screen.name}.svg").read_text(encoding="utf-8")
        if screen.until:  # taken in the middle: how far it was is another matter
            assert len(said(now[screen.name])) > len(" ".join(screen.lines))
        else:
            assert said(now[screen.name]) == said(kept), "run scripts/screens.py"
