"""How much of a machine an engine on its CPU takes."""

import pytest
from captiv_worker.engines.runtime import threads
from captiv_worker.settings import parse


@pytest.mark.parametrize(
    ("cores", "shares", "each"),
    [(8, 1, 7), (8, 3, 2), (16, 4, 3), (2, 3, 1), (1, 1, 1)],
)
def test_engines_share_the_cores_and_leave_one(cores: int, shares: int, each: int) -> None:
    assert threads(cores, shares) == each


def test_a_worker_is_told_how_many_share_the_machine() -> None:
    assert parse(["--shares", "3"], {"CAPTIV_WORKER_TOKEN": "t"}).shares == 3
    assert parse([], {"CAPTIV_WORKER_TOKEN": "t"}).shares == 1
