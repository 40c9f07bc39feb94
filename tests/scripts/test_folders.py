"""The folder bench: that it has the folders that it says, and that batches reach their goal."""

import pytest
from folders import QWEN25_VL, Buckets, Device, Exact, captioned, folders, tokens_of

GOAL = 0.8
"""Of the mean batch, over what the memory allows."""


@pytest.mark.parametrize("folder", ["phone", "COCO-like", "web-like", "drawn"])
def test_batches_reach_most_of_what_the_memory_allows(folder: str) -> None:
    tokens = tokens_of(folders(1)[folder])

    found = captioned(tokens, Buckets(), seed=1)

    assert found.share >= GOAL
    assert found.refused <= 8
    assert found.filled <= 0.3


def test_with_room_for_the_largest_batches_web_like_folders_reach_it_too() -> None:
    assert Device(2).allows(1280) >= 126

    found = captioned(tokens_of(folders(2)["web-like"], QWEN25_VL), Buckets(), seed=2)

    assert found.share >= GOAL
    assert found.batch > 100


def test_the_rule_of_before_captions_the_web_one_by_one() -> None:
    found = captioned(tokens_of(folders(1)["web-like"]), Exact(), seed=1)

    assert found.batch == pytest.approx(1.2, abs=0.05)
    assert found.alone > 0.8


def test_the_folders_are_those_that_the_figures_are_of() -> None:
    made = folders(seed=1)

    counts = {name: len(set(tokens_of(sizes))) for name, sizes in made.items()}
    assert (counts["phone"], counts["COCO-like"]) == (2, 15)
    assert counts["web-like"] > 350
    assert made["web-like"] == folders(seed=2)["web-like"]
    assert made["drawn"] != folders(seed=2)["drawn"]
    assert min(min(size) for size in made["web-like"]) >= 64
