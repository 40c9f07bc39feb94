"""A picture that others show otherwise needs a reason."""

from pathlib import Path

import pytest
from PIL import Image

from scripts.decoders import Reason, Row, _row

REASON = Reason(("some/*.png",), "It is blue.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 6), "blue").save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("reasons", "why"), [([REASON], "It is blue."), ([], ""), ([Reason(("b.png",), "No.")], "")]
)
@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Image.new("RGB", (8, 6), (0, 0, 230)), "8 levels"),
        (Image.new("RGB", (6, 8), "blue"), "6x8, not 8x6"),
    ],
)
def test_a_picture_shown_otherwise_has_its_reason_or_none(
    path: Path, other: Image.Image, what: str, reasons: list[Reason], why: str
) -> None:
    row = _row("some/a.png", path, [lambda _: other], reasons)
    assert row == Row("some/a.png", (what,), why)


@pytest.mark.parametrize("other", [None, Image.new("RGB", (8, 6), (0, 0, 240))])
def test_a_picture_shown_alike_or_by_captiv_alone_needs_none(
    path: Path, other: Image.Image | None
) -> None:
    assert _row("some/a.png", path, [lambda _: other], []) is None


def test_what_only_captiv_refuses_needs_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    row = _row("some/a.png", tmp_path / "a.png", [lambda _: Image.new("RGB", (8, 6))], [])
    assert row == Row("some/a.png", ("8x6; captiv: the file is text, not an image",), "")
