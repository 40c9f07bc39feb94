"""What somebody with a clone does first: run the demo, on a machine that has nothing.

tests/release has those who install what is published.
"""

import re
from pathlib import Path

import pytest

from tests.wheels import REPOSITORY, checked, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_demo_of_a_clean_clone_reads_its_pictures(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    checked(["git", "clone", "--quiet", str(REPOSITORY), "clone"], tmp_path, env)

    shown = checked(["scripts/demo", str(tmp_path / "demo")], tmp_path / "clone", env)

    score = re.search(r"(\d+) of (\d+) captions are exact", shown)
    assert score is not None, shown
    right, of = map(int, score.groups())
    assert of >= 12
    assert right / of >= 0.95
    names = sorted(p.name for p in (tmp_path / "demo" / "pictures").glob("*.png"))
    assert all(name in shown for name in names)
    frozen = checked(["clone/.venv/bin/python", "-m", "pip", "freeze"], tmp_path, env)
    assert "nvidia-" not in frozen, "a demo fetched gigabytes of CUDA"
