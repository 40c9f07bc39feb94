from collections.abc import Callable, Sequence

import pytest
from captiv_worker.engines import (
    Answer,
    DeviceLost,
    EngineItem,
    Failure,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)
from captiv_worker.isolation import Watch, caption_batch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from captiv.wire import Generation


class Engine:
    """Answers with each item's prompt, unless the rule raises."""

    def __init__(self, rule: Callable[[list[str]], None]) -> None:
        self.rule = rule
        self.runs: list[list[str]] = []

    def load(self, progress: Progress) -> Loaded:
        raise NotImplementedError

    def kin(self, item: EngineItem) -> None:
        raise NotImplementedError

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        names = [str(item.prompt) for item in items]
        self.runs.append(names)
        self.rule(names)
        return [Answer(name) for name in names]


IMAGE = Image.new("RGB", (1, 1))


def items(count: int) -> list[EngineItem]:
    return [EngineItem(IMAGE, str(number), Generation()) for number in range(count)]


def watch(
    ran_out: list[int] | None = None,
    started: list[list[int]] | None = None,
    went_well: list[int] | None = None,
) -> Watch:
    return Watch(
        started=lambda span: None if started is None else started.append(list(span)),
        went_well=lambda span: None if went_well is None else went_well.append(len(span)),
        ran_out=lambda span: None if ran_out is None else ran_out.append(len(span)),
    )


def poisoned(*culprits: str) -> Callable[[list[str]], None]:
    def rule(names: list[str]) -> None:
        if set(names) & set(culprits):
            raise RuntimeError("poison")

    return rule


@given(st.integers(1, 20), st.sets(st.integers(0, 19), max_size=4))
def test_only_the_culprits_of_a_batch_fail(count: int, culprits: set[int]) -> None:
    engine = Engine(poisoned(*map(str, culprits)))

    ran = caption_batch(engine, items(count), watch())

    failed = {i for i, r in enumerate(ran) if isinstance(r.outcome, Failure)}
    assert failed == {i for i in culprits if i < count}
    for i in set(range(count)) - failed:
        outcome = ran[i].outcome
        assert isinstance(outcome, Answer)
        assert outcome.text == str(i)


def test_a_culprit_among_healthy_neighbours_is_suspect() -> None:
    ran = caption_batch(Engine(poisoned("2")), items(4), watch())

    assert [getattr(r.outcome, "suspect", None) for r in ran] == [None, None, True, None]


def test_if_all_fail_the_engine_is_to_blame_and_nobody_is_suspect() -> None:
    ran = caption_batch(Engine(poisoned("0", "1", "2")), items(3), watch())

    assert [r.outcome for r in ran] == [
        Failure("engine_failed", "The engine failed on this image alone (RuntimeError).")
    ] * 3


def test_out_of_memory_halves_and_tells_what_was_too_large_and_what_went_well() -> None:
    def rule(names: list[str]) -> None:
        if len(names) > 2:
            raise OutOfMemory("too many")

    ran_out: list[int] = []
    went_well: list[int] = []
    engine = Engine(rule)
    ran = caption_batch(engine, items(8), watch(ran_out, went_well=went_well))

    assert [r.outcome for r in ran] == [Answer(str(i)) for i in range(8)]
    assert {r.batch for r in ran} == {2}
    assert ran_out == [8, 4, 4]
    assert went_well == [2, 2, 2, 2]


def test_images_that_the_engine_refused_are_not_counted_as_having_fitted() -> None:
    class Refusing(Engine):
        def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
            return [Failure("image_unreadable", "It has no such shape.")] * len(items)

    went_well: list[int] = []
    caption_batch(Refusing(poisoned()), items(4), watch(went_well=went_well))

    assert went_well == []


def test_one_image_that_does_not_fit_alone_fails_alone() -> None:
    def rule(names: list[str]) -> None:
        raise OutOfMemory("too many")

    (ran,) = caption_batch(Engine(rule), items(1), watch())

    assert isinstance(ran.outcome, Failure)
    assert ran.outcome.code == "engine_failed"
    assert "memory" in ran.outcome.message


def test_a_lost_device_is_not_searched_for_culprits() -> None:
    def rule(names: list[str]) -> None:
        raise DeviceLost("gone")

    engine = Engine(rule)
    with pytest.raises(DeviceLost):
        caption_batch(engine, items(4), watch())
    assert len(engine.runs) == 1


def test_before_each_run_it_is_told_who_runs() -> None:
    started: list[list[int]] = []

    caption_batch(Engine(poisoned("3")), items(4), watch(started=started))

    assert started == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]


def test_an_engine_that_gives_too_few_outcomes_is_not_believed() -> None:
    class Short(Engine):
        def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
            return super().caption(items)[: 1 if len(items) == 1 else -1]

    ran = caption_batch(Short(poisoned()), items(3), watch())

    assert [r.outcome for r in ran] == [Answer(str(i)) for i in range(3)]
