"""Bitmaps whose pixels are packed as runs, in time that the file's length bounds.

Pillow's own reader fills each row that ends early byte by byte: a file of a kilobyte that claims to
be wide takes it half a minute. It also leaves out a row that is empty.

Source: Microsoft, "Bitmap Compression" (BI_RLE8 and BI_RLE4).
"""

from typing import Final

from PIL import BmpImagePlugin, Image, ImageFile

RUNS: Final = "captiv_bmp_runs"
_END_OF_ROW, _END, _MOVE = range(3)


def _own(tiles: list[ImageFile._Tile]) -> list[ImageFile._Tile]:
    return [
        tile._replace(codec_name=RUNS) if tile.codec_name == "bmp_rle" else tile for tile in tiles
    ]


class BmpImageFile(BmpImagePlugin.BmpImageFile):
    """A BMP."""

    def _open(self) -> None:
        super()._open()
        self.tile = _own(self.tile)


class DibImageFile(BmpImagePlugin.DibImageFile):
    """A BMP without its file header."""

    def _open(self) -> None:
        super()._open()
        self.tile = _own(self.tile)


class _Runs(ImageFile.PyDecoder):
    _pulls_fd = True

    def decode(self, buffer: Image.DecoderInput) -> tuple[int, int]:
        assert self.fd is not None
        pixels = _unpacked(self.fd.read(), self.state.xsize, self.state.ysize, four=self.args[1])
        self.set_as_raw(pixels, "L" if self.mode in ("1", "L") else "P", (0, self.args[-1]))
        return -1, 0


Image.register_decoder(RUNS, _Runs)


def _unpacked(coded: bytes, width: int, height: int, *, four: bool) -> bytes:
    """Return the pixels, a byte each; what the runs leave out is 0.

    Raises: EOFError.
    """
    pixels = bytearray(width * height)
    at = x = y = 0
    while y < height and (x < width or y < height - 1):
        count, what = _two(coded, at)
        at += 2
        if count:
            run = bytes((what >> 4, what & 15) if four else (what, what)) * ((count + 1) // 2)
            x = _put(pixels, run[:count], x, y, width)
        elif what == _END_OF_ROW:
            x, y = 0, y + 1
        elif what == _END:
            break
        elif what == _MOVE:
            right, up = _two(coded, at)
            at, x, y = at + 2, x + right, y + up
        else:
            packed = coded[at : at + ((what + 1) // 2 if four else what)]
            at += len(packed) + len(packed) % 2
            run = bytes(n for two in packed for n in (two >> 4, two & 15)) if four else packed
            if len(run) < what:
                raise EOFError
            x = _put(pixels, run[:what], x, y, width)
    return bytes(pixels)


def _two(coded: bytes, at: int) -> tuple[int, int]:
    if at + 2 > len(coded):
        raise EOFError
    return coded[at], coded[at + 1]


def _put(pixels: bytearray, run: bytes, x: int, y: int, width: int) -> int:
    """Write what of a run fits into its row; return where the next one begins."""
    end = min(width, x + len(run))
    if x < end:
        pixels[y * width + x : y * width + end] = run[: end - x]
    return max(x, end)
