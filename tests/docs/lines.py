"""The command lines that the documents tell a reader to type."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .pages import PAGES, blocks

_SHELL = ("sh", "bash", "shell")


@dataclass(frozen=True, slots=True)
class Line:
    """One command line, its continuations joined, without its comment."""

    page: Path
    number: int
    text: str

    @property
    def words(self) -> list[str]:
        """What the shell would pass on, redirections left out."""
        words = shlex.split(self.text)
        for mark in ("<", ">", "|", "&&", "2>&1"):
            if mark in words:
                words = words[: words.index(mark)]
        return words

    @property
    def program(self) -> str:
        """What is run: `captiv`, `curl`, `scripts/demo`, `export`…"""
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.number}: {self.text}"


def lines() -> Iterator[Line]:
    """Yield every command line of the documents."""
    for page in PAGES:
        for block in blocks(page):
            if block.language in _SHELL:
                yield from _of(page, block.text, block.line)
            elif block.language == "console":
                typed = ((n, t[2:]) for n, t in _numbered(block.text, block.line) if t[:2] == "$ ")
                yield from (Line(page, number, text) for number, text in typed)


def _of(page: Path, text: str, first: int) -> Iterator[Line]:
    whole, began = "", first
    for number, line in _numbered(text, first):
        began = began if whole else number
        whole += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        bare = re.sub(r"(^|\s)#\s.*$", "", whole).strip()
        bare = re.sub(r"\s+", " ", bare) if "'" not in bare else bare
        if bare:
            yield Line(page, began, bare)
        whole = ""


def _numbered(text: str, first: int) -> Iterator[tuple[int, str]]:
    yield from enumerate(text.splitlines(), first)
