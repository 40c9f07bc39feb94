"""What Kosmos writes becomes a text that a person reads."""

import pytest
from captiv_worker.engines.transformer import TransformerEngine

from .checkpoints import PathOf, named
from .test_conformance import loaded

WRITTEN = (
    "<phrase>a dog</phrase><object><patch_index_0000><patch_index_0005></object> near "
    "<phrase>a red car</phrase><object><patch_index_0010><patch_index_0015></object>"
)


@pytest.fixture(scope="module")
def kosmos2(checkpoint_path: PathOf) -> TransformerEngine:
    return loaded(checkpoint_path(named("kosmos-2")))


@pytest.mark.slow
def test_without_grounding_the_marks_are_cleaned_away(kosmos2: TransformerEngine) -> None:
    ids = kosmos2.tokenizer(WRITTEN, add_special_tokens=False).input_ids

    assert kosmos2.text(ids, "An image of") == "a dog near a red car"


def test_with_grounding_each_thing_is_followed_by_its_box(kosmos2: TransformerEngine) -> None:
    ids = kosmos2.tokenizer(WRITTEN, add_special_tokens=False).input_ids

    text = kosmos2.text(ids, "<grounding>An image of")

    boxes = text.replace("]", "[").split("[")[1::2]
    assert [piece.strip() for piece in text.replace("]", "[").split("[")[::2]] == [
        "a dog",
        "near a red car",
        "",
    ]
    for box in boxes:
        left, top, right, bottom = map(float, box.split(","))
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def test_lines_of_a_document_lose_their_places(
    checkpoint_path: PathOf,
) -> None:
    engine = loaded(checkpoint_path(named("kosmos-2.5")))
    ids = engine.tokenizer(
        "<bbox>a b</bbox>red dog<bbox>c d</bbox>blue car", add_special_tokens=False
    ).input_ids

    assert engine.text(ids, "<ocr>") == "red dogblue car"
