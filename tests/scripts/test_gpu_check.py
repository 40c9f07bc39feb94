"""scripts/gpu_check on a CPU, with small models only: no GPU has run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / "gpu_check"), "--device", "cpu", *options],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_compares_grows_and_measures() -> None:
    ended = run("--tiny")

    assert ended.returncode == 0, ended.stderr
    rows = [line.split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    found = {row[0]: row[1] for row in rows}
    assert found["| git-large"] == "5 of 5"
    figures = [row for row in rows if row[1].startswith("batch ")]
    assert [row[1] for row in figures] == [f"batch {n}, 4 tokens" for n in (1, 4, 16)]
    assert all(float(row[3]) > 0 for row in figures)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_without_time_it_begins_nothing_large_and_says_so() -> None:
    ended = run("--minutes", "0")

    assert ended.returncode == 0, ended.stderr
    assert "| joycaption-beta-one | no time was left |" in ended.stdout
    assert "| blip-large | no time was left |" in ended.stdout
