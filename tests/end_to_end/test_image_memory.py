"""The budget of decoded bytes, as a person sets it."""

import json

import pytest
from PIL import Image

from tests.support import Home


@pytest.mark.slow
def test_a_picture_that_takes_more_than_the_setting_fails_alone_and_names_it(home: Home) -> None:
    home.scripted()
    home.scenes(2)
    folder = home.pictures
    Image.new("LAB", (3000, 3000)).save(folder / "large.tif")

    ended = home.generate("--json", CAPTIV_IMAGES_MEMORY_MB="64")

    failed = [json.loads(line) for line in ended.out.splitlines() if '"large.tif' in line]
    assert ended.code == 1, ended
    assert len(home.captions()) == 2
    assert "captiv takes up to 64 MB (images.memory_mb)" in ended.out + ended.err, failed
    again = home.generate("--retry-failed")
    assert again.code == 0, again
