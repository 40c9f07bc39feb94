"""What people keep beside their pictures and captiv does not read, told by the names of files.

Nothing of it fails a run; that it was passed over is said, by kind.
"""

from collections.abc import Mapping
from typing import Final

from captiv.core.naming import extension_of

SPECIAL: Final = "special file"
"""A FIFO, socket or device with the name of an image."""

_RAW: Final = (
    *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "k25", "kdc"),
    *("mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf"),
    *("srw", "x3f"),
)
_FILMS: Final = (
    *("3gp", "avi", "flv", "insv", "lrv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg"),
    *("mts", "ogv", "webm", "wmv"),
)
_EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "camera raw picture": _RAW,
    "video": _FILMS,
    "Photoshop document": ("psd", "psb"),
    "SVG drawing": ("svg", "svgz"),
    "JPEG 2000 picture": ("jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm"),
    "Targa picture": ("tga", "vda", "icb", "vst"),
    "icon": ("ico", "icns", "cur"),
    "PDF document": ("pdf",),
    "picture of another kind": (
        *("bpg", "dds", "djvu", "eps", "exr", "flif", "hdr", "jxr", "pam", "pbm", "pcx", "pfm"),
        *("pgm", "pict", "pnm", "ppm", "qoi", "ras", "sgi", "wdp", "wmf", "emf", "xbm", "xcf"),
        *("kra", "xpm", "ai", "indd", "heics", "heifs", "avifs"),
    ),
}
_KINDS: Final = {
    f".{extension}": kind for kind, extensions in _EXTENSIONS.items() for extension in extensions
}


def unread_kind(name: str) -> str | None:
    """Return what a file of this name is, if people look at it and captiv does not read it."""
    return _KINDS.get(extension_of(name).lower())


def told(unread: Mapping[str, int]) -> str:
    """Return how many there are of each kind, the most first: "3 videos, 1 icon"."""
    by_number = sorted(unread.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count} {_plural(kind, count)}" for kind, count in by_number)


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return kind
    head, of, rest = kind.partition(" of ")
    return f"{head}s{of}{rest}"
