"""Is this answer a caption? Pure: the text and how it ended in, a fault or None out.

What the verdict is worth is measured on labelled answers: `docs/answers.md` has the figures and the
command. A caption that is refused costs another try; a fault that is missed costs a training set
its quality. The rules lean towards keeping: none may refuse a good caption in 2,000.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from captiv.core.answers.echoes import Asked, echoes
from captiv.core.answers.endings import unfinished
from captiv.core.answers.questions import only_asks
from captiv.core.answers.refusals import refuses
from captiv.core.answers.roles import speaks_roles
from captiv.core.answers.transcripts import transcribes
from captiv.core.loops import brief_loop_in, loop_in

_FORM = re.compile(
    r"<\|im_start\|>\s*(?:assistant|user|system)\b|<\|?/?[a-z_]{1,24}\|?>|\[(?:PAD|UNK|SEP|CLS|MASK|BOS|EOS)\]|```\w*"
    r"|\b(?:caption|description|answer|output)\b[*\s]*:",
    re.IGNORECASE,
)
"""Marks of tokenizers and templates, which are no words."""

_NOTHING = re.compile(
    r"\W*(?:(?:sure|certainly|of course|okay)\W+)?(?:here(?:'s|’s| is| are)|below is) "  # noqa: RUF001
    r"(?:an?|the|your|some) [^.!?:\n]{0,40}\b(?:description|caption|tags?|prompt|list)\b"
    r"[^.!?:\n]{0,40}[:.]?\W*"
    r"|\W*(?:n/a|not applicable|no (?:caption|description)(?: available)?)\W*",
    re.IGNORECASE,
)
"""An announcement that nothing follows, and what stands in a field that is left empty."""


class Fault(StrEnum):
    """What is wrong with an answer."""

    EMPTY = "empty"
    LOOPING = "looping"
    REFUSING = "refusing"
    CUT_OFF = "cut off"
    ECHOING = "echoing"
    SPEAKING_ROLES = "speaking roles"
    ASKING = "asking"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fault, and a clause that tells a person about it."""

    fault: Fault
    reason: str


def judge(
    text: str,
    finish: Literal["stop", "length"] = "stop",
    *,
    limited_by_user: bool = False,
    asked: Asked = Asked(),  # noqa: B008 - it is frozen
) -> Verdict | None:
    """Return what is wrong with the answer, or None if it is a caption.

    Args:
        text: the answer alone, without prefix and suffix.
        finish: `length` if the limit of new tokens ended it.
        limited_by_user: whether that limit was set by a person, who then wants the text as it is.
        asked: what a chat model was told; nothing of a model that goes on with its prompt.
    """
    bare = not any(character.isalnum() for character in _FORM.sub(" ", text))
    if bare or _NOTHING.fullmatch(text):
        return Verdict(Fault.EMPTY, "it is empty")
    if loop_in(text) is not None:
        return Verdict(Fault.LOOPING, "it repeats itself without end")
    if refuses(text):
        return Verdict(Fault.REFUSING, "the model declines to describe the image")
    copied = transcribes(asked.prompt)
    if not copied and speaks_roles(text):
        return Verdict(Fault.SPEAKING_ROLES, "it has marks or role lines of a chat in it")
    if echoes(text, asked):
        return Verdict(Fault.ECHOING, "it repeats the prompt or the system prompt")
    if not copied and only_asks(text, asked.prompt):
        return Verdict(Fault.ASKING, "it only asks a question")
    if finish == "stop":
        return None if copied else _ended(text)
    if not limited_by_user:
        return Verdict(Fault.CUT_OFF, "it was cut off by the model's usual limit of new tokens")
    return None


def _ended(text: str) -> Verdict | None:
    """Judge an answer that the model ended itself."""
    if brief_loop_in(text) is not None:
        return Verdict(Fault.LOOPING, "it repeats itself over and over")
    if unfinished(text):
        return Verdict(Fault.UNFINISHED, "it ends in the middle of a sentence")
    return None
