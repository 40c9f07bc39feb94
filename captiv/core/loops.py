"""Finds the loop that an answer ends in, or got lost in. Pure.

A model that loops repeats a stretch of text exactly, until its limit, often cut within a round. The
reversed text then begins with itself, shifted by the length of a round: the Z-function tells for
every length of a round how far that goes, in one pass, whatever the script. How often a stretch
may be repeated depends on its length: five times `very` is a way of speaking, four times the same
long sentence is none. What a picture shows repeated stands between quotation marks, and the
closing one ends the repetition; a model that loops does not get there.
"""

import math
import re

_WORD_ROUNDS = 7.4
"""Eight words, the last without its blank."""

_PHRASE_ROUNDS = 4.4
_SENTENCE_ROUNDS = 3.4
_SENTENCE_CHARS = 40
"""A round of so many characters is a sentence, or several."""

_DENSE_ROUNDS = 6.0
_DENSE_CHARS = 30
_DENSE_PHRASE = 12
"""Within one word, or in a script without blanks: `hahahaha` and seven-digit numbers are none.
From so many characters on it is a phrase."""

_MARKS = 24
"""Marks and emoji in a row, blanks between them not counted."""

_LONGEST = 800
"""Characters of the longest round that is looked for."""

_WITHIN_WORDS = 16
"""Longest round, in words, that is looked for where the answer went on after its loop."""
_WITHIN_ROUNDS = {1: 16, 2: 10, 3: 10}
_WITHIN_LONGER = 6
_WITHIN_QUOTED = 10
"""Rounds there, by their words. What a picture shows may be quoted more often."""

_COUNTED_ROUNDS = 12.0
_COUNTED_WORDS = 4
"""Rounds that differ in their numbers only: a list, or a timetable, has fewer or shorter ones."""

_NUMBERS = re.compile(
    r"\d+|\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)-?)?"
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second|third|fourth|"
    r"fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|"
    r"sixteenth|seventeenth|eighteenth|nineteenth|next)\b"
)

_VARIED_WORDS = 80
_VARIED_SHARE = 0.25
"""Of the runs of three words in a text of so many words, at least so many are different ones: in
the frozen sets (tests/core/answer_set) captions have 0.4 and more."""

_ITEMS = 40
_ITEMS_SHARE = 0.35
"""The same of the items of a list."""

_SENTENCES = 20
_SENTENCES_SHARE = 0.3
"""The same of sentences; half the lines of a song may be its refrain."""

_BETWEEN = re.compile(r"[,;\n。、，]|(?<=[.!?]) ")  # noqa: RUF001
_QUOTED = re.compile(r"[\"“][^\"“”]*[\"”]")
_ENDS = re.compile(r"[\n。！]|(?<=[.!?]) ")  # noqa: RUF001

_CLOSING = " .,;:!?…。、，！？।-–—/*"  # noqa: RUF001


_BRIEF_WORDS = 80
"""Words of an answer in which also a few rounds are a loop; a longer one may have a refrain."""
_BRIEF_ROUNDS = {1: 5.5, 2: 3.8, 3: 3.3, 4: 2.9, 5: 2.9}
_BRIEF_LONGER = 2.6
"""Rounds there, by their words, where the answer ends with them and ended by itself."""
_BRIEF_LISTED = 4.0
"""The same where there is a comma in a round: of what stands in a row some things are alike."""
_BRIEF_CHARS = {1: 4, 2: 13, 3: 12}
"""Characters that a round has at least: `ha ha` and `red, blue` are ways of writing."""
_ITEM_WORDS = 3
"""An item has no more: stripes, tiles and beads take turns, in a list of such items."""
_BRIEF_DENSE = ((2, 5.5), (6, 2.9))
"""Characters and rounds in a script without blanks."""
_BRIEF_WORD = re.compile(
    r"(?<!\w)([^\W\d_]{6,})(?: \1){4}(?!\w)|(?<!\w)([^\W\d_]{5})(?: \2){5}(?!\w)"
)
"""A long word five times in a row, or one of five letters six times, wherever."""
_SOUND = re.compile(r"\b(?:sing|say|go|goe|crie|shout|read|spell|chant|call|bark|ring)s? $")
"""What is said before sounds and words that a picture shows; an adverb is repeated for effect."""
_DENSE_SCRIPT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def loop_in(text: str) -> str | None:
    """Return what is repeated without end, or None."""
    plain = " ".join(text.casefold().split())
    bare = plain.rstrip(_CLOSING)
    return (
        _at_end(plain)
        or _at_end(bare)
        or _counting(bare)
        or _within(_words(plain), _WITHIN_QUOTED)
        or _within(_words(_QUOTED.sub(" ", plain)), _WITHIN_LONGER)
        or _in_circles(text.casefold())
    )


def brief_loop_in(text: str) -> str | None:
    """Return what an answer that ended by itself repeats a few times at its end, or None.

    Not for an answer that is still being written: the next word may end the repetition.
    """
    plain = " ".join(text.casefold().split())
    if len(_words(plain)) > _BRIEF_WORDS:
        return None
    own = _QUOTED.sub(" ", plain)
    for run in _BRIEF_WORD.finditer(own):
        word = run.group().partition(" ")[0]
        if not word.endswith("ly") and not _SOUND.search(own[: run.start()]):
            return word
    return _briefly_at_end(plain.rstrip(_CLOSING))


def _briefly_at_end(text: str) -> str | None:
    back = text[::-1]
    for length, more in enumerate(_matches(back), start=1):
        rounds = (length + more) / length
        if rounds < _BRIEF_LONGER:
            continue  # the rest takes far longer, and a caption has hundreds of lengths
        piece = text[-length:]
        if any(character.isalnum() for character in piece) and rounds >= _few(piece):
            return _turned(piece)
    return None


def _few(piece: str) -> float:
    """Return from how many rounds on this one is a loop at the end of a brief answer."""
    bare = piece.strip(_CLOSING)
    if _DENSE_SCRIPT.search(piece):
        return min((n for chars, n in _BRIEF_DENSE if len(bare) >= chars), default=math.inf)
    words = len(_words(piece))
    if " " not in piece or _width(bare) < _BRIEF_CHARS.get(words, 0):
        return math.inf
    if "," in bare and all(item.count(" ") < _ITEM_WORDS for item in bare.split(", ")):
        return math.inf
    rounds = _BRIEF_ROUNDS.get(words, _BRIEF_LONGER)
    return max(rounds, _BRIEF_LISTED) if "," in piece else rounds


def _width(text: str) -> int:
    """Return how many letters of the Latin alphabet this is as much as: a syllable has two."""
    return len(text) + sum("\uac00" <= character <= "\ud7af" for character in text)


def _at_end(text: str) -> str | None:
    """Find the shortest round that the text ends in too many of."""
    back = text[::-1]
    for length, more in enumerate(_matches(back[: 40 * _LONGEST]), start=1):
        rounds = (length + more) / length
        if length > _LONGEST:
            return None
        if rounds >= _SENTENCE_ROUNDS and _too_many(text[-length:], rounds):
            return _turned(text[-length:])
    return None


def _matches(text: str) -> list[int]:
    """Return, for each shift from 1 on, how many characters the text has in common with itself.

    The Z-function: https://cp-algorithms.com/string/z-function.html.
    """
    size = len(text)
    found = [0] * size
    left = right = 0
    for at in range(1, size):
        same = min(right - at, found[at - left]) if at < right else 0
        while at + same < size and text[same] == text[at + same]:
            same += 1
        if at + same > right:
            left, right = at, at + same
        found[at] = same
    return found[1:]


def _turned(piece: str) -> str:
    """Return a round from the beginning of a word on; the limit may have cut it anywhere."""
    before, blank, after = piece.partition(" ")
    return (after + blank + before if blank else piece).strip()


def _too_many(piece: str, rounds: float) -> bool:
    marks = len(piece.replace(" ", ""))
    if not any(character.isalnum() for character in piece):
        return marks * rounds >= _MARKS
    if " " not in piece:
        if marks >= _DENSE_PHRASE:
            return rounds >= _PHRASE_ROUNDS
        return rounds >= _DENSE_ROUNDS and marks * rounds >= _DENSE_CHARS
    if len(piece) >= _SENTENCE_CHARS:
        return True
    words = len(_words(piece))
    return rounds >= (_WORD_ROUNDS if words == 1 else _PHRASE_ROUNDS)


def _counting(text: str) -> str | None:
    """Find a loop whose rounds differ in a number only."""
    levelled = _NUMBERS.sub("0", text)
    if levelled == text:
        return None
    back = levelled[::-1]
    for length, more in enumerate(_matches(back[: 40 * _LONGEST]), start=1):
        piece = levelled[-length:]
        enough = (length + more) / length >= _COUNTED_ROUNDS
        if enough and len(re.findall(r"[^\W\d]{2,}", piece)) >= _COUNTED_WORDS:
            return _turned(piece)
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _within(words: list[str], rounds: int) -> str | None:
    """Find a loop that the answer left again; `rounds` of more than three words are one."""
    for length in range(1, min(_WITHIN_WORDS, len(words) // rounds) + 1):
        needed = length * _WITHIN_ROUNDS.get(length, rounds)
        run = length
        for at in range(length, len(words)):
            run = run + 1 if words[at] == words[at - length] else length
            if run >= needed:
                return " ".join(words[at - length + 1 : at + 1])
    return None


def _in_circles(text: str) -> str | None:
    """Find an answer that goes round and round, at least at its end, without an exact round."""
    items = [item for item in map(str.strip, _BETWEEN.split(text)) if item]
    sentences = [item for item in map(str.strip, _ENDS.split(text)) if item.count(" ") >= 3]
    words = text.split()[-_VARIED_WORDS:]
    threes = [" ".join(words[at : at + 3]) for at in range(len(words) - 2)]
    return (
        _commonest(items, _ITEMS, _ITEMS_SHARE)
        or _commonest(sentences, _SENTENCES, _SENTENCES_SHARE)
        or _commonest(threes, _VARIED_WORDS - 2, _VARIED_SHARE)
    )


def _commonest(parts: list[str], last: int, share: float) -> str | None:
    """Return the most frequent of the last parts, if too few of them are different ones."""
    parts = parts[-last:]
    if len(parts) < last or len(set(parts)) >= share * last:
        return None
    return max(parts, key=parts.count)
