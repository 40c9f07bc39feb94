"""The sidecars that people reported, as the page lists and saves them."""

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tests.support import Home

from .pages import Page

pytestmark = [pytest.mark.slow, pytest.mark.allow_blocking, pytest.mark.timeout(180)]

Form = Literal["NFC", "NFD"]

SIDE = Path(__file__).parents[2].parent / "shared" / "cases" / "side"


@pytest.mark.skipif(not SIDE.exists(), reason="the reported files are not here")
def test_the_page_reads_the_reported_sidecars_as_a_run_does(
    home: Home, launch: Callable[..., Page]
) -> None:
    shutil.copytree(SIDE, home.pictures, dirs_exist_ok=True)

    shown = {image["name"]: image["caption"] for image in launch().visitor().images(limit=500)}

    assert {name: text or None for name, text in shown.items()} == {
        "UPPER.JPG": "human upper sidecar",
        "blank.jpg": None,
        "bom.jpg": "a dog on grass",
        "bomonly.jpg": None,
        "crlf.jpg": "a dog\r\non grass\r\n",
        "full.jpg": None,
        "kohya.jpg": None,
        "utf16.jpg": "a dog \N{EN DASH} on grass",
    }


@pytest.mark.parametrize(("picture", "sidecar"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_the_page_reads_and_saves_a_sidecar_with_its_accents_in_another_form(
    home: Home, launch: Callable[..., Page], picture: Form, sidecar: Form
) -> None:
    (drawn,) = home.scenes(1, nested=False)
    image = home.pictures / unicodedata.normalize(picture, "café.png")
    (home.pictures / drawn).rename(image)
    text = home.pictures / unicodedata.normalize(sidecar, "café.txt")
    text.write_text("un café")
    visitor = launch().visitor()
    (shown,) = visitor.images()

    saved = visitor.write(shown, "deux cafés")

    assert shown["caption"] == "un café"
    assert saved.status_code == 200
    assert text.read_text() == "deux cafés"
    assert {path.name for path in home.pictures.iterdir()} == {image.name, text.name}
