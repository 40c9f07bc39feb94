"""How Pillow's libtiff is used: for every TIFF, and without a word on standard error.

libtiff tells each of its errors there, beside the one that Pillow raises, and has no other way to
be quiet than a function of its own, which Pillow calls for warnings alone. Pillow's own reader of
TIFFs logs what it raises, and Python prints that where nothing listens.
"""

import ctypes
import ctypes.util
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import PIL
from PIL import TiffImagePlugin

_COMPRESSION: Final = 259
_configured: list[Callable[[int], int]] = []
"""What tells, for a number of a compression, whether libtiff has the code for it."""


class TiffImageFile(TiffImagePlugin.TiffImageFile):
    """A TIFF that this libtiff can decompress."""

    def _open(self) -> None:
        super()._open()
        compression = self.tag_v2.get(_COMPRESSION, 1)
        if not all(has_code(compression) for has_code in _configured):
            raise SyntaxError(f"unsupported compression {compression}")


def set_up() -> None:
    """Have libtiff read every TIFF, and say nothing itself; once a process."""
    # Pillow's own reading of uncompressed TIFFs takes planes of 16 bits for planes of 8.
    TiffImagePlugin.READ_LIBTIFF = True
    logging.getLogger(TiffImagePlugin.__name__).setLevel(logging.CRITICAL + 1)
    for library in _libraries():
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(library)
            set_handler = loaded.TIFFSetErrorHandler
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
            has_code = loaded.TIFFIsCODECConfigured
            has_code.argtypes, has_code.restype = [ctypes.c_uint16], ctypes.c_int
            _configured.append(has_code)


def _libraries() -> list[str]:
    """Return where libtiff is: in the folder beside Pillow's wheel, or else the system's."""
    package = Path(PIL.__file__).parent
    folders = (package.parent / "pillow.libs", package / ".dylibs")
    if found := [str(path) for folder in folders for path in folder.glob("libtiff*")]:
        return found
    system = ctypes.util.find_library("tiff")  # slow: it may ask a compiler
    return [] if system is None else [system]
