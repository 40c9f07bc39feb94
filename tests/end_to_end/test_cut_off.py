"""A picture whose file is cut off: failed with the way to caption it, and captioned that way."""

from pathlib import Path

import pytest

from tests.support import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REASON = (
    "the file is truncated: it ends before the PNG picture does; --accept-truncated captions what "
    "is there"
)


def test_a_picture_that_is_cut_off_is_captioned_when_it_is_accepted(home: Home) -> None:
    (whole,) = home.scripted().scenes(1, nested=False)
    data = (home.pictures / whole).read_bytes()
    cut = home.pictures / "cut.png"
    cut.write_bytes(data[: len(data) // 2])
    (home.pictures / "bad.png").write_bytes(b"no image")

    refused = home.generate("--json")
    again = home.generate("--json")
    accepted = home.generate("--json", "--accept-truncated")

    assert refused.code == 1, refused
    assert {Path(o["path"]).name: o.get("reason") for o in refused.lines[:-1]} == {
        whole: None,
        "cut.png": REASON,
        "bad.png": "the file is text, not an image",
    }
    assert (again.lines[-1]["failed"], again.lines[-1]["not_tried"]) == (2, 2)
    told = {Path(o["path"]).name: o["status"] for o in accepted.lines[:-1]}
    assert told["cut.png"] == "captioned", accepted
    assert cut.with_suffix(".txt").read_text().startswith("picture ")
    assert accepted.lines[-1]["run"] != refused.lines[-1]["run"]
