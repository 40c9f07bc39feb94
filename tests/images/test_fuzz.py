"""However an image is damaged: it is shown or refused in words, soon, and within a gigabyte."""

from pathlib import Path

import pytest

from captiv.images.kinds import DECODERS
from captiv.images.prepare import decode

pytest.importorskip("resource", reason="its limits are those of POSIX")

from .fuzz.mutants import mutant
from .fuzz.seeds import Seed, seeds
from .fuzz.trial import GOOD, Ending, Limits
from .fuzz.trials import Draw, kept, tried


def findings(draw: Draw, folder: Path) -> list[str]:
    """Return what is wrong with any mutant of a draw, and where each of these is kept."""
    trials = tried(draw)
    assert sorted(trial.number for trial in trials) == list(range(draw.count))
    assert {trial.kind for trial in trials} == set(DECODERS)
    assert {trial.kind for trial in trials if trial.ending is Ending.SHOWN} == set(DECODERS)
    bad = [trial for trial in trials if trial.ending not in GOOD]
    return [f"{kept(trial, draw, folder)}: {trial.ending}: {trial.words}" for trial in bad]


def test_a_sample_of_damaged_images(tmp_path: Path) -> None:
    assert findings(Draw("sample", 200, processes=1), tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_thousand_damaged_images(tmp_path: Path) -> None:
    assert findings(Draw("slow", 3_000, processes=1), tmp_path) == []


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_two_hundred_thousand_damaged_images(tmp_path: Path) -> None:
    assert findings(Draw("0", 200_000), tmp_path) == []


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: seed.name)
def test_what_is_mutated_is_whole(seed: Seed) -> None:
    assert decode(seed.data).mode == "RGB"


def test_a_number_stands_for_the_same_mutant_always() -> None:
    whole = seeds()
    some = [mutant(number, whole, "a").data for number in range(20)]
    assert [mutant(number, whole, "a").data for number in range(20)] == some
    assert [mutant(number, whole, "b").data for number in range(20)] != some


@pytest.mark.parametrize(
    ("limits", "endings"),
    [
        (Limits(cpu_s=0), {Ending.SLOW}),
        (Limits(memory_mb=20), {Ending.MEMORY, Ending.CRASH}),
    ],
)
def test_whatever_takes_too_much_is_found(
    limits: Limits, endings: set[Ending], tmp_path: Path
) -> None:
    draw = Draw("a", 3, processes=1, limits=limits)
    trials = tried(draw)
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert {trial.ending for trial in trials} <= endings
    path = kept(trials[1], draw, tmp_path)
    assert path.read_bytes() == mutant(1, seeds(), "a").data
