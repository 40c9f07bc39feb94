"""Leaves out what is quoted: the picture's own text, and none of the model's. Pure."""

import re


def without(quoted: re.Pattern[str], closing: str, text: str) -> str:
    """Return a text with an ellipsis for each quotation; takes time in proportion to the text.

    Args:
        quoted: matches a quotation, which ends with one of `closing` and has none within.
        closing: marks that end one.
        text: where marks that nothing closes would have the pattern look to its end for each.
    """
    end = 1 + max(map(text.rfind, closing))
    return quoted.sub(" … ", text[:end]) + text[end:]
