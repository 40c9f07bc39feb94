"""A folder tagged by the installed command, with a tiny model of WD's real shapes."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support import Home
from tests.worker.taggers import TAGS, Tag, write_tagger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOTHING = Tag("no_description", (0, 8, 0), -4)
"""The whole answer about a green picture; of a sentence's model it would be no caption."""


def test_a_folder_is_tagged_and_a_picture_without_tags_is_no_caption(
    home: Home, tmp_path: Path
) -> None:
    folder = write_tagger(tmp_path / "wd", "wd-tagger", [*TAGS, NOTHING])
    for colour in ("red", "lime", "black"):
        Image.new("RGB", (60, 60), colour).save(home.pictures / f"{colour}.png")
    many = ",".join(f"never_{n}" for n in range(900))

    ended = home.run(
        *("caption", "generate", "--model", str(folder), "--tag-exclude", f"warm_(color),{many}"),
        *("--tag-threshold", "character=0.6", "--tag-underscores", str(home.pictures)),
    )

    assert home.captions() == {
        "red.txt": "red_theme, alice_(series), bob, ^_^",
        "lime.txt": "no_description",
    }
    assert ended.code == 1, ended
    assert "no tag scores above its threshold" in ended.out + ended.err
