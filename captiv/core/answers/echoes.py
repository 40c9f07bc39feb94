"""Tells an answer that repeats what the model was asked from one that answers it. Pure.

An echo is the whole prompt, or its first sentence, as an order is given: "Describe this image in
detail. The image shows …". A prompt that is a beginning ("a photo of") is meant to be gone on
with, and what stands between quotation marks is the picture's own text.
"""

# ruff: noqa: RUF001 - letters and marks of other scripts look like Latin ones

import re
from dataclasses import dataclass

from captiv.catalog import family_named
from captiv.core.answers.quotations import without
from captiv.core.spec import Captioning

_LEAST_WORDS = 4
"""Fewer words of a prompt ("a photo of", "the cat") are in captions anyway."""
_LEAST_FIRST = 6
"""The same of the first sentence of a longer prompt."""

_ENDS = ".!?:。！？：।؟"
_SENTENCE = re.compile(rf"[^\n{_ENDS}]*[{_ENDS}]")
_CLOSING = '"”»“」』'
_QUOTED = re.compile(rf"[\"“«„「『][^{_CLOSING}]*[{_CLOSING}]")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
"""A word, or one letter of a script without blanks: two of these count as a word."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was told."""

    prompt: str = ""
    system: str = ""
    """What a chat model is told before the prompt."""
    chats: bool = True
    """Whether it answers; other models go on with the prompt, or know it as the name of a task."""


def told(captioning: Captioning) -> Asked:
    """Return what a model is told with each image; one that only a chat server knows chats."""
    family = family_named(captioning.model)
    chats = family is None or family.architecture.chats
    system = family.system if family is not None else ""
    return Asked(captioning.prompt or "", system, chats)


def echoes(text: str, asked: Asked) -> bool:
    """Return whether the answer of a chat model has the prompt or the system prompt in it."""
    if not asked.chats:
        return False
    shown = text if _QUOTED.fullmatch(text.strip()) else without(_QUOTED, _CLOSING, text)
    return any(_has(shown, told) for told in (asked.prompt, asked.system) if told)


def _has(text: str, told: str) -> bool:
    first = _SENTENCE.match(told.strip())
    return _found(text, told, _LEAST_WORDS) or (
        first is not None and _found(text, first.group(), _LEAST_FIRST)
    )


def _found(text: str, told: str, least: int) -> bool:
    """Whether these words stand in the text, and end there as they end in what was told."""
    words = _WORD.findall(told.casefold())
    if _weight(words) < least:
        return False
    between = r"[\W_]*"
    found = re.search(rf"(?<!\w){between.join(map(re.escape, words))}", text.casefold())
    if found is None:
        return False
    rest = text.casefold()[found.end() :].lstrip(" \t*_\"'”»")
    ordered = told.rstrip().endswith(tuple(_ENDS))
    return not rest or rest[0] in _ENDS + "\n" or (found.start() > 0 and ordered)


def _weight(words: list[str]) -> float:
    dense = sum(len(word) == 1 and word > "\u3000" for word in words)
    return len(words) - dense / 2
