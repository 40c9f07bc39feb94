"""How strings become the text of the job table, and back.

A file name that is not valid UTF-8 reaches Python with lone surrogates, which no TEXT column holds.
Such a path is stored as ``escaped:`` and its percent-encoding, and so is one that itself begins
with ``escaped:``; every other path is stored as it is. The rule is reversible for every string.
"""

from urllib.parse import quote, unquote_to_bytes

from captiv.core.naming import Place

_ESCAPED = "escaped:"


def encode_path(path: str) -> str:
    """Return the text under which `path` is stored."""
    if path.startswith(_ESCAPED) or not _is_text(path):
        return _ESCAPED + quote(path.encode("utf-8", "surrogatepass"))
    return path


def decode_path(text: str) -> str:
    """Return the path that is stored as `text`."""
    if text.startswith(_ESCAPED):
        return unquote_to_bytes(text.removeprefix(_ESCAPED)).decode("utf-8", "surrogatepass")
    return text


def encode_place(place: Place) -> Place:
    """Return the two texts under which `place` is stored."""
    return Place(encode_path(place.image), encode_path(place.sidecar))


def decode_place(path: str, sidecar: str) -> Place:
    """Return the place that is stored as these two texts."""
    return Place(decode_path(path), decode_path(sidecar))


def readable(text: str) -> str:
    """Return `text` as a person can read it: what is no character is written as an escape."""
    if _is_text(text):
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
