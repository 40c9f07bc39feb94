import pytest

from captiv.catalog import FAMILIES, Family, choose, choose_source, default_family, describe
from captiv.errors import UsageError
from captiv.wire import ModelInfo


def test_the_built_in_model_is_never_the_default() -> None:
    assert default_family().name == "blip"
    choice = choose(None)
    assert choice is not None
    assert choice.variant.name == "blip-large"


def test_a_family_a_variant_and_both_name_a_checkpoint() -> None:
    for names in (("blip", "blip-base"), ("blip-base", None), ("blip-base", "blip-base")):
        choice = choose(*names)
        assert choice is not None
        assert choice.variant.name == "blip-base"


def test_names_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="contradict"):
        choose("blip-base", "blip-large")
    with pytest.raises(UsageError, match="no variant"):
        choose("blip", "no-such")


def test_what_the_catalog_does_not_name_is_left_to_its_config() -> None:
    assert choose("somebody/fine-tuned") is None
    assert choose_source("somebody/fine-tuned", {"model_type": "blip"}).family.name == "blip"
    with pytest.raises(UsageError, match="no family"):
        choose_source("somebody/llm", {"model_type": "llama"})
    with pytest.raises(UsageError, match="not given"):
        choose_source("somebody/nothing", {})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_the_description_of_a_family_travels(family: Family) -> None:
    told = describe(family)

    assert ModelInfo.model_validate_json(told.model_dump_json()) == told
    assert told.default_variant in [v.name for v in told.variants]
