"""Files that are no images of captiv's kinds, by what they are."""

import pytest

from captiv.core.naming import IMAGE_EXTENSIONS
from captiv.core.unread import told, unread_kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("IMG_1.CR2", "camera raw picture"),
        ("a.b.mov", "video"),
        ("x.jp2", "JPEG 2000 picture"),
        ("x.tga", "Targa picture"),
        ("favicon.ico", "icon"),
        ("a.jpg", None),
        ("a.txt", None),
        ("mov", None),
        (".mov", None),
    ],
)
def test_the_name_tells_the_kind(name: str, kind: str | None) -> None:
    assert unread_kind(name) == kind


def test_what_is_read_is_never_called_unread() -> None:
    assert [name for name in IMAGE_EXTENSIONS if unread_kind(f"a{name}")] == []


def test_the_kinds_are_told_with_their_numbers_the_most_first() -> None:
    assert told({}) == ""
    assert told({"video": 1, "icon": 3}) == "3 icons, 1 video"
    assert told({"picture of another kind": 2}) == "2 pictures of another kind"
