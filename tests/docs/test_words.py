"""The documents use the terms of docs/words.md, and none of the names that it rejects.

Only names in bold are looked for: they mean nothing else here. The others have an everyday use as
well, so that their absence is for a reviewer to judge.
"""

import re
from pathlib import Path

import pytest

from .pages import DOCS, PAGES, prose

WORDS = DOCS / "words.md"
_BOLD = re.compile(r"\*\*(.+?)\*\*")


def rows(heading: str) -> list[list[str]]:
    """Return the rows of every table whose last column has that heading."""
    found: list[list[str]] = []
    inside = False
    for line in WORDS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == heading:
            inside = True
        elif inside and set(line) - set("|- "):
            found.append(cells)
    return found


def rejected(heading: str) -> list[str]:
    """Return the bold names of a last column."""
    return [name.strip(".") for row in rows(heading) for name in _BOLD.findall(row[-1])]


def used(page: Path, names: list[str]) -> list[str]:
    """Return which of the names a page uses, wherever its lines break; code is left out."""
    text = re.sub(r"\s+", " ", prose(page))
    return [name for name in names if re.search(rf"\b{re.escape(name)}s?\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_calls_nothing_by_a_rejected_name(page: Path) -> None:
    if page != WORDS:
        assert used(page, rejected("not called")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_is_written_by_hand_has_none_of_the_rejected_phrases(page: Path) -> None:
    if page != WORDS and "Made from the code by" not in page.read_text(encoding="utf-8"):
        assert used(page, rejected("instead of")) == []


def test_no_term_is_rejected_elsewhere() -> None:
    terms = [term for row in rows("not called") for term in row[0].split(", ")]

    assert len(terms) == len(set(terms)) >= 40
    assert not set(terms) & set(rejected("not called"))
    assert len(rejected("not called")) >= 20
    assert len(rejected("instead of")) >= 5


def test_a_rejected_name_is_found_across_a_line_break_and_not_within_code(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Each caption\nfile, each Errand; `watchdog` is code.\n", encoding="utf-8")

    names = ["caption file", "errand", "watchdog", "gate"]

    assert used(page, names) == ["caption file", "errand"]
