"""What a bulk edit makes of a caption: text in, text out.

A caption's surrounding blanks (an editor's final newline) stay as they are; what is between them is
changed, in this order: find and replace, prefix, suffix, trigger word. Prefix, suffix and trigger
word are put where they are missing, so that the same edit over a folder that has grown changes only
what is new.
"""

import re
from dataclasses import dataclass

from captiv.errors import UsageError

_JOINT = ", "
"""Between a trigger word and the caption, as trainers write tags."""


@dataclass(frozen=True, slots=True)
class BulkEdit:
    """One change that is made to many captions."""

    find: str | None = None
    replace: str = ""
    regex: bool = False
    """`find` is a regular expression, and `replace` may name its groups: `\\1`, `\\g<name>`."""
    ignore_case: bool = False
    whole_words: bool = False
    prefix: str = ""
    suffix: str = ""
    trigger_word: str = ""
    """Stands first, with a comma behind it, in captions that do not have it as a word."""

    def checked(self) -> "BulkEdit":
        """Return this edit if it can be made.

        Raises:
            UsageError: it changes nothing, or its regular expression is wrong.
        """
        if self.find == "":
            raise UsageError("There is no text to find.", hint="Give one character at least.")
        if self.find is None and not (self.prefix or self.suffix or self.trigger_word.strip()):
            raise UsageError(
                "This changes nothing.", hint="Give --find, --prefix, --suffix or --trigger-word."
            )
        if self.find is not None:
            _compiled(self)
            self.of("")
        return self

    def of(self, text: str) -> str:
        """Return what becomes of this caption.

        Raises:
            UsageError: the replacement names a group that the expression does not have.
        """
        start, body, end = _parts(text)
        word = self.trigger_word.strip()
        lead, body = _led(self._replaced(body), f"{word}{_JOINT}" if word else "")
        if self.prefix and not body.startswith(self.prefix):
            body = self.prefix + body
        if self.suffix and not body.endswith(self.suffix):
            body += self.suffix
        return start + self._triggered(lead + body) + end

    def in_words(self) -> str:
        """Say what this edit does, in a line."""
        added = (("prefix", self.prefix), ("suffix", self.suffix))
        parts = [f"{what} {text!r}" for what, text in added if text]
        if self.find is not None:
            parts.insert(0, f"{self.find!r} to {self.replace!r}")
        if self.trigger_word.strip():
            parts.append(f"trigger word {self.trigger_word.strip()!r}")
        return ", ".join(parts)

    def _replaced(self, body: str) -> str:
        if self.find is None:
            return body
        pattern = _compiled(self)
        try:
            return pattern.sub(self.replace if self.regex else lambda _: self.replace, body)
        except (re.error, IndexError) as error:
            raise UsageError(f"The replacement {self.replace!r} is wrong: {error}.") from error

    def _triggered(self, body: str) -> str:
        word = self.trigger_word.strip()
        if not word or re.search(_whole(re.escape(word)), body):
            return body
        return f"{word}{_JOINT}{body}" if body else word


def _parts(text: str) -> tuple[str, str, str]:
    body = text.strip()
    start = text[: len(text) - len(text.lstrip())]
    return (start, body, text[len(start) + len(body) :]) if body else ("", "", text)


def _led(body: str, lead: str) -> tuple[str, str]:
    """Split off a trigger word that stands first already: a prefix comes behind it."""
    return (lead, body.removeprefix(lead)) if body.startswith(lead) else ("", body)


def _whole(pattern: str) -> str:
    return rf"(?<!\w)(?:{pattern})(?!\w)"


def _compiled(edit: BulkEdit) -> re.Pattern[str]:
    assert edit.find is not None
    pattern = edit.find if edit.regex else re.escape(edit.find)
    try:
        return re.compile(
            _whole(pattern) if edit.whole_words else pattern,
            re.IGNORECASE if edit.ignore_case else 0,
        )
    except re.error as error:
        raise UsageError(f"The expression {edit.find!r} is wrong: {error}.") from error
