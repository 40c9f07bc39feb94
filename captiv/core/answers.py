"""Is this answer a caption? Pure: the text in, a reason or None out."""

_LOOP_REPEATS = 8
"""A phrase this often in a row, with nothing after it, is a loop; no sentence ends so."""

_LOOP_WORDS = 12
"""Longest phrase, in words, that is looked for."""


def fault_of(text: str) -> str | None:
    """Return why the answer is no caption, or None if it is one.

    Recognised: an answer without a letter or digit, and one that ends in the same phrase
    over and over.
    """
    if not any(character.isalnum() for character in text):
        return "the answer is empty"
    phrase = _loop_at_end(text.split())
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
