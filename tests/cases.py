"""Which of a test's cases continuous integration tries."""

from typing import Any

import pytest


def sampled(*cases: Any, keep: int = 1) -> list[Any]:
    """Return all cases, of which `--slow` tries the first `keep` and `--chaos` the others.

    For tests of several seconds a case whose other cases go the same way in another word.
    """
    return [*cases[:keep], *(_by_hand(case) for case in cases[keep:])]


def _by_hand(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.chaos)
