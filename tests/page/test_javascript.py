"""Runs the tests of the page's JavaScript, which are Node's: `npm test` runs them alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent

node = pytest.mark.skipif(
    shutil.which("node") is None and os.environ.get("CAPTIV_NODE") != "required",
    reason="Node.js is not installed",
)


def run(*files: str, histories: int = 500) -> None:
    ended = subprocess.run(
        ["node", "--test", *(str(HERE / file) for file in files)],
        cwd=REPOSITORY,
        env=os.environ | {"CAPTIV_HISTORIES": str(histories)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
@node
@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.js")))
def test_what_the_editor_decides(file: str) -> None:
    run(file)


@node
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_letter_is_lost_in_ten_thousand_histories_of_each_kind() -> None:
    run("histories.test.js", histories=10_000)
