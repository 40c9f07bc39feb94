"""How a caption is added to a text, and that it is added once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.core.adding import NOTHING, Step, Where, joined, step
from captiv.core.spec import Captioning, Output, RunSpec, Selection
from captiv.core.texts import content_hash, is_blank, plain

TEXT = st.text(alphabet="ab .,!\n\r\t)»", max_size=12)
WRITTEN = TEXT.filter(lambda text: not is_blank(text))
SIDES = st.sampled_from(["before", "after"])


@pytest.mark.parametrize(
    ("there", "caption", "where", "text"),
    [
        ("1girl, solo", "a girl on a bench", "after", "1girl, solo, a girl on a bench"),
        ("1girl, solo", "A girl on a bench.", "before", "A girl on a bench. 1girl, solo"),
        ("A dog.", "It runs.", "after", "A dog. It runs."),
        ('He says "no."', "A man.", "after", 'He says "no." A man.'),
        ("1girl, solo,", "bench", "after", "1girl, solo, bench"),
        ("(a dog)", "a cat", "after", "(a dog), a cat"),
        ("1girl\n", "a girl", "after", "1girl, a girl\n"),
        ("1girl\r\n", "a girl", "before", "a girl, 1girl\r\n"),
        ("one\ntwo\n", "three", "after", "one\ntwo, three\n"),
        ("1girl", ", a girl", "after", "1girl, a girl"),
        ("1girl", "\na girl", "after", "1girl\na girl"),
        ("1girl", "a girl | ", "before", "a girl | 1girl"),
        ("狗。", "猫", "after", "狗。 猫"),
    ],
)
def test_two_captions_are_joined_as_trainers_write_them(
    there: str, caption: str, where: Where, text: str
) -> None:
    assert joined(there, caption, where) == text


@given(WRITTEN, WRITTEN, SIDES)
def test_both_texts_are_whole_and_in_their_order(there: str, caption: str, where: Where) -> None:
    text = joined(there, caption, where)
    first, second = (caption, there.strip()) if where == "before" else (there.strip(), caption)

    start = text.index(first)
    assert second in text[start + len(first) :]
    assert len(text) <= len(there) + len(caption) + 2
    assert text.startswith(there[: len(there) - len(there.lstrip())])
    assert text.endswith(there[len(there.rstrip()) :])


@given(WRITTEN, WRITTEN, SIDES, st.sampled_from(["lost", "named"]))
def test_a_write_after_any_kill_adds_the_caption_once(
    there: str, caption: str, where: Where, killed: str
) -> None:
    """The first write notes what it found; a kill comes before or after the file has its name."""
    made, found = joined(there, caption, where), content_hash(there)
    held = made if killed == "named" else there

    again = step(found, plain(held), made)

    if content_hash(made) == content_hash(there):
        assert again is Step.DONE
    else:
        assert again is (Step.DONE if killed == "named" else Step.WRITE)


@given(WRITTEN, WRITTEN, SIDES, WRITTEN)
def test_a_third_text_stays(there: str, caption: str, where: Where, third: str) -> None:
    made, found = joined(there, caption, where), content_hash(there)
    ours = {found, content_hash(made)}

    again = step(found, plain(third), made)

    assert (again is Step.KEEP) == (content_hash(third) not in ours)


@given(WRITTEN, WRITTEN)
def test_a_caption_that_was_written_where_none_was_is_not_added_to_itself(
    caption: str, third: str
) -> None:
    edited = content_hash(third) != content_hash(caption)

    assert step(NOTHING, None, caption) is Step.WRITE
    assert step(NOTHING, plain(caption), caption) is Step.DONE
    assert step(NOTHING, plain(third), caption) is (Step.KEEP if edited else Step.DONE)
    assert step(None, plain(caption), caption) is Step.DONE
    assert step(None, None, caption) is Step.BEGIN


def test_what_is_added_is_known_again_by_what_decides_its_text() -> None:
    def adds(add: Where | None = "after", **output: object) -> str | None:
        captioning = Captioning(model="m", variant="v", source="s")
        selection = Selection(roots=("/a",), add=add)
        asked = Output.model_validate(output)
        return RunSpec(selection=selection, captioning=captioning, output=asked).adds()

    assert adds(None) is None
    assert len({adds(), adds("before"), adds(prefix="x"), adds(one_line=True)}) == 4
    assert adds() == adds(extension=".caption") == adds(naming="full")
