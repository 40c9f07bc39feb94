"""A seed draws the same for an image, whatever its batch: BLIP, float32, on a CPU."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from captiv_worker.engines import Answer, Engine, EngineItem
from captiv_worker.engines.sampling import RowNoise, row_keys
from PIL import Image

from captiv.testing.scenes import scenes
from captiv.wire import Generation

from .test_prefix import loaded

SAMPLED = Generation(max_new_tokens=12, temperature=1.5, top_p=0.95, top_k=50, seed=5)


@pytest.fixture(scope="module")
def engine(tiny_blip: Path) -> Engine:
    return loaded(tiny_blip)


def pictures(count: int, seed: int = 3) -> list[Image.Image]:
    return [picture for _, picture in scenes(seed, count, size_px=64)]


def told(
    engine: Engine, images: Sequence[Image.Image], generation: Generation = SAMPLED
) -> list[str]:
    outcomes = engine.caption([EngineItem(image, None, generation) for image in images])
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Answer)]


@pytest.mark.parametrize("beams", [1, 3])
def test_an_image_gets_the_same_alone_in_a_batch_reversed_and_beside_others(
    engine: Engine, beams: int
) -> None:
    generation = SAMPLED.model_copy(update={"num_beams": beams})
    five, others = pictures(5), pictures(4, seed=8)

    alone = [told(engine, [image], generation)[0] for image in five]

    assert told(engine, five, generation) == alone
    assert told(engine, five[::-1], generation) == alone[::-1]
    assert told(engine, [*others[:2], five[3], *others[2:]], generation)[2] == alone[3]
    assert len(set(alone)) > 1


def test_a_greedy_batch_in_between_changes_nothing(engine: Engine) -> None:
    five = pictures(5)
    greedy = Generation(max_new_tokens=12, temperature=0.0)
    before = told(engine, five, greedy)

    first = told(engine, five)
    between = told(engine, five, greedy)
    again = told(engine, five)

    assert first == again
    assert before == between != first


def test_another_seed_draws_something_else(engine: Engine) -> None:
    five = pictures(5)

    assert told(engine, five) != told(engine, five, SAMPLED.model_copy(update={"seed": 6}))


def test_what_is_drawn_from_one_token_is_greedy(engine: Engine) -> None:
    five = pictures(5)
    one = SAMPLED.model_copy(update={"top_k": 1, "top_p": None})

    assert told(engine, five, one) == told(
        engine, five, Generation(max_new_tokens=12, temperature=0.0)
    )


def test_a_key_is_of_the_picture_and_the_seed_alone() -> None:
    one, two = pictures(2)
    items = [EngineItem(one, None, SAMPLED), EngineItem(two, "a photo of", SAMPLED)]

    assert row_keys(items, 5) == (row_keys(items[:1], 5)[0], row_keys(items[1:], 5)[0])
    assert len({*row_keys(items, 5), *row_keys(items, 6)}) == 4
    assert row_keys([EngineItem(two, None, SAMPLED)], 5)[0] == row_keys(items, 5)[1]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    import torch

    likely = torch.tensor([0.5, 0.3, 0.15, 0.04, 0.01, 0.0])
    rows = 20_000
    scores = likely.log().expand(rows, -1)
    noise = RowNoise(row_keys_of(rows))

    for _ in range(3):  # each step draws anew
        drawn = Counter(noise(None, scores).argmax(-1).tolist())

        assert drawn[5] == 0
        for token, share in enumerate(likely.tolist()):
            deviation = (share * (1 - share) / rows) ** 0.5
            assert abs(drawn[token] / rows - share) <= 4 * deviation, (token, drawn)


def test_no_two_steps_or_rows_have_the_same_noise() -> None:
    import torch

    noise = RowNoise(row_keys_of(50))
    flat = torch.zeros(50, 200)

    drawn = torch.stack([noise(None, flat) for _ in range(4)]).reshape(200, 200)

    assert torch.isfinite(drawn).all()
    assert (torch.corrcoef(drawn) - torch.eye(200)).abs().max() < 0.4


def row_keys_of(count: int) -> tuple[int, ...]:
    blank = Image.new("RGB", (1, 1))
    return tuple(row_keys([EngineItem(blank, None, SAMPLED)], seed)[0] for seed in range(count))
