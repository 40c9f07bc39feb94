"""Pages that are made from the code say what the code says now."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.reference import PAGES, commands, man_page
from scripts.reference import main as write_reference


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_what_the_code_says(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run scripts/reference.py"


def test_a_page_that_is_out_of_date_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Path(write_reference.__code__.co_filename).parents[1] / "docs" / "captiv.1"
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    monkeypatch.setitem(PAGES, old, lambda: "something else")

    assert write_reference() == 1
    assert capsys.readouterr().out == "docs/captiv.1\n"


def test_every_command_is_there_with_its_options() -> None:
    pages = {page.path: page for page in commands()}

    assert {"captiv caption generate", "captiv runpod sweep", "captiv doctor"} <= set(pages)
    assert all(page.help for page in pages.values())
    names = {name for p in pages["captiv caption generate"].parameters for name in p.opts}
    assert {"--model", "--runpod", "--max-cost"} <= names


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_one() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww"],
        input=man_page(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert re.search(r"captiv - captions for folders", re.sub(r".\x08", "", done.stdout))
