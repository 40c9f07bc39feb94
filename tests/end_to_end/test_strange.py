"""The built-in model over pictures that it was not made for: said once, with the way out."""

import random

import pytest
from PIL import Image

from captiv.core.strange import Strange
from tests.support import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def noise(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (96, 64), random.Random(seed).randbytes(3 * 96 * 64))


def test_pictures_that_are_no_drawn_scenes_are_warned_of_once(home: Home) -> None:
    home.scripted().scenes(3, nested=False)
    for seed in range(2):
        noise(seed).save(home.pictures / f"photograph-{seed}.jpg")
    warning = Strange("shapes", captions=5, others=2)

    ended = home.generate()
    again = home.generate("--json")
    over = home.generate("--overwrite", "--json")
    only_shown = home.generate("--no-save", "--json")

    assert ended.code == 0, ended
    assert ended.err.splitlines().count(warning.sentence(saved=True)) == 1
    assert "The built-in model" not in again.err, "it captioned nothing"
    assert again.lines[-1]["strange"] == 0
    assert over.err.splitlines() == [warning.sentence(saved=True)]
    assert (over.lines[-1]["captioned"], over.lines[-1]["strange"]) == (5, 2)
    assert only_shown.err.splitlines() == [warning.sentence(saved=False)]
    log = (home.data / "log" / "captiv.log").read_text()
    assert log.count('event="pictures strange run=1 others=2"') == 1


def test_drawn_scenes_and_other_models_are_not_warned_of(home: Home) -> None:
    home.scripted().scenes(4, nested=False)

    drawn = home.generate("--json")
    noise(1).save(home.pictures / "photograph.png")
    other = home.run("caption", "generate", "--model", "blip", str(home.pictures), "--json")

    assert (drawn.code, drawn.err, drawn.lines[-1]["strange"]) == (0, "", 0)
    assert (other.code, other.err, other.lines[-1]["strange"]) == (0, "", 0)
    assert other.lines[-1]["captioned"] == 1
