import pytest

from captiv.core.edits import BulkEdit
from captiv.errors import UsageError


@pytest.mark.parametrize(
    ("edit", "text", "expected"),
    [
        (BulkEdit("dog", "wolf"), "a dog and a Dog", "a wolf and a Dog"),
        (BulkEdit("dog", "wolf", ignore_case=True), "a dog and a Dog", "a wolf and a wolf"),
        (BulkEdit("cat", "dog", whole_words=True), "a cat, concatenated", "a dog, concatenated"),
        (BulkEdit("a.c", "x"), "abc a.c", "abc x"),
        (BulkEdit(", blurry"), "a dog, blurry, at night", "a dog, at night"),
        (BulkEdit("cat", r"\1 \n"), "a cat", r"a \1 \n"),
        (BulkEdit(r"(\w+) dog", r"dog, \1", regex=True), "a red dog", "a dog, red"),
        (BulkEdit("ü", "ue", ignore_case=True), "Über", "ueber"),
        (BulkEdit(prefix="photo of "), "a dog", "photo of a dog"),
        (BulkEdit(prefix="photo of "), "photo of a dog", "photo of a dog"),
        (BulkEdit(suffix="."), "a dog\n", "a dog.\n"),
        (BulkEdit(suffix="."), "a dog.\n", "a dog.\n"),
        (BulkEdit(trigger_word="ohwx"), "a dog", "ohwx, a dog"),
        (BulkEdit(trigger_word="ohwx"), "a photo of ohwx, at night", "a photo of ohwx, at night"),
        (BulkEdit(trigger_word="dog"), "dogs at night", "dog, dogs at night"),
        (BulkEdit(trigger_word="c++"), "a c++ book", "a c++ book"),
        (BulkEdit("a", "the", prefix="x ", suffix="!", trigger_word="y"), " a b ", " y, x the b! "),
    ],
)
def test_an_edit_makes_one_text_of_another(edit: BulkEdit, text: str, expected: str) -> None:
    assert edit.checked().of(text) == expected


@pytest.mark.parametrize(
    "edit",
    [
        BulkEdit(),
        BulkEdit(""),
        BulkEdit(trigger_word="  "),
        BulkEdit("(", regex=True),
        BulkEdit("(a)", r"\2", regex=True),
        BulkEdit("(a)", r"\g<name>", regex=True),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(edit: BulkEdit) -> None:
    with pytest.raises(UsageError):
        edit.checked()


def test_the_same_edit_again_changes_nothing() -> None:
    edit = BulkEdit(prefix="photo of ", suffix=".", trigger_word="ohwx")
    once = edit.of("a dog\n")

    assert once == "ohwx, photo of a dog.\n"
    assert edit.of(once) == once


def test_an_edit_says_what_it_does() -> None:
    edit = BulkEdit("dog", "wolf", suffix=".", trigger_word="ohwx")

    assert edit.in_words() == "'dog' to 'wolf', suffix '.', trigger word 'ohwx'"
