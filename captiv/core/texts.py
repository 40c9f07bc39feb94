"""What a sidecar holds: its bytes and the text in them, and when two texts are the same caption."""

import codecs
import hashlib
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_NOTHING: Final = re.compile(r"[\s\0\ufeff]*")


class Encoding(NamedTuple):
    """How a text becomes bytes: a codec, and the mark that stands before the text."""

    codec: str
    mark: bytes = b""


UTF_8: Final = Encoding("utf-8")

_MARKED: Final = (
    Encoding("utf-8", codecs.BOM_UTF8),
    Encoding("utf-16-le", codecs.BOM_UTF16_LE),
    Encoding("utf-16-be", codecs.BOM_UTF16_BE),
)
_UNMARKED: Final = (UTF_8, Encoding("cp1252"), Encoding("latin-1"))
"""cp1252 is what Windows wrote before UTF-8. latin-1 takes any bytes, and gives them back."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a caption, and the text that a person reads in them."""

    data: bytes
    text: str
    encoding: Encoding | None
    """None where the bytes are broken: the text does not lead back to them."""

    def with_text(self, text: str) -> "Content | None":
        """Return another text in the same encoding; None where that has no bytes for it."""
        if self.encoding is None:
            return None
        try:
            data = self.encoding.mark + text.encode(self.encoding.codec)
        except UnicodeEncodeError:
            return None
        return Content(data, text, self.encoding)


def content_of(data: bytes) -> Content:
    """Return what these bytes say.

    UTF-8, with or without a byte order mark; else UTF-16 if its mark says so; else what Windows
    wrote before UTF-8, so that a person's text is never lost to an error.
    """
    for encoding in (*_MARKED, *_UNMARKED):
        if not data.startswith(encoding.mark):
            continue
        body = data[len(encoding.mark) :]
        try:
            return Content(data, body.decode(encoding.codec), encoding)
        except UnicodeDecodeError:
            if encoding.codec.startswith("utf-16"):
                return Content(data, body.decode(encoding.codec, "replace"), None)
    raise AssertionError("latin-1 reads everything")


def data_of(content: Content | None) -> bytes | None:
    """Return the bytes of a caption, or None where there is none."""
    return None if content is None else content.data


def text_of(content: Content | None) -> str | None:
    """Return the text of a caption, or None where there is none."""
    return None if content is None else content.text


def plain(text: str) -> Content:
    """Return a text as captiv writes it: UTF-8.

    Raises: UnicodeEncodeError for a lone surrogate.
    """
    return Content(text.encode(), text, UTF_8)


def is_blank(text: str) -> bool:
    """Whether a text is no caption: white space, a byte order mark, or a power cut's zeros."""
    return _NOTHING.fullmatch(text) is not None


def has_lines(text: str) -> bool:
    """Whether a text, without the blanks around it, has several lines or paragraphs."""
    return len(text.strip().splitlines()) > 1


def in_one_line(text: str) -> str:
    """Return a text with every run of white space as one space, and none around it."""
    return " ".join(text.split())


def content_hash(text: str) -> str:
    """Return the SHA-256, in hex, of `text` without its surrounding blanks and with newlines as LF.

    An editor that adds a final newline, or saves CRLF, has not edited a caption.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return hashlib.sha256(unified.encode("utf-8", "surrogatepass")).hexdigest()
