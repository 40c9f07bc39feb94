import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.answers import Fault, judge
from captiv.core.loops import loop_in

from .answer_set import samples
from .answer_set.__main__ import SETS, Score

LEAST = {"first": 2000, "second": 2000, "third": 1000, "fourth": 92, "fifth": 40}
"""How many captions a set has at least."""

WORDS = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)
PHRASES = st.lists(WORDS, min_size=1, max_size=12)


def fault(text: str) -> Fault | None:
    verdict = judge(text)
    return None if verdict is None else verdict.fault


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_labelled_answers_are_told_apart(name: str) -> None:
    score = Score(samples(SETS[name], name))

    assert score.precision >= 0.98, score.wrong[:5]
    assert score.recall >= (0.97 if name == "fourth" else 0.98), score.wrong[:5]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_no_caption_in_2000_is_refused(name: str) -> None:
    score = Score(samples(SETS[name], name))

    assert score.good >= LEAST[name]
    assert score.good_refused == 0, [a for a in score.wrong if a.label == "good"][:5]


@pytest.mark.parametrize("text", ["", " ", "\n", "...", "# # #", "-", "🦊"])
def test_an_answer_without_a_letter_or_digit_is_empty(text: str) -> None:
    assert fault(text) is Fault.EMPTY


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "7",
        "a red, red rose and a red, red wall",
        "ha ha ha ha ha ha ha",
        "1000000000 candles",
        "very very very very very very very very big",
        "二匹の犬が草の上で遊んでいる",
        "a sign that says: I cannot help you with this image",
    ],
)
def test_a_caption_is_a_caption(text: str) -> None:
    assert judge(text) is None


@given(PHRASES, st.integers(8, 12))
def test_a_phrase_over_and_over_at_the_end_is_a_loop(phrase: list[str], times: int) -> None:
    text = " ".join(["a picture of", *phrase * times])

    assert fault(text) is Fault.LOOPING


@given(PHRASES, st.integers(8, 12), st.data())
def test_a_loop_is_seen_wherever_the_longest_length_cuts_it(
    phrase: list[str], times: int, data: st.DataObject
) -> None:
    words = phrase * (times + 1)
    whole = len(phrase) * times + data.draw(st.integers(0, len(phrase) - 1))
    cut = words[whole][: data.draw(st.integers(0, len(words[whole])))]

    assert fault(" ".join([*words[:whole], cut])) is Fault.LOOPING


@pytest.mark.parametrize("text", ["狗" * 40, "a " + "ha" * 30, "the " + "0" * 40])
def test_a_loop_without_blanks_is_a_loop(text: str) -> None:
    assert fault(text) is Fault.LOOPING


def test_a_loop_is_shown_from_the_beginning_of_a_word() -> None:
    assert loop_in("the man wears " + "a red hat and " * 30) == "a red hat and"


def test_cut_off_is_what_the_models_own_limit_cut() -> None:
    own = judge("A woman stands in front of a", "length")

    assert own is not None
    assert own.fault is Fault.CUT_OFF
    assert judge("A woman stands in front of a", "length", limited_by_user=True) is None
    assert judge("A woman stands in front of a", "stop") is None


@pytest.mark.slow
@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert judge(text) is None or isinstance(fault(text), Fault)
