"""Bringing one image to what the model can see: safe to open, upright, sRGB, small, encoded.

The same for a pod and for this machine, so that a caption does not depend on where it is made, and
a 5 MB photo travels as some 40 KB. Every failure of a decoder leaves here as an `ImageError` whose
message is a sentence about "the file"; the caller knows its name. All functions may run on threads.

A JPEG is first reduced by its own decoder to no less than one and a half times the target, then by
Lanczos: a fifth of the time of a full decode, and 53 dB from it (docs/benchmarks.md). Orientation
is applied to the few pixels that are left; the rules are symmetric, so it is as if it had been
turned first.
"""

import math
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from traceback import clear_frames
from typing import Final, Literal

from PIL import ExifTags, Image, ImageFile

from captiv.catalog.model import ImagePolicy, ImageQuality
from captiv.errors import ImageError, ImageMissing, ImageTooLarge, ImageUnreadable
from captiv.images import cutoff, jpeg, png
from captiv.images.budget import DECODED, Budget
from captiv.images.colour import conversion, to_srgb
from captiv.images.encode import SMALL_BYTES, encoded
from captiv.images.kinds import DECODERS, Kind, is_lossless, kind_of, unknown_kind
from captiv.images.memory import held_bytes
from captiv.images.reduce import Box, Plan, averaged, plan
from captiv.shortage import shortage

MAX_FILE_BYTES: Final = 512 * 1024 * 1024
LONGEST_EDGES: Final = 16
"""The long edge is squashed to this many times `size_px` where the picture is longer still: a strip
of 20,000 x 10 keeps its 10, but a model that makes it square would not see more of its 20,000."""
_LONGEST_PX: Final = 16_383
"""An edge is never longer: a WebP holds no more, which small bodies may need (`encoded`)."""

_TRUNCATED: Final = re.compile(r"truncated|end of file|unexpected end", re.IGNORECASE)
_NOT_READ: Final = re.compile(
    r"unknown pixel mode|unknown data organization|unsupported|not supported|not yet supported",
    re.IGNORECASE,
)
"""What decoders say of a file that is whole, and that they do not read."""

_SPARE: Final = 1.5
"""So many times the target are left for the fine filter (measured in docs/benchmarks.md)."""

_THRIFTY_BYTES: Final = 0.4
"""A JPEG with no more bytes a pixel, and `SMALL_BYTES` beside, is not encoded anew."""
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF orientation."""
_SIDEWAYS: Final = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
"""What changes its width for its height."""

# Pillow's limit is one of pixels, whatever they take. Here the budget of bytes is the limit.
Image.MAX_IMAGE_PIXELS = None

# Pillow warns of odd metadata on stderr, once for each place in its source: of no use here. Only a
# filter for the whole process is safe with threads (catch_warnings is not).
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as it travels to a worker."""

    data: bytes
    media_type: str
    """`image/jpeg`, `image/png` or `image/webp`."""
    width_px: int
    height_px: int
    whole_px: tuple[int, int]
    """Width and height of the picture in its file, upright."""


@dataclass(frozen=True, slots=True)
class _Picture:
    image: Image.Image
    """Upright, mode RGB."""
    whole_px: tuple[int, int]
    """Width and height before it was shrunk, upright."""
    as_is: bool
    """Whether whoever decodes the file afresh sees these very pixels."""
    lossless: bool


@contextmanager
def _errors_keep_no_picture() -> Iterator[None]:
    """Empty the frames that an error has left.

    It keeps them, and with them pictures whose memory the budget has back. A future keeps it, in a
    ring with the frame that awaits it, until Python looks for rings.
    """
    try:
        yield
    except Exception as error:
        raised: BaseException | None = error
        while raised is not None:
            clear_frames(raised.__traceback__)
            raised = raised.__context__
        raise


@_errors_keep_no_picture()
def prepare(
    source: Path | str | bytes,
    policy: ImagePolicy,
    *,
    accept_truncated: bool = False,
    quality: ImageQuality = "standard",
) -> Prepared:
    """Return the image in the file or the bytes `source` as the model is to see it.

    A JPEG that needs no change passes through with its coded pixels, after it was decoded to its
    last line, unless it is smaller when encoded anew. Everything else is encoded anew, in no more
    bytes than the file has. Neither keeps any metadata.

    Raises: ImageMissing, ImageTooLarge, ImageUnreadable; MachineShort, no fault of the image's.
    """
    try:
        return _prepared(source, policy, quality, accept_truncated=accept_truncated)
    except MemoryError as error:
        raise shortage(error) or error from error
    except ImageTooLarge as error:
        if isinstance(error.__cause__, MemoryError):
            raise shortage(error.__cause__) or error from error
        raise


def _prepared(
    source: Path | str | bytes,
    policy: ImagePolicy,
    quality: ImageQuality,
    *,
    accept_truncated: bool,
) -> Prepared:
    data = source if isinstance(source, bytes) else read(source)
    picture = _picture(data, policy, DECODED, accept_truncated=accept_truncated)
    width, height = picture.image.size
    alone = jpeg.bare(data) if picture.as_is else data
    own = alone is not data
    if own and len(alone) <= _THRIFTY_BYTES * width * height + SMALL_BYTES:
        return Prepared(alone, "image/jpeg", width, height, picture.whole_px)
    sent, media_type = encoded(
        picture.image,
        policy,
        quality,
        lossless=picture.lossless,
        at_most=None if own else len(data),
    )
    if own and len(alone) <= len(sent):
        sent, media_type = alone, "image/jpeg"
    return Prepared(sent, media_type, width, height, picture.whole_px)


@_errors_keep_no_picture()
def decode(
    data: bytes, *, policy: ImagePolicy | None = None, budget: Budget = DECODED
) -> Image.Image:
    """Return the picture in `data`, upright and in mode RGB; shrunk as `prepare` does by `policy`.

    Raises: ImageTooLarge, ImageUnreadable.
    """
    return _picture(data, policy, budget).image


def read(path: Path | str) -> bytes:
    """Return what a regular file holds; a FIFO or device of that name is refused without waiting.

    Raises: ImageMissing, ImageTooLarge, ImageUnreadable, MachineShort.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        with open(os.open(path, flags), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageUnreadable(f"the file is {_special(status.st_mode)}, not an image")
            data = b"" if status.st_size > MAX_FILE_BYTES else file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise ImageMissing("the file is gone since it was found") from None
    except PermissionError:
        raise ImageMissing("the file may not be read by this user") from None
    except (OSError, ValueError) as error:
        if (short := shortage(error)) is not None:
            raise short from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageUnreadable(f"the file cannot be read: {reason}") from error
    if max(status.st_size, len(data)) > MAX_FILE_BYTES:
        raise ImageTooLarge(
            f"the file has {status.st_size / 1024**2:,.0f} MB; captiv opens up to 512 MB"
        )
    return data


def fitted(size: tuple[int, int], policy: ImagePolicy) -> tuple[int, int]:
    """Return the size in pixels to which `policy` shrinks a picture; no edge ever grows."""
    if policy.rule == "square":
        return min(size[0], policy.size_px), min(size[1], policy.size_px)
    edge = _measure(size, policy.rule)
    longest = min(LONGEST_EDGES * policy.size_px, _LONGEST_PX)
    scale = min(1.0, policy.size_px / edge)
    width, height = (min(max(1, round(length * scale)), longest) for length in size)
    return width, height


def _measure(size: tuple[int, int], rule: Literal["short", "long", "area"]) -> float:
    """Return what of a picture's size, in pixels, a policy's `size_px` bounds."""
    match rule:
        case "short":
            return min(size)
        case "long":
            return max(size)
        case "area":
            return math.sqrt(size[0] * size[1])


def _picture(
    data: bytes, policy: ImagePolicy | None, budget: Budget, *, accept_truncated: bool = False
) -> _Picture:
    kind = kind_of(data)
    if kind is None:
        raise ImageUnreadable(f"the file {unknown_kind(data)}")
    try:
        return _whole(data, kind, policy, budget)
    except ImageError:
        raise
    except png.WrongChecksum as error:
        raise ImageUnreadable(f"the file is a damaged PNG picture: {error}") from error
    except Exception as error:  # decoders raise anything: SyntaxError, zlib.error, struct.error, …
        told = _explained(error, kind, data)
        if told is not None:
            raise told from error
    part = _part(data, kind, policy, budget)
    if part is None or not accept_truncated:
        hint = "" if part is None else "; --accept-truncated captions what is there"
        raise ImageUnreadable(
            f"the file is truncated: it ends before the {kind} picture does{hint}"
        )
    return part


def _whole(data: bytes, kind: Kind, policy: ImagePolicy | None, budget: Budget) -> "_Picture":
    mended = _mended(data, kind)
    with DECODERS[kind](BytesIO(mended)) as image:
        picture = _shown(image, kind, mended, policy, budget)
    if kind is Kind.JPEG and mended is not data and not jpeg.has_end(data):
        _refuse_missing_rows(picture, data, policy, budget)
    return picture


def _part(data: bytes, kind: Kind, policy: ImagePolicy | None, budget: Budget) -> "_Picture | None":
    """Return what came of a picture whose file is cut off; None if that is not a single row."""
    try:
        found = cutoff.completed(kind, data, budget)
        if found is None:
            return None
        whole, load = found
        with DECODERS[kind](BytesIO(whole)) as image:
            return replace(_shown(image, kind, whole, policy, budget, load), as_is=False)
    except (ImageError, MemoryError):
        raise
    except Exception:  # decoders raise anything
        return None


def _mended(data: bytes, kind: Kind) -> bytes:
    """Return the file without what is odd in it and decides no pixel."""
    match kind:
        case Kind.JPEG:
            return jpeg.mended(data)
        case Kind.PNG:
            return png.mended(data)
        case _:
            return data


def _refuse_missing_rows(
    picture: "_Picture", data: bytes, policy: ImagePolicy | None, budget: Budget
) -> None:
    """Raise CutOff if not every row came of a JPEG without an end marker."""
    for other in jpeg.continued(data):
        with DECODERS[Kind.JPEG](BytesIO(other)) as image:
            shown = _shown(image, Kind.JPEG, other, policy, budget)
        if shown.image.tobytes() != picture.image.tobytes():
            raise cutoff.CutOff


def _shown(
    image: ImageFile.ImageFile,
    kind: Kind,
    data: bytes,
    policy: ImagePolicy | None,
    budget: Budget,
    load: cutoff.Load = cutoff.load_whole,
) -> _Picture:
    full = image.size
    if min(full) < 1:
        raise ImageUnreadable(f"the file is a {kind} without a pixel")
    target = fitted(full, policy) if policy else full
    drafted = _reduce(image, target)
    planned = plan(image.mode, image.size, target)
    with budget.taken(full, planned.peak_bytes + held_bytes(image, kind, full)):
        load(image)
        return _brought(image, kind, data, full, target, planned, drafted)


def _brought(
    image: ImageFile.ImageFile,
    kind: Kind,
    data: bytes,
    full: tuple[int, int],
    target: tuple[int, int],
    planned: Plan,
    drafted: Box | None,
) -> _Picture:
    """Return a loaded picture upright, in sRGB, and of its target's size."""
    turn = _turn(image, kind)
    shown, box = averaged(image, planned.factors, drafted)
    profile = image.info.get("icc_profile")
    as_is = (kind, image.mode, turn, target) == (Kind.JPEG, "RGB", None, full)
    as_is = as_is and conversion(profile, "RGB") is None
    if target != full:
        shown = shown.resize(target, Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    shown = to_srgb(shown, profile)
    whole = full
    if turn is not None:
        shown = shown.transpose(turn)
        whole = full[::-1] if turn in _SIDEWAYS else full
    if shown is image:
        shown = image.copy()
    shown.info = {}
    lossless = is_lossless(kind, data, image.info.get("compression"))
    return _Picture(shown, whole, as_is, lossless)


def _reduce(image: ImageFile.ImageFile, target: tuple[int, int]) -> Box | None:
    """Let a JPEG's decoder halve, to no less than `_SPARE` of `target`; return where it lies."""
    drafted = image.draft(None, (math.ceil(_SPARE * target[0]), math.ceil(_SPARE * target[1])))
    return drafted[1] if drafted else None


def _turn(image: Image.Image, kind: Kind) -> Image.Transpose | None:
    """Return what makes the picture upright; it is shown as it lies where its EXIF is damaged.

    An AVIF or HEIC is turned by properties of its own, whatever EXIF or XMP say: Pillow tells those
    of an AVIF as EXIF, and a HEIC comes turned.
    """
    if kind is Kind.HEIC:
        return None
    if kind is Kind.AVIF:
        image.info.pop("xmp", None)
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF is a small file system of its own, and its parser raises anything too
        return None


def _explained(error: Exception, kind: Kind, data: bytes) -> ImageError | None:
    """Return what is wrong with a file, as a person is told; None if it only ends too early."""
    text = " ".join(str(error).split())[:120]
    if isinstance(error, MemoryError):
        return ImageTooLarge("the picture does not fit into this machine's memory")
    if isinstance(error, Image.DecompressionBombError):
        return ImageTooLarge(f"the picture has more pixels than captiv decodes ({text})")
    if kind is Kind.GIF and "no more images" in text:
        return ImageUnreadable("the file is a GIF with no frame")
    if isinstance(error, cutoff.CutOff | EOFError) or _TRUNCATED.search(text):
        return None
    if _NOT_READ.search(text):
        return ImageUnreadable(
            f"the file is a kind of {kind} that captiv does not read: save it as PNG"
        )
    if cutoff.ends_early(kind, data):
        return None
    return ImageUnreadable(f"the file is a damaged {kind} picture")


def _special(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device"
