"""How large a picture is, without decoding it."""

from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags

from captiv.errors import ImageUnreadable
from captiv.images.kinds import DECODERS, kind_of
from captiv.images.prepare import read

_ON_ITS_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Measures:
    """Width and height of a picture held upright."""

    width_px: int
    height_px: int


def measured(path: str) -> Measures:
    """Return the size of the picture at `path`.

    Raises: ImageMissing, ImageTooLarge, ImageUnreadable.
    """
    data = read(path)
    kind = kind_of(data)
    if kind is None:
        raise ImageUnreadable("the file is no image of a kind that captiv knows")
    try:
        with DECODERS[kind](BytesIO(data)) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
    except Exception as error:  # decoders raise anything
        raise ImageUnreadable("the file is a damaged picture") from error
    return Measures(height, width) if turned else Measures(width, height)
