"""A test that failed in CI is run once more, if a machine that stalls may be the reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "again.py"
BARE = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist"}
"""Without the plugins that captiv's own tests need, pytest starts in a fifth of the time."""
FAILS_ONCE = """
from pathlib import Path

def test_it():
    mark = Path(__file__).with_suffix(".ran")
    ran = mark.exists()
    mark.touch()
    assert ran
"""


def project(folder: Path, where: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run a test to its failure, and then the script; return what that said."""
    file = folder / where / "test_one.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    first = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests"], cwd=folder, env=BARE)
    assert first.returncode == 1
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        cwd=folder,
        env=BARE,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("where", ["tests/end_to_end", "tests/gui/browser", "tests/chaos"])
def test_one_that_passes_the_second_time_is_counted_last(tmp_path: Path, where: str) -> None:
    again = project(tmp_path, where, FAILS_ONCE)

    assert again.returncode == 0, again.stdout
    assert again.stdout.splitlines()[-1] == f"Reruns: 1 ({where}/test_one.py::test_it)"


@pytest.mark.slow
def test_one_that_fails_twice_fails(tmp_path: Path) -> None:
    again = project(tmp_path, "tests/chaos", "def test_it(): assert False\n")

    assert again.returncode == 1
    assert "Reruns: 1" in again.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_test_of_another_kind_has_no_second_chance(tmp_path: Path) -> None:
    again = project(tmp_path, "tests/core", FAILS_ONCE)

    assert again.returncode == 1
    assert "No second chance" in again.stdout
