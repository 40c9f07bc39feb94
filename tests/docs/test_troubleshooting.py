"""docs/troubleshooting.md has every code that a person can meet, with its exit code."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import captiv
from captiv.errors import CaptivError, error_class
from captiv.gui import refusal
from captiv.images.find import FOLDER_UNREADABLE

from .pages import DOCS

PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


for _module in walk_packages(captiv.__path__, "captiv."):
    if not _module.name.endswith("__main__"):
        import_module(_module.name)  # what they derive from CaptivError is found below


def _code(cls: type[CaptivError]) -> str:
    return cls.code


def errors(cls: type[CaptivError] = CaptivError) -> Iterator[type[CaptivError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__.startswith("captiv."):
            yield from errors(child)


def _literals() -> Iterator[str]:
    """Yield the codes that the page answers with and no class carries."""
    for file in Path(captiv.__path__[0], "gui").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "problem":
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    yield str(code.value)
                elif isinstance(code, ast.JoinedStr):
                    assert ast.unparse(code) == "f'refused_{why}'", "unknown to this test"
                    yield from (f"refused_{why}" for why in refusal._WORDS)


def plain_codes() -> set[str]:
    """Return the codes that are no class of `errors`: there is nothing to raise."""
    return {FOLDER_UNREADABLE, *_literals()}


def rows() -> dict[str, list[str]]:
    lines = (line for line in PAGE.splitlines() if line.startswith("| `"))
    cells = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    return {name: row for row in cells for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize("code", sorted({_code(cls) for cls in errors()}))
def test_every_code_has_an_entry_that_says_what_to_do(code: str) -> None:
    row, cls = rows()[code], error_class(code)

    assert len(row) == 4, row
    assert cls is not None and row[1] == str(cls.exit_code)
    assert all(row)


def test_every_code_of_the_wire_has_an_entry() -> None:
    wire = (DOCS / "wire-protocol.md").read_text(encoding="utf-8")
    problems = wire.partition("## Problems")[2].partition("\n## ")[0]
    codes = {
        code
        for line in problems.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }

    assert {"key_reused", "internal"} <= codes
    assert codes <= set(rows())


@pytest.mark.parametrize("code", sorted(plain_codes()))
def test_every_code_without_a_class_has_an_entry_too(code: str) -> None:
    row = rows()[code]

    assert len(row) == 4, row
    assert all(row)


def test_no_entry_is_for_a_code_that_does_not_exist() -> None:
    known = {cls.code for cls in errors()}
    workers = {"key_reused", "not_found", "method_not_allowed", "guard_refused", "internal"}

    assert set(rows()) == known | workers | plain_codes()
