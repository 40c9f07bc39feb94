"""The documents as tests read them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    language: str
    text: str
    line: int
    """Of its first line, counted from 1."""


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's fenced blocks."""
    inside: list[str] | None = None
    language, begins = "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```(\S*)", line)
        if fence is None:
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, language, begins = [], fence[1], number + 1
        else:
            yield Block(page, language, "\n".join(inside), begins)
            inside = None


def prose(page: Path) -> str:
    """Return a page without its fenced blocks and without code in a line."""
    text = re.sub(r"^\s*```.*?^\s*```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "", text)
