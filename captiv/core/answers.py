"""Is this answer a caption? Pure: the text in, a reason or None out."""

_LOOP_REPEATS = 8
"""A phrase this often in a row, with nothing after it, is a loop; no sentence ends so."""

_LOOP_WORDS = 12
"""Longest phrase, in words, that is looked for."""

_LOOP_CHARACTERS = 24
"""Within one word (scripts without blanks have no others) a loop is at least so long."""


def fault_of(text: str) -> str | None:
    """Return why the answer is no caption, or None if it is one.

    Recognised: an answer without a letter or digit, and one that ends in the same phrase
    over and over, be its last repetition cut short by the longest length that was allowed.
    """
    if not any(character.isalnum() for character in text):
        return "the answer is empty"
    words = text.split()
    phrase = _loop_at_end(words) or _loop_within(words[-1]) or _loop_cut_short(words)
    if phrase is not None:
        return f"the answer repeats {phrase!r} without end"
    return None


def _loop_at_end(words: list[str]) -> str | None:
    for length in range(1, _LOOP_WORDS + 1):
        needed = length * _LOOP_REPEATS
        if len(words) < needed:
            return None
        tail = words[-needed:]
        phrase = tail[:length]
        if all(tail[i : i + length] == phrase for i in range(0, needed, length)):
            return " ".join(phrase)
    return None


def _loop_cut_short(words: list[str]) -> str | None:
    """Find a loop before the last word, if that word is how the next round would begin."""
    phrase = _loop_at_end(words[:-1])
    if phrase is None or not phrase.split()[0].startswith(words[-1]):
        return None
    return phrase


def _loop_within(word: str) -> str | None:
    for length in range(1, _LOOP_WORDS + 1):
        rounds = max(_LOOP_REPEATS, -(-_LOOP_CHARACTERS // length))
        phrase = word[-length:]
        if len(word) >= length * rounds and word.endswith(phrase * rounds):
            return phrase
    return None
