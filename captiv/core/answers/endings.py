"""Tells an answer that ends inside a sentence, although the model ended it itself. Pure.

Nothing that ends with a mark is looked at. Without one it is unfinished if its last word cannot be
the last of a sentence ("in front of a"), or a comma, a bracket or a quotation is left open. What is
a list of tags, or a title, ends as it likes; so do words that only mostly stand before another one
("made of"), unless the writer puts full stops elsewhere. Words are judged by the language of the
whole text: `an` ends German sentences.
"""

# ruff: noqa: RUF001 - letters and marks of other scripts look like Latin ones

import re
from typing import Final, NamedTuple

_OVER = re.compile(r"[.!?…。！？।؟:;)\]}>\"'”»’」』*_#~|/\d=+%&-]$|[^\w\s,、，([{“«„「『]$")
"""The last character ends something: a mark, a number, a picture character."""
_STOPS = re.compile(r"[.!?。！？](?=[\s\"'”»」』]|$|[\u3040-\u9fff])")
_BETWEEN_PARTS = "\n.!?。！？"
_ITEMS = re.compile(r"\s*[,\n，、;]\s*")
_ITEM_WORDS, _ITEM_CHARS = 4, 30
"""A tag has no more, mostly."""

_OPEN = re.compile(
    r"(?:[^\"]*(?<=\w)\"|[^”“\"]*[“„]|[^»]*«|[^」]*「|[^』]*『)(?:[\s:(]|\Z)"
    r"|[^()]*(?<=\w)\((?:\s|\Z)|[^）]*（"
)
"""A quotation or bracket that nothing closes, in the text read backwards: it is soon known so."""

_LABELS = re.compile(
    r"\b(?:letters?|vowel|vitamin|types?|class|grade|plan|note|group|option|part|section|figure|"
    r"panel|point|key|row|column|size|letra|vocal|vogal|lettre|lettera|buchstabe|vokal|numéro|"
    r"número|numero|nota|note)\W+\w+$",
    re.IGNORECASE,
)
"""A letter or word that is named and not used."""
_A_WHILE = re.compile(r"\b(?:a|little|long|short) while$")
"""No conjunction."""


_FREEING = re.compile(
    r"\b(?:to|that|which|what|who|whom|where|when|how|as|que|qui|quoi|quien|où|comme|che|cosa|dove|come|como|"
    r"donde|dónde|onde|cual|qual)\b",
    re.IGNORECASE,
)
"""Words after which a clause may end with a verb or a preposition: `the house that he lives in`."""


class _Language(NamedTuple):
    """Words of one language that stand before another word."""

    telling: str
    """Frequent ones by which the language is known."""
    always: str
    """They can't end a sentence."""
    mostly: str = ""
    """They seldom do."""
    verbs: str = ""
    """They do in a clause that depends on another one."""


_LANGUAGES: Final = {
    "English": _Language(
        "the a an and of with in on is are it its to at that this there his her",
        "the a an and or nor their your our my whose while because unless although",
        "of with from into for by at as have its his which who than "
        "between but behind beside beneath where when featuring including wearing holding",
        "is are was were has",
    ),
    "German": _Language(
        "der die das den dem ein eine einen einem einer und ist sind auf mit im zu von",
        "der die das den dem des eine einen einem einer eines und oder sondern weil dass "
        "sowie im am zum zur vom beim ins dessen deren ihre ihren ihrem seine seinen seinem für "
        "von während obwohl",
        "ein mit in auf an vor nach bei aus über unter ist sind hat wird wenn wie als einige "
        "mehrere",
    ),
    "French": _Language(
        "le la les un une des du de et est sont dans sur avec qui au aux en",
        "le les un une des du de et ou mais avec dans qui que dont au aux ses sa cette ces leurs "
        "car chez",
        "la sur pour par sous en son ce leur entre sans",
        "est sont",
    ),
    "Spanish": _Language(
        "el la los las un una de del y en con que se es al su muestra imagen",
        "el la los las un una unos unas y de del con en que su sus al cuyo cuya mientras muy",
        "por para sobre entre color o a",
        "es está son",
    ),
    "Portuguese": _Language(
        "o a os as um uma de do da em no na e com que imagem mostra é há",
        "os as um uma uns umas e de do da dos das com em no na nos nas que ao seu sua seus suas "
        "enquanto",
        "muito o a por para sobre entre cor à",
        "é está são",
    ),
    "Italian": _Language(
        "il lo la i gli le un una di del della e con in che è sono sul si vede",
        "il lo la i gli le un una e di del della dei delle con che dal alla nel nella sul sulla "
        "al da",
        "in su per tra suo sua",
        "sono è",
    ),
    "Dutch": _Language(
        "de het een en van met is op in zijn staat die dat er foto",
        "de een en of van die wiens terwijl te",
        "het met in op aan voor is zijn naar bij",
    ),
    "Polish": _Language(
        "w na z i się jest są która który do zdjęciu widać oraz",
        "i w z na do przed od oraz który która które ale że przez nad pod dla",
        "po za przy jest są a",
    ),
    "Swedish": _Language(
        "en ett och som på med är den det i bilden",
        "en ett och som eller",
        "med av i är vid",
    ),
    "Russian": _Language(
        "и в на с из под от за для который которая изображён фотографии стоит",
        "и в на с к из от у за под над для который которая которое которые но а при о об со во "
        "чтобы",
    ),
}
_SETS = {
    name: tuple(frozenset(words.split()) for words in language)
    for name, language in _LANGUAGES.items()
}

_DENSE_CUT = re.compile(
    r"(?:[\u3400-\u9fff\u30a0-\u30ff](?:の|と|を|が|は|や)"
    r"|(?<![其每之])一[个個只隻位盆张張条條座棵辆輛把件群些片]|正在|以及|[^平温柔祥]和"
    r"|(?:에는|에서는|하며|으며|이며|그리고))$"
)
"""Particles, counters and conjunctions of Japanese, Chinese and Korean, before the end."""


def unfinished(text: str) -> bool:
    """Return whether the answer breaks off inside a sentence."""
    said = text.rstrip()
    if _OPEN.match(said[::-1]):
        return not _OVER.search(said)
    if not said or _OVER.search(said):
        return False
    if said[-1] in ",、，":
        return not _is_list(said)
    if _DENSE_CUT.search(said):
        return True
    return _dangles(said)


def _is_list(text: str) -> bool:
    """Whether the text is a list of tags, and no sentence."""
    items = [item for item in _ITEMS.split(text) if item]
    short = [i for i in items if len(i.split()) <= _ITEM_WORDS and len(i) <= _ITEM_CHARS]
    sentence = _STOPS.search(text) or re.search(r"[\u3040-\u9fff]{7}", text)
    return not sentence and len(short) >= max(2, 0.8 * len(items))


def _dangles(text: str) -> bool:
    """Whether the last word is one before which another is missing."""
    last = text.split()[-1]
    if (len(last) == 1 and _LABELS.search(text)) or _A_WHILE.search(text):
        return False
    words = frozenset(re.findall(r"[^\W\d_]+", text.casefold()))
    known = {name: len(words & told) for name, (told, *_) in _SETS.items()}
    language = max(known, key=lambda name: known[name])
    if known[language] < 2:
        return False
    _, always, mostly, verbs = _SETS[language]
    part = text[1 + max(map(text.rfind, _BETWEEN_PARTS)) :]
    before = part.rpartition(last)[0]
    free = _FREEING.search(before) is not None
    if last in always or (last in verbs and not free):
        return True
    return last in mostly and not free and _STOPS.search(text) is not None
