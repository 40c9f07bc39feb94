import pytest

from captiv.catalog import (
    FAMILIES,
    Family,
    build_prompt,
    choose,
    choose_source,
    default_family,
    describe,
    family_named,
)
from captiv.catalog.model import ImagePolicy
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
    with pytest.raises(UsageError, match="not given") as untold:
        choose_source("somebody/nothing", {})
    assert "vllm serve" not in (untold.value.hint or ""), "vLLM can't tell what it is, either"


def test_a_checkpoint_is_told_by_its_language_model_where_its_type_does_not() -> None:
    for text_type, side in (("opt", "left"), ("t5", "right")):
        config = {"model_type": "blip-2", "text_config": {"model_type": text_type}}

        family = choose_source("somebody/fine-tuned", config).family

        assert (family.name, family.architecture.padding_side) == ("blip2", side)
    with pytest.raises(UsageError, match="no family"):
        choose_source("x/y", {"model_type": "blip-2", "text_config": {"model_type": "bloom"}})


def test_a_variant_may_have_modes_pictures_and_settings_of_its_own() -> None:
    two, document = choose("kosmos-2"), choose("kosmos", "kosmos-2.5")
    assert two is not None
    assert document is not None
    assert choose("kosmos") == two

    assert two.family.mode("grounding") is not None
    assert document.family.mode("grounding") is None
    assert {m.prompt for m in document.family.modes} == {"<md>", "<ocr>"}
    assert two.family.image.size_px < document.family.image.size_px
    assert (two.family.takes_prompt, document.family.takes_prompt) == (True, False)
    kosmos = family_named("kosmos")
    assert kosmos is not None
    assert kosmos.image_of("kosmos-2") == two.family.image
    assert kosmos.image_of("/some/directory") == document.family.image


@pytest.mark.parametrize("name", ["caprl-2b", "caprl-4b"])
def test_caprl_is_asked_and_decodes_as_its_authors_evaluate_it(name: str) -> None:
    caprl, qwen = choose(name), choose("qwen-vl")
    assert caprl is not None
    assert qwen is not None

    decoding = caprl.family.generation
    assert (decoding.max_new_tokens, decoding.temperature) == (2048, 1.0)
    assert (decoding.top_p, decoding.top_k) == (1.0, 0)
    assert build_prompt(caprl.family) == "Please describe this image in detail"
    assert build_prompt(qwen.family) == "Describe this image."
    tune = choose_source("somebody/fine-tuned", {"model_type": "qwen3_vl"})
    assert build_prompt(tune.family) == "Describe this image."


def test_a_checkpoint_of_ones_own_may_crop_where_the_familys_squash() -> None:
    joycaption = family_named("joycaption")
    assert joycaption is not None
    assert joycaption.image_of("joycaption-beta-one") == ImagePolicy(384, "square")
    assert joycaption.image_of("/some/directory") == ImagePolicy(384, "short")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_the_description_of_a_family_travels(family: Family) -> None:
    told = describe(family)

    assert ModelInfo.model_validate_json(told.model_dump_json()) == told
    assert told.default_variant in [v.name for v in told.variants]
