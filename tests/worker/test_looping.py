"""A row that loops is ended early, and its neighbours get what they get anyway."""

import random
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from captiv_worker.engines import Answer, EngineItem
from captiv_worker.engines.looping import EVERY, LoopEnd
from captiv_worker.engines.transformer import TransformerEngine

from captiv.core.answers import Fault, judge
from captiv.core.loops import loop_in
from captiv.wire import Generation
from tests.core.answer_set import samples
from tests.core.answer_set.__main__ import SETS

from .checkpoints import PathOf, named
from .test_conformance import alone, answers, loaded, pictures

LIMIT = Generation(max_new_tokens=4 * EVERY, num_beams=1, temperature=0.0)
END = "<end>"
PROMPT = ["Describe", " it", ":"]
QUOTED = 'A sign reads "' + "I must not lie. " * 6 + 'I must not." A cat sleeps below it.'
LOOP = "A cat sleeps. " + "It looks at the sea and the sea is blue. " * 20


def pieces(text: str) -> list[str]:
    """Cut a text about as a tokenizer does."""
    return re.findall(r" ?[^\W\d_]{1,6}|\d| ?[^\w\s]|\s", text)


def ended(*texts: str) -> list[int | None]:
    """Decode these texts as rows of one batch; return how many tokens each had when it was ended.

    A row whose text is over has its end token, and then goes on with nonsense, as padding is.
    """
    import torch

    rows = [pieces(text) for text in texts]
    most = max(map(len, rows)) + EVERY
    full = [[*PROMPT, *row, END, *["loop"] * (most - len(row))] for row in rows]
    words = {word: number for number, word in enumerate(sorted({w for row in full for w in row}))}
    known = list(words)
    ids = torch.tensor([[words[word] for word in row] for row in full])

    def written(_number: int, row: list[int]) -> str:
        return "".join(known[i] for i in row[len(PROMPT) :])

    loops = LoopEnd(written, [words[END]], len(PROMPT))
    for count in range(len(PROMPT) + 1, ids.shape[1] + 1):
        done = loops(ids[:, :count], None)
        assert done.shape == (len(rows),)
        assert done.dtype == torch.bool
    kept = loops.trimmed(ids.tolist())
    return [None if len(row) == ids.shape[1] else len(row) - len(PROMPT) for row in kept]


def test_a_row_ends_at_the_second_check_that_finds_its_loop() -> None:
    tokens = pieces(LOOP)
    found = [n for n in range(EVERY, len(tokens), EVERY) if loop_in("".join(tokens[:n]))]

    assert ended(LOOP) == [found[1]]
    assert found[1] == found[0] + EVERY


def test_a_quotation_that_has_not_closed_yet_is_no_loop() -> None:
    tokens = pieces(QUOTED)
    assert loop_in("".join(tokens[:EVERY])), "one check is deceived"
    assert judge(QUOTED) is None

    assert ended(QUOTED) == [None]


def test_a_row_that_has_ended_is_not_read_any_more() -> None:
    short = "A cat sleeps on the red sofa."

    assert ended(short, LOOP)[0] is None


def test_each_row_is_judged_by_itself() -> None:
    tokens = pieces(LOOP)
    later = (
        "The sky has some clouds, and below it people with umbrellas wait for a bus that is late. "
        * 2
        + LOOP
    )

    first, second, third = ended(LOOP, QUOTED, later)

    assert first is not None
    assert third is not None
    assert first < third < len(tokens)
    assert second is None


@pytest.mark.parametrize("name", SETS)
def test_of_the_frozen_answers_loops_end_early_and_no_caption_does(name: str) -> None:
    frozen = list(samples(SETS[name], name))
    wanted, early = 0, 0
    for answer in random.Random(5).sample(frozen, min(80, len(frozen))):
        tokens = pieces(answer.text)
        found = [n for n in range(EVERY, len(tokens) + 1, EVERY) if loop_in("".join(tokens[:n]))]
        wanted += any(n - EVERY in found for n in found)

        (end,) = ended(answer.text)

        early += end is not None
        assert end is None or (end in found and end - EVERY in found)
        assert end is None or answer.label != "good", answer
    assert early >= 0.9 * wanted


# Models

MODELS = ("joycaption-beta-one", "qwen3-vl-2b", "florence2-large", "blip2-flan-t5-xl")
"""A chat model of one dimension and one of three, and encoder-decoders that start a text anew."""


@pytest.fixture(scope="module", params=MODELS)
def engine(request: pytest.FixtureRequest, checkpoint_path: PathOf) -> TransformerEngine:
    return loaded(checkpoint_path(named(request.param)))


@contextmanager
def looping(engine: TransformerEngine, rows: Collection[int]) -> Iterator[list[int]]:
    """Make the model say one word for ever in these rows; yield the sizes of its steps."""
    word = engine.tokenizer(" dog", add_special_tokens=False).input_ids
    steps: list[int] = []

    def say(_layer: Any, _given: Any, logits: Any) -> Any:
        for row in rows:
            logits[row, -1] = -1e4
            logits[row, -1, word[len(steps) % len(word)]] = 1e4
        steps.append(len(logits))
        return logits

    hook = engine.model.get_output_embeddings().register_forward_hook(say)
    try:
        yield steps
    finally:
        hook.remove()


def asked(engine: TransformerEngine, generation: Generation = LIMIT) -> list[EngineItem]:
    return [EngineItem(picture, engine.spec.prompts[0], generation) for picture in pictures()]


def texts(found: Sequence[Answer]) -> list[str]:
    return [answer.text for answer in found]


def test_a_row_that_loops_changes_none_of_its_neighbours(engine: TransformerEngine) -> None:
    items = asked(engine)

    with looping(engine, [1]):
        together = answers(engine, items)
    with looping(engine, [0]):
        by_itself = answers(engine, items[1:2])

    assert together[1] == by_itself[0]
    assert together[1].tokens == 2 * EVERY
    normal = [0, 2, 3, 4]
    assert [together[n] for n in normal] == alone(engine, [items[n] for n in normal])
    assert any(together[n].tokens > 2 * EVERY for n in normal), "all were over by then"


def test_a_loop_that_was_ended_is_judged_as_one_that_ran_to_its_limit(
    engine: TransformerEngine,
) -> None:
    with looping(engine, [0]):
        (answer,) = answers(engine, asked(engine)[:1])

    assert answer.finish == "length"
    verdict = judge(answer.text, answer.finish, limited_by_user=True)
    assert verdict is not None
    assert verdict.fault is Fault.LOOPING


def test_a_batch_in_which_every_row_loops_is_over_early(engine: TransformerEngine) -> None:
    items = asked(engine)

    with looping(engine, range(len(items))) as steps:
        answers(engine, items)

    assert len(steps) == 2 * EVERY


def test_a_seed_draws_the_same_beside_a_row_that_loops(engine: TransformerEngine) -> None:
    items = asked(engine, LIMIT.model_copy(update={"temperature": 1.0, "seed": 5}))

    with looping(engine, [1]):
        together = answers(engine, items)

    assert together[1].tokens == 2 * EVERY
    assert together[0] == alone(engine, items[:1])[0]
    assert together[2:] == alone(engine, items[2:])


def test_a_search_with_beams_runs_to_its_limit(engine: TransformerEngine) -> None:
    items = asked(engine, LIMIT.model_copy(update={"num_beams": 2}))[:2]

    with looping(engine, range(4)):
        found = answers(engine, items)

    assert all(answer.tokens > 4 * EVERY - 2 for answer in found), "some force the last token"
