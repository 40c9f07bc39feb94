"""When two texts are the same caption."""

import hashlib


def content_hash(text: str) -> str:
    """Return the SHA-256, in hex, of `text` without its surrounding blanks and with newlines as LF.

    An editor that adds a final newline, or saves CRLF, has not edited a caption.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return hashlib.sha256(unified.encode("utf-8", "surrogatepass")).hexdigest()
