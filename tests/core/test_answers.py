import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.answers import fault_of

WORDS = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)
PHRASES = st.lists(WORDS, min_size=1, max_size=12)


@pytest.mark.parametrize("text", ["", " ", "\n", "...", "# # #", "-", "🦊"])
def test_an_answer_without_a_letter_or_digit_is_empty(text: str) -> None:
    assert fault_of(text) == "the answer is empty"


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
    ],
)
def test_a_caption_is_a_caption(text: str) -> None:
    assert fault_of(text) is None


@given(PHRASES, st.integers(8, 12))
def test_a_phrase_over_and_over_at_the_end_is_a_loop(phrase: list[str], times: int) -> None:
    text = " ".join(["a picture of", *phrase * times])

    assert "without end" in (fault_of(text) or "")


@given(PHRASES, st.integers(8, 12), st.data())
def test_a_loop_is_seen_wherever_the_longest_length_cuts_it(
    phrase: list[str], times: int, data: st.DataObject
) -> None:
    words = phrase * (times + 1)
    whole = len(phrase) * times + data.draw(st.integers(0, len(phrase) - 1))
    cut = words[whole][: data.draw(st.integers(0, len(words[whole])))]

    assert "without end" in (fault_of(" ".join([*words[:whole], cut])) or "")


@pytest.mark.parametrize("text", ["狗" * 40, "a " + "ha" * 30, "the " + "0" * 24])
def test_a_loop_without_blanks_is_a_loop(text: str) -> None:
    assert "without end" in (fault_of(text) or "")


@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert fault_of(text) is None or fault_of(text)
