"""The labelled answers stay what they were when they were frozen, and are worth judging by."""

import hashlib
from collections import Counter
from collections.abc import Iterable

import pytest

from .answer_set import FAMILIES, SIXTH, Sample, samples
from .answer_set.__main__ import SETS

FROZEN = {
    "first": "353d1ec7ea97c708",
    "second": "4fdc01bda6fc9824",
    "third": "a591bc9b93cceff9",
    "fourth": "7d91071731ad72e3",
    "fifth": "0a0356039bff6f91",
    "sixth": "66eeadbe22071b4f",
    "seventh": "2997ecfcada8a172",
}


def digest(answers: Iterable[Sample]) -> str:
    whole = hashlib.sha256()
    for answer in answers:
        whole.update(repr(answer).encode())
        whole.update((answer.prompt + answer.system).encode())
    return whole.hexdigest()[:16]


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_as_it_was_frozen(name: str) -> None:
    assert digest(samples(SETS[name], name)) == FROZEN[name]


def test_the_families_captions_are_as_they_were_frozen() -> None:
    assert digest(FAMILIES) == "75ed95f5ba85638c"
    assert set(Counter(answer.kind for answer in FAMILIES).values()) == {20}


def test_each_kind_of_glitch_has_30_answers_and_nearly_as_many_captions() -> None:
    labels = Counter(answer.label for answer in SIXTH)

    assert all(count > 30 for count in labels.values())
    assert labels["good"] > 0.5 * len(SIXTH)
    assert len({(answer.prompt, answer.text) for answer in SIXTH}) == len(SIXTH)


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_set_has_more_than_2000_captions_and_hardly_a_text_twice(name: str) -> None:
    answers = list(samples(SETS[name], name))
    labels = Counter(answer.label for answer in answers)

    assert labels["good"] > 2000
    assert sum(labels.values()) - labels["good"] > 1500
    assert len({answer.text for answer in answers}) > 0.9 * len(answers)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("label", ["looping", "refusing", "empty"])
def test_how_an_answer_ended_does_not_give_it_away(name: str, label: str) -> None:
    for answer in samples(SETS[name], name):
        if answer.label == label:
            assert answer.finish == "stop" or answer.limited_by_user, answer
