"""No caption lost, none paid for twice, whatever is killed when."""

import json
from pathlib import Path

import pytest

from tests.chaos.storm import Storm
from tests.support import Home, until

pytestmark = pytest.mark.timeout(1200)


def undisturbed(
    folder: Path, count: int, seed: int, *, scripted: bool
) -> tuple[Home, dict[str, str]]:
    """Return a fresh installation over the pictures, and what an undisturbed run makes of them."""
    calm, storm = Home(folder / "calm"), Home(folder / "storm")
    for home in (calm, storm):
        home.scenes(count, seed=seed)
        if scripted:
            home.scripted()
    ended = calm.generate()
    assert ended.code == 0, ended
    return storm, calm.captions()


def weathered(storm: Storm, expected: dict[str, str]) -> None:
    """Let the storm blow, finish the run, and look that nothing was lost and nothing paid twice."""
    home = storm.home
    storm.blow()
    last = home.generate(*storm.options)
    storm.look()

    assert last.code == 0, last
    assert home.captions() == expected
    assert storm.paid_twice == []
    until(lambda: not home.workers(), "every worker ended")
    assert not list(home.pictures.rglob(".captiv-*")), "a temporary file is left"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11])
def test_a_sample_of_the_storm_on_the_torch_free_engine(tmp_path: Path, seed: int) -> None:
    home, expected = undisturbed(tmp_path / "storm", 160, seed, scripted=True)
    home.env["CAPTIV_ENGINE_OPTIONS"] = json.dumps({"batch_s": 0.15})

    weathered(Storm(home, seed, 5, 5, ("--batch-size", "4")), expected)


@pytest.mark.slow
def test_a_sample_of_the_storm_on_the_real_model(tmp_path: Path) -> None:
    home, expected = undisturbed(tmp_path / "storm", 60, 5, scripted=False)

    weathered(Storm(home, 5, 2, 2, ("--batch-size", "2"), rhythm=8), expected)


@pytest.mark.chaos
def test_the_whole_storm_on_the_torch_free_engine(tmp_path: Path) -> None:
    home, expected = undisturbed(tmp_path / "storm", 400, 1, scripted=True)
    home.env["CAPTIV_ENGINE_OPTIONS"] = json.dumps({"batch_s": 0.15})

    weathered(Storm(home, 1, 25, 25, ("--batch-size", "4")), expected)


@pytest.mark.chaos
def test_ten_kills_of_the_storm_on_the_real_model(tmp_path: Path) -> None:
    home, expected = undisturbed(tmp_path / "storm", 400, 2, scripted=False)

    weathered(Storm(home, 2, 5, 5, ("--batch-size", "2"), rhythm=40), expected)
