from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captiv.catalog import (
    FAMILIES,
    Family,
    Mode,
    Option,
    build_prompt,
    family_named,
    idle_variables,
)
from captiv.errors import UsageError

BLIP = family_named("blip")
assert BLIP is not None
TALKER: Family = replace(
    BLIP,
    name="talker",
    modes=(Mode("default", "Describe it."), Mode("silent", None)),
    options=(Option("short", "Be short."), Option("named", "Call the person {name}.")),
)


@given(st.text().filter(lambda t: bool(t.strip())))
def test_a_prompt_of_ones_own_is_asked_as_it_is(text: str) -> None:
    assert build_prompt(TALKER, prompt=text) == text.strip()


@given(st.dictionaries(st.sampled_from(["name", "place"]), st.text(max_size=5)))
def test_braces_that_are_no_variable_stay(values: dict[str, str]) -> None:
    asked = build_prompt(TALKER, prompt='{"json": {}} {other}', variables=values)

    assert asked == '{"json": {}} {other}'


@given(st.lists(st.sampled_from(["short"]), max_size=3))
def test_options_follow_the_prompt_by_one_blank_and_once(options: list[str]) -> None:
    asked = build_prompt(TALKER, options=options)

    assert asked == " ".join(["Describe it.", *["Be short."] * bool(options)])


def test_a_variable_is_filled_in_and_its_absence_refused() -> None:
    assert (
        build_prompt(TALKER, options=["named"], variables={"name": "Ada"})
        == "Describe it. Call the person Ada."
    )
    with pytest.raises(UsageError, match="needs a name"):
        build_prompt(TALKER, options=["named"])


def test_a_variable_that_fills_nothing_is_named() -> None:
    given = {"name": "Ada", "nome": "Bob"}

    assert idle_variables(TALKER, given, mode="default") == [
        f"The variable {name} fills nothing: there is no {{{name}}} in the prompt."
        for name in given
    ]
    assert idle_variables(TALKER, {"name": "Ada"}, mode="default", options=["named"]) == []
    assert idle_variables(TALKER, {"named": "Ada"}, mode="default", options=["named"]) == []
    assert idle_variables(TALKER, {"nome": "Ada"}, mode="", prompt="Of {nome}.") == []


def test_a_mode_without_a_text_asks_without_one() -> None:
    assert build_prompt(TALKER, mode="silent") is None


@pytest.mark.parametrize(
    "asked", [{"mode": "no-such"}, {"options": ["no-such"]}], ids=["mode", "option"]
)
def test_what_the_family_does_not_have_is_refused_with_what_it_has(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        build_prompt(TALKER, **asked)

    assert ("silent" in (refused.value.hint or "")) or ("short" in (refused.value.hint or ""))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_mode_of_the_catalog_can_be_asked(family: Family) -> None:
    for variant in family.variants:
        own = family.of(variant)
        assert own.mode("default") is not None
        for mode in own.modes:
            assert build_prompt(own, mode=mode.name) == mode.prompt


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if not f.takes_prompt], ids=lambda f: f.name
)
def test_a_family_that_takes_no_prompt_says_so(family: Family) -> None:
    with pytest.raises(UsageError, match="takes no prompt"):
        build_prompt(family, prompt="Describe it.")
