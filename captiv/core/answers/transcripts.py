"""Tells a prompt that asks for the text in a picture from one that asks for a caption. Pure.

A transcription ends where the page does, and a chat or a question in it is the picture's own. The
words of the request are common ones ("in 50 words", "do not mention any text", "an alt text"): they
count neither where they forbid, or are a condition, nor for the text that the model writes.
"""

# ruff: noqa: RUF001 - letters and marks of other scripts look like Latin ones

import re
from functools import lru_cache

_SENTENCE = re.compile(r"[^.!?。！？\n]+")

_OWN = re.compile(
    r"\b(?:an?|eine?n?|une?|uma?|een)(?: [\w-]+)? (?:texte?|texto|testo|tekst)\b"
    r"|\balt(?:ernativ\w*)?[ -]?text|\btext[ -]to\b|\btext prompt"
    r"|用文字|\d ?文字|文字(?:以内|程度|数)",
    re.IGNORECASE,
)
"""A text that the model is to write itself, and how long it may be."""

_ASKED = re.compile(
    r"<ocr|<md>|\bocr\b|trans[ck]ri|trans?cr[ei]v|\btexte?[ns]?\b|\btext[oe]s?\b|\btesti?o?\b"
    r"|\bread (?:out|all|aloud|the|this|that|these|every|any|what|it)\b"
    r"|\b(?:what|which|all|every|the) (?:[\w-]+ )?words? (?:are |is |that |you )?"
    r"(?:in|on|of|written|printed|visible|shown|see)\b"
    r"|\bwhat (?:do|does|the|it|they|this|that)\b.*\b(?:says?|reads?)\b"
    r"|\bwhat(?:'s|’s| is| stands) written\b|\bconvert\b.*\b(?:markdown|html|latex)\b"
    r"|\bwas\b.*\b(?:steht|geschrieben)\b|\b(?:vor|ab)?lesen\b|\blies\b|\bwörter (?:auf|im|in)\b"
    r"|\bque dit\b|\bécrite?s?\b|\blis(?:ez)?\b|\bmots (?:sur|dans)\b"
    r"|\bqu[eé] (?:dice|diz)\b|\bescrit[oa]\b|\ble(?:e|ia)\b|\bpala(?:b|v)ras (?:en|n[ao])\b"
    r"|\bcosa dice\b|\bscritt[oa]\b|\bleggi\b|\bparole (?:su|ne)"
    r"|\bteksty?\b|\bwat staat\b|\blees\b|\bgeschreven\b"
    r"|\b(?:prze|od)czytaj\b|\bprzepisz\b|\bnapisane\b|\bläs\b|\bvad står\b"
    r"|текст|написано|прочитай|прочти"
    r"|文字|テキスト|書き起こ|読み取|読んで|書かれ|文本|识别|識別|转写|轉寫|抄写|抄寫|写着|读出|讀出"
    r"|텍스트|글자|문구|읽어|받아쓰|적혀|적힌|쓰여|النص",
    re.IGNORECASE,
)
"""The text in the picture, or to read it."""

_FORBIDDEN = re.compile(
    r"\b(?:not|never|no|without|don['’]t|ignore|avoid|omit|exclude|nicht|keine?n?|ohne|pas|sans|"
    r"sin|sem|não|non|senza|niet|geen|zonder|nie|bez|inte|utan|не|без|if|wenn|falls|si|если)\b"
    r"|不要|不提|忽略|如果|もし",
    re.IGNORECASE,
)
"""Stands before it in the same sentence. A text that there may be is quoted in a caption."""


@lru_cache(maxsize=64)
def transcribes(prompt: str) -> bool:
    """Return whether a prompt asks for the text in the picture, alone or with a caption."""
    return any(map(_asks, _SENTENCE.findall(_OWN.sub(" ", prompt))))


def _asks(sentence: str) -> bool:
    asked = _ASKED.search(sentence)
    return asked is not None and not _FORBIDDEN.search(sentence[: asked.start()])
