"""The prompts of JoyCaption, byte for byte, from the copy of its authors' table in the package."""

import json
from functools import partial
from importlib.resources import files
from typing import Any

import pytest

from captiv.catalog import Family, build_prompt, contradictions, family_named, joycaption
from captiv.errors import UsageError
from tests.catalog import joycaption_strings as again

MATRIX: dict[str, Any] = json.loads(
    (files("captiv.catalog") / "joycaption-matrix.json").read_bytes()
)
KINDS: dict[str, list[str]] = MATRIX["caption_types"]
ASKED = (None, "70", "very long")
"""A length for each of the three forms: none, a number of words, a word."""

BLIP = family_named("blip")
assert BLIP is not None
FIRST = """
    descriptive_formal descriptive_casual straightforward stable_diffusion midjourney danbooru e621
    rule34 booru art_critic product_listing social_media creative technical poetic storytelling
    emotional humorous seo_friendly accessibility concise detailed default
"""
"""The modes of the first captiv."""

_FOUND = family_named("joycaption")
assert _FOUND is not None
JOY: Family = _FOUND


def trained() -> list[str]:
    return [mode.name for mode in joycaption.MODES if mode.trained]


def authors(kind: str, form: int, extra: list[str], name: str = "Ada") -> str:
    """Build as the authors' own page does: one space between, then `str.format` over all."""
    text = " ".join([KINDS[kind][form], *extra])
    return text.format(name=name, length="very long", word_count="70")


@pytest.mark.parametrize("form", range(3), ids=["plain", "words", "length"])
@pytest.mark.parametrize(("mode", "kind"), list(zip(trained(), KINDS, strict=True)))
def test_every_row_with_every_option_is_what_the_model_was_trained_on(
    mode: str, kind: str, form: int
) -> None:
    build = partial(build_prompt, JOY, mode=mode, length=ASKED[form], variables={"name": "Ada"})

    assert build() == authors(kind, form, [])
    for option, text in zip(joycaption.OPTIONS, MATRIX["extra_options"], strict=True):
        built = build(options=[option.key])
        assert built == authors(kind, form, [text])
    every = [option.key for option in joycaption.OPTIONS]
    built = build(options=every)
    assert built == authors(kind, form, MATRIX["extra_options"])


def test_the_file_holds_the_authors_strings() -> None:
    assert {kind: tuple(rows) for kind, rows in KINDS.items()} == {
        kind: again.forms(kind) for kind in again.TYPES
    }
    assert MATRIX["extra_options"] == list(again.OPTIONS.values())
    assert [option.key for option in joycaption.OPTIONS] == list(again.OPTIONS)
    assert MATRIX["lengths"] == again.LENGTHS == list(joycaption.LENGTHS)
    assert MATRIX["name_option"] == again.OPTIONS["character_name"]


def test_every_mode_of_the_first_captiv_is_there_and_what_it_made_up_is_marked() -> None:
    first = set(FIRST.split())
    free = [mode.name for mode in joycaption.MODES if not mode.trained]

    assert first | {"descriptive"} == {mode.name for mode in joycaption.MODES}
    assert len(trained()) == len(free) == 12
    assert {"descriptive_formal", "default", "poetic"} <= set(free)
    assert build_prompt(JOY, mode="default") == "Describe this image."


def test_unless_told_otherwise_it_is_asked_what_it_was_trained_on() -> None:
    assert build_prompt(JOY) == "Write a detailed description for this image."


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ("any", "Write a MidJourney prompt for this image."),
        ("medium-length", "Write a medium-length MidJourney prompt for this image."),
        ("medium length", "Write a medium-length MidJourney prompt for this image."),
        ("VERY_SHORT", "Write a very short MidJourney prompt for this image."),
        (" 040 ", "Write a MidJourney prompt for this image within 40 words."),
        ("37", "Write a MidJourney prompt for this image within 37 words."),
    ],
)
def test_a_length_is_a_word_or_a_number_of_words(length: str, text: str) -> None:
    assert build_prompt(JOY, mode="midjourney", length=length) == text


@pytest.mark.parametrize("length", ["medium", "0", "1001", "-5", "2.5", "", "shorter", "٣"])
def test_another_length_is_refused_with_those_that_there_are(length: str) -> None:
    with pytest.raises(UsageError, match="has no length") as refused:
        build_prompt(JOY, length=length)

    assert "medium-length" in str(refused.value.hint)
    assert "20 to 260" in str(refused.value.hint)


def test_a_free_mode_has_no_lengths() -> None:
    with pytest.raises(UsageError, match="poetic of joycaption has no lengths") as refused:
        build_prompt(JOY, mode="poetic", length="long")
    assert build_prompt(JOY, mode="poetic", length="any") is not None

    assert "straightforward" in str(refused.value.hint)
    assert "humorous" not in str(refused.value.hint)


def test_a_length_has_its_place_in_a_prompt_of_ones_own_or_is_refused() -> None:
    assert build_prompt(JOY, prompt="A {length} haiku {x}.", length="short") == "A short haiku {x}."
    assert build_prompt(JOY, prompt="{word_count} words!", length="7") == "7 words!"
    assert build_prompt(JOY, prompt="A {length} haiku.") == "A {length} haiku."
    with pytest.raises(UsageError, match="no place"):
        build_prompt(JOY, prompt="A {length} haiku.", length="7")


def test_the_name_goes_by_the_first_captivs_variable_too_and_is_never_looked_into() -> None:
    told = "refer to them as {length} O'Neil {name}."
    for variable in ("name", "character_name"):
        built = build_prompt(
            JOY,
            mode="booru",
            length="long",
            options=["character_name"],
            variables={variable: "{length} O'Neil {name}"},
        )
        assert built is not None
        assert built.startswith("Write a long list of Booru-like tags for this image. If there is")
        assert built.endswith(told)


def test_what_contradicts_itself_is_named() -> None:
    assert contradictions(JOY, "descriptive", ["keep_pg", "exclude_text"]) == []
    both = contradictions(JOY, "straightforward", ["use_blunt_phrasing", "keep_pg", "exclude_text"])

    assert len(both) == 2
    assert "exclude_text and straightforward" in both[0]
    assert "use_blunt_phrasing and keep_pg" in both[1]


def test_a_family_without_lengths_says_so() -> None:
    assert BLIP is not None
    with pytest.raises(UsageError, match="blip has no lengths") as refused:
        build_prompt(BLIP, length="short")

    assert "--max-new-tokens" in str(refused.value.hint)
