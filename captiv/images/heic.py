"""Reading a HEIC, without trusting the depth and the items that its header claims.

pi-heif's own class for Pillow widens grey of more than 8 bits in place, by the depth in the header.
Where the pixels have 8 bits, it writes behind them. Here the pixels stay as they were decoded, and
are read as words only if there is room for words. Where the type of an item isn't UTF-8, it would
end the process: such a file is refused before.

Source: ISO/IEC 14496-12, 8.11.6 (`infe`).
"""

import re
from typing import Any, Final

import pi_heif
from PIL import Image, ImageFile

_WORD_BYTES: Final = 2
_ITEM: Final = re.compile(rb"(.{4})infe([\0-\3]).{3}", re.DOTALL)
"""Length and version of the box that tells an item's type, name and kind of content."""


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC; grey of more than 8 bits comes in mode L."""

    format = "HEIF"
    format_description = "HEIF container"

    def _open(self) -> None:
        assert self.fp is not None
        _check_items(self.fp.read())
        self._heif = pi_heif.open_heif(self.fp, hdr_to_16bit=False, remove_stride=False)
        self._words = self._heif.mode.startswith("I;")
        self._size = self._heif.size
        self._mode = "L" if self._words else self._heif.mode
        self.info = self._heif.info
        self.tile = []

    def load(self) -> Any:
        """Decode, once.

        Raises: ValueError if the pixels are not what the header says.
        """
        if self._heif is not None:
            data, stride = self._heif.data, self._heif.stride
            self._size = self._heif.size
            if self._words:
                self._im = self._levels(data, stride).im
            else:
                self.load_prepare()
                self.frombytes(data, "raw", (self.mode, stride))
            self._heif = None
        return super().load()

    def _levels(self, data: memoryview, stride: int) -> Image.Image:
        """Return the words of a grey picture as levels of 8 bits."""
        if stride < self.width * _WORD_BYTES:
            raise ValueError("the header says more bits than the pixels have")
        most = (1 << self.info["bit_depth"]) - 1
        levels = [min(255, round(255 * word / most)) for word in range(0x10000)]
        words = Image.frombytes("I;16", self.size, data, "raw", "I;16", stride)
        return words.convert("I").point(levels, "L")


def _check_items(data: bytes) -> None:
    """Raise UnicodeDecodeError if an item's type, name or kind of content isn't UTF-8."""
    for found in _ITEM.finditer(data):
        words = found.end() + (6 if found[2] == b"\3" else 4)  # behind number and protection
        data[words : found.start() + int.from_bytes(found[1])].decode()
