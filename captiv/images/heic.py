"""Reading a HEIC, without trusting the depth that its header claims.

pi-heif's own class for Pillow widens grey of more than 8 bits in place, by the depth in the header.
Where the pixels have 8 bits, it writes behind them. Here the pixels stay as they were decoded, and
are read as words only if there is room for words.
"""

from typing import Any, Final

import pi_heif
from PIL import Image, ImageFile

_WORD_BYTES: Final = 2


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC; grey of more than 8 bits comes in mode L."""

    format = "HEIF"
    format_description = "HEIF container"

    def _open(self) -> None:
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
