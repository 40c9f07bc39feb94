"""Adding a caption to the text that is there, once: how the two are joined, and what is written.

What a job found is noted before it writes anything (`found`), and what it makes of that is in the
store. So a second write, after whatever kill, knows three things that it may meet: the text that
was found, which still lacks the caption; the text that it made, which is done; and anything else,
which somebody wrote meanwhile and which stays.
"""

from enum import Enum
from typing import Final, Literal

from captiv.core.texts import Content, content_hash

Where = Literal["before", "after"]
"""The text that is there."""

NOTHING: Final = ""
"""Stands for the hash of what was found where no caption was."""

_COMMA: Final = ", "
"""Between two captions, as trainers write tags, and as a trigger word is put before a caption."""
_ENDS: Final = frozenset(".,;:!?…。，、；：！？．")  # noqa: RUF001 - as Chinese and Japanese write
"""What ends a part of a text: no comma is put behind it."""
_CLOSES: Final = "\"'”’»)]}」』）"  # noqa: RUF001
"""What may stand behind that."""


class Step(Enum):
    """What becomes of a caption that is to be added."""

    BEGIN = "note what is there, then write"
    WRITE = "write what was made of it"
    DONE = "it is there already"
    KEEP = "something else is there by now"


def joined(there: str, caption: str, where: Where) -> str:
    """Return the text that is there with the caption added to it.

    The blanks around what is there, an editor's final newline among them, stay around it all. A
    comma stands between the two, or only a space if the first ends in punctuation; nothing if
    there is white space or, in the second, punctuation already, from `--prefix` or `--suffix`.
    """
    body = there.strip()
    start = there[: len(there) - len(there.lstrip())]
    end = there[len(start) + len(body) :]
    first, second = (caption, body) if where == "before" else (body, caption)
    return f"{start}{first}{_between(first, second)}{second}{end}"


def step(found: str | None, held: Content | None, text: str) -> Step:
    """Return what is to be done with a sidecar.

    Args:
        found: hash of the text that the job found before; `NOTHING` where none was, None if it has
            not looked yet.
        held: what the sidecar holds now.
        text: what it is to hold; the caption alone where the job has not looked yet.
    """
    digest = None if held is None else content_hash(held.text)
    if digest == content_hash(text):
        return Step.DONE
    if found is None:
        return Step.BEGIN
    return Step.WRITE if digest in (None, found) else Step.KEEP


def obstacle(held: Content) -> str:
    """Say why a caption cannot be added to what a sidecar holds, when it cannot."""
    if held.encoding is None:
        return "its text is broken UTF-16"
    codec = held.encoding.codec
    return f"it is not UTF-8, and its encoding ({codec}) lacks a character of the new caption"


def _between(first: str, second: str) -> str:
    if not first or not second or first[-1].isspace() or second[0].isspace():
        return ""
    if second[0] in _ENDS:
        return ""
    spoken = first.rstrip(_CLOSES) or first
    return " " if spoken[-1] in _ENDS else _COMMA
