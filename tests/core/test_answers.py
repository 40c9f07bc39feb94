import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.catalog import FAMILIES as CATALOG
from captiv.core.answers import Asked, Fault, judge, told
from captiv.core.answers.echoes import echoes
from captiv.core.answers.endings import unfinished
from captiv.core.answers.roles import speaks_roles
from captiv.core.answers.transcripts import transcribes
from captiv.core.loops import brief_loop_in, loop_in
from captiv.core.spec import Captioning

from .answer_set import FAMILIES, SEVENTH, SIXTH, samples
from .answer_set.__main__ import SETS, Score

LEAST = {
    "first": 2000,
    "second": 2000,
    "third": 1000,
    "fourth": 92,
    "fifth": 40,
    "sixth": 221,
    "seventh": 85,
}
"""How many captions a set has at least."""

RECALL = {"fourth": 0.97, "sixth": 0.97, "seventh": 0.96}
"""At least; 0.98 of the others."""

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
    assert score.recall >= RECALL.get(name, 0.98), score.wrong[:5]


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


def test_an_answer_that_ended_by_itself_inside_a_sentence_is_unfinished() -> None:
    cut = judge("A woman stands in front of a", "stop")

    assert cut is not None
    assert cut.fault is Fault.UNFINISHED
    assert judge("A woman stands in front of a wall", "stop") is None


@pytest.mark.parametrize("family", dict.fromkeys(answer.kind for answer in FAMILIES))
def test_what_a_family_writes_when_all_is_well_is_a_caption(family: str) -> None:
    answers = [answer for answer in FAMILIES if answer.kind == family]

    verdicts = [judge(a.text, asked=Asked(a.prompt, a.system)) for a in answers]

    assert verdicts == [None] * 20


@pytest.mark.parametrize(
    ("label", "least"),
    [
        ("echoing", 0.97),
        ("speaking roles", 1.0),
        ("looping", 0.97),
        ("asking", 0.97),
        ("unfinished", 0.93),
    ],
)
def test_a_glitch_is_known_as_what_it_is(label: str, least: float) -> None:
    bad = [answer for answer in SIXTH if answer.label == label]

    verdicts = [judge(a.text, a.finish, asked=Asked(a.prompt, a.system)) for a in bad]

    assert sum(v is not None and v.fault == label for v in verdicts) >= least * len(bad)


@pytest.mark.parametrize("kind", ["transcription", "without a full stop", "short listing"])
def test_a_kind_of_caption_is_never_refused(kind: str) -> None:
    answers = [answer for answer in SEVENTH if answer.kind == kind]

    refused = [a for a in answers if judge(a.text, asked=Asked(a.prompt, a.system)) is not None]

    assert len(answers) > 10
    assert refused == []


def test_what_is_asked_for_a_caption_with_its_text_is_no_transcription() -> None:
    prompts = {m.prompt or "" for family in CATALOG for m in family.modes}
    written = {"What text is in this image?", "Read all the text in the image."}

    found = {prompt for prompt in prompts if transcribes(prompt)}

    assert found == {*written, "<OCR>", "<ocr>", "<md>"}


@pytest.mark.parametrize(
    "prompt",
    [
        "Describe this image in no more than fifty words.",
        "Describe what you see and say whether it is a photo.",
        "Ignore any text in the image. Describe the rest.",
        "Schreibe einen kurzen Text über das Bild.",
        "Beschreibe das Bild, ohne den Text zu erwähnen.",
        "この画像を100文字以内で説明してください。",
        "请用文字描述这张图片。",
    ],
)
def test_who_asks_for_a_caption_in_words_asks_for_no_transcription(prompt: str) -> None:
    assert not transcribes(prompt)


def test_a_brief_loop_is_none_while_the_answer_may_go_on() -> None:
    text = "a man in a suit and tie standing in a room with " * 3

    assert fault(text) is Fault.LOOPING
    assert loop_in(text) is None
    assert judge(text, "length", limited_by_user=True) is None


@pytest.mark.parametrize("text", ["no, no, no, no, no, no", "a sign with red, red, red, red, red"])
def test_a_comma_between_them_makes_no_phrase_of_words(text: str) -> None:
    assert judge(text) is None


PROMPT = "Write a caption for this picture in one sentence."


@pytest.mark.parametrize(
    ("model", "found"),
    [("joycaption", True), ("a-model-of-a-chat-server", True), ("blip", False)],
)
def test_only_a_chat_model_is_told_its_prompt_and_not_to_go_on_with_it(
    model: str, found: bool
) -> None:
    asked = told(Captioning(model=model, variant="v", source="s", prompt=PROMPT))

    verdict = judge(f"{PROMPT} A cat sleeps on a sofa.", asked=asked)

    assert (verdict is not None) == found
    assert (asked.system != "") == (model == "joycaption")


def test_a_question_is_a_caption_where_one_is_asked_for() -> None:
    assert fault("What is the man doing?") is Fault.ASKING
    assert judge("What is the man doing?", asked=Asked("Ask a question about it.")) is None
    assert judge("WHO GOES THERE?", asked=Asked("<OCR>", chats=False)) is None


@pytest.mark.slow
@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert judge(text) is None or isinstance(fault(text), Fault)


SPENT = 1.0
"""Seconds of CPU: some fifty times what is usual, and a fifth of what grows with a square."""


@pytest.mark.parametrize("text", ["«a " * 15_000, "«a " * 15_000 + "»", " „a" * 15_000 + '"'])
def test_marks_that_nothing_closes_take_no_time(text: str) -> None:
    began_s = time.process_time()

    unfinished(text)
    speaks_roles(text)
    echoes(text, Asked(PROMPT))

    assert time.process_time() - began_s < SPENT


def test_a_caption_of_long_words_takes_no_time() -> None:
    text = " ".join(f"{number}{'ab' * 200}{number}" for number in range(79))
    began_s = time.process_time()

    assert brief_loop_in(text) is None
    assert not unfinished(text)

    assert time.process_time() - began_s < SPENT


def test_what_is_said_before_a_word_is_found_also_behind_a_quotation() -> None:
    said = 'The parrot by the sign "Hello there, have a seat" on the wall says '

    assert brief_loop_in(said + "hello " * 7 + "and flies") is None
