"""Nothing wrong on disk and no false exit code, whatever happens at the edges of a run."""

import json
import random
from pathlib import Path

import pytest

from tests.chaos.edges import FAULTS, Edges, Fault, confused
from tests.chaos.test_storms import undisturbed
from tests.support import until

pytestmark = pytest.mark.timeout(3600)

PICTURES = 120
HANGS = ("worker hangs", "worker stopped")


def weathered(folder: Path, seed: int, faults: list[Fault]) -> list[Fault]:
    """Let a storm blow, finish the run, and look what it left; return the faults that struck."""
    home, expected = undisturbed(folder, PICTURES, seed, scripted=True)
    hold = home.folder / "hold"
    home.env["CAPTIV_ENGINE_OPTIONS"] = json.dumps({"batch_s": 0.15, "hold": str(hold)})
    home.env |= {
        "CAPTIV_WORKER_SILENCE_WARNING": "1",
        "CAPTIV_WORKER_SILENCE_LIMIT": "4",
        "CAPTIV_WORKER_FIRST_CAPTION": "6",
        "CAPTIV_WORKER_DRAIN_LIMIT": "10",
    }
    with confused(home) as other:
        storm = Edges(home, expected, seed, hold, other)
        storm.blow(faults)

        if storm.last(gone=bool(seed % 2)) != 0:  # a picture that two hangs met, each time alone
            assert storm.failures() == {"image_crashes"}
            assert sum(fault in HANGS for fault in storm.struck) >= 2
            assert storm.last("--retry-failed") == 0
    assert home.captions() == expected
    assert storm.paid_twice == []
    assert storm.lies == []
    until(lambda: not home.workers(), "every worker ended")
    assert not list(home.pictures.rglob(".captiv-*")), "a temporary file is left"
    return storm.struck


@pytest.mark.slow
def test_a_sample_of_the_faults_at_the_edges(tmp_path: Path) -> None:
    assert weathered(tmp_path / "storm", 1, list(FAULTS)) == list(FAULTS)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(2, 12))
def test_thirty_faults_at_the_edges(tmp_path: Path, seed: int) -> None:
    left, storms = random.Random(seed).choices(FAULTS, k=30), 0
    while left:
        struck = weathered(tmp_path / f"storm-{storms}", seed * 100 + storms, left)
        left, storms = left[len(struck) :], storms + 1
