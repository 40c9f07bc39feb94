"""What is asked of generate(), and the penalty that captiv adds to it."""

from pathlib import Path

import pytest
import torch
from captiv_worker.engines import Engine
from captiv_worker.engines.decoding import PresencePenalty, settings

from captiv.wire import Generation

from .test_prefix import loaded
from .test_sampling import pictures, told

PENALISED = Generation(max_new_tokens=12, num_beams=1, temperature=0.0, presence_penalty=2.0)


@pytest.fixture(scope="module")
def engine(tiny_blip: Path) -> Engine:
    return loaded(tiny_blip)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_a_rows_answer_has_is_less_likely_however_often_it_has_it(dtype: torch.dtype) -> None:
    scores = torch.zeros(2, 6, dtype=dtype)
    rows = torch.tensor([[5, 4, 1, 1, 1, 2], [0, 0, 3, 3, 4, 4]])

    lowered = PresencePenalty(1.5, echoed=2)(rows, scores)

    assert lowered.tolist() == [[0, -1.5, -1.5, 0, 0, 0], [0, 0, 0, -1.5, -1.5, 0]]
    assert lowered.dtype == dtype
    assert scores.abs().sum() == 0


def test_the_prompt_costs_nothing_and_nor_does_what_fills_it_up() -> None:
    scores = torch.zeros(1, 6)

    assert PresencePenalty(1.5, echoed=3)(torch.tensor([[0, 1, 2]]), scores).tolist() == [[0] * 6]


@pytest.mark.parametrize(
    "more",
    [{}, {"num_beams": 3}, {"temperature": 1.5, "seed": 5}],
    ids=["greedy", "beams", "sampled"],
)
def test_with_the_penalty_a_batch_gives_what_each_image_gets_alone(
    engine: Engine, more: dict[str, float]
) -> None:
    asked = PENALISED.model_copy(update=more)
    five = pictures(5)

    alone = [told(engine, [image], asked)[0] for image in five]

    assert told(engine, five, asked) == alone
    assert alone != told(engine, five, asked.model_copy(update={"presence_penalty": 0.0}))


def test_repeats_are_forbidden_and_allowed_again(engine: Engine) -> None:
    five = pictures(5)
    once = PENALISED.model_copy(update={"presence_penalty": 0.0, "no_repeat_ngram_size": 1})

    for text in told(engine, five, once):
        words = text.split()
        assert len(words) == len(set(words)), text


def test_a_checkpoints_own_way_yields_to_a_setting() -> None:
    none = settings(Generation(num_beams=3), 8)
    off = settings(Generation(num_beams=3, no_repeat_ngram_size=0, early_stopping=0), 8)
    greedy = settings(Generation(num_beams=1, early_stopping=1), 8)

    assert not {"no_repeat_ngram_size", "early_stopping"} & none.keys()
    assert (off["no_repeat_ngram_size"], off["early_stopping"]) == (0, False)
    assert "early_stopping" not in greedy, "transformers warns of it without beams"
