"""Tells an answer that only asks back. Pure.

Who asked for a question, a riddle, a title or a post may get one.
"""

# ruff: noqa: RUF001 - letters and marks of other scripts look like Latin ones

import re

_LONGEST = 300
"""Characters; who asks back does so briefly."""

_SENTENCE = re.compile(r"[^.!?…。！？\n]*[^\W_][^.!?…。！？\n]*([.!?…。！？]+|$)")
_QUOTED = re.compile(r"[\"“«„「『]")

_BEGINS = re.compile(
    r"(?:(?:and|so|but|now|also|und|et|y|e)\b,? )?(?:[¿]|"
    r"(?:in |on |at |de |di |à |von |aus |auf |in |w |z |o |na |в |на |о |с )?(?:"
    r"what|which|who|whose|whom|where|when|why|how|is|are|was|were|do|does|did|can|could|would|"
    r"will|shall|should|have|has|may|might|am"
    r"|was|wer|wie|wo|wann|warum|wozu|welche[nmrs]?|soll(?:en)?|möcht\w+|kann(?:st)?|können|darf|"
    r"haben|hast|ist|sind|gibt|woll?en|willst"
    r"|que|quoi|qui|quelle?s?|où|quand|pourquoi|comment|combien|voule[zs]|veux|souhaite[zs]|"
    r"pouve[zs]|est-ce|avez|puis-je|dois-je"
    r"|o que|qual|quais|quem|onde|quando|por que|como|quant[ao]s?|você|posso|gostaria|deseja"
    r"|cosa|che|chi|dove|perché|come|quanti|quante|quale|vuoi|vuole|desideri|c'è"
    r"|wat|wie|waar|wanneer|waarom|hoe|welke?|wilt?|mag|zal|kun(?:t|nen)"
    r"|co|kto|gdzie|kiedy|dlaczego|jak|jaki\w*|ile|czy"
    r"|vad|vem|var|när|varför|hur|vilke[nt]|vill"
    r"|что|кто|где|когда|почему|зачем|как|как(?:ой|ая|ое|ие|ого|ому|им)|сколько|чей|чем|хотите|"
    r"могу|нужно"
    r")\b)",
    re.IGNORECASE,
)
"""How questions begin, in the languages of `tongues` that use these scripts."""
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0600-\u06ff\u0e00-\u0e7f]")
"""Scripts whose questions are known by their mark alone."""

_WANTED = re.compile(
    r"\bquestions?\b|\bask\b|\bquiz|\briddle|\btitle\b|\bheadline|\bslogan|\bmeme\b|\bjoke"
    r"|\bsocial media\b|\bposts?\b|\btweet|\bquot"
    r"|\bfrage|\brätsel|\btitel|\bpregunta|\bacertijo|\btítulo|\bpergunta|\bdomanda|\btitre\b"
    r"|\bdevinette|вопрос|загадк|\bpytanie|\bvraag|問|質問|问题|問題|질문|문제",
    re.IGNORECASE,
)
"""Words of a prompt whose answer may be a question."""


def only_asks(text: str, prompt: str = "") -> bool:
    """Return whether the answer is one question or several, and none was asked for."""
    said = text.strip()
    if len(said) > _LONGEST or _QUOTED.search(said) or _WANTED.search(prompt):
        return False
    sentences = list(_SENTENCE.finditer(said))
    return bool(sentences) and all(map(_asks, sentences))


def _asks(sentence: re.Match[str]) -> bool:
    said = sentence.group().strip(" \n*_-")
    marked = sentence.group(1).strip()[-1:] in tuple("?？؟")
    return marked and (_BEGINS.match(said) is not None or _DENSE.search(said) is not None)
