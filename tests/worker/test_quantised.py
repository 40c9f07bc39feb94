"""8 and 4 bit by bitsandbytes, on this CPU: which modules are quantised, and that captions come."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.engines import Answer, build_engine
from captiv_worker.engines.quantised import check_quantised, quantised_modules
from captiv_worker.engines.transformer import TransformerEngine
from captiv_worker.loader import spec_of

from captiv.catalog import FAMILIES
from captiv.catalog.model import QUANTISED
from captiv.errors import ModelError

from .checkpoints import PathOf, named
from .conftest import Serve, picture
from .test_conformance import GREEDY, asked, choice_of

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("bitsandbytes", "accelerate")),
    reason="the extra `quant` is not installed",
)

OTHERS = (
    "blip2-opt-2.7b",
    "blip2-flan-t5-xl",
    "qwen3-vl-2b",
    "qwen2.5-vl-3b",
    "smolvlm2-500m",
    "smolvlm-256m",
)
SOME = ("joycaption-beta-one", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS))


def loaded(path: Path, dtype: str, **architecture: Any) -> TransformerEngine:
    spec = spec_of(choice_of(path), path)
    assert spec.architecture is not None
    own = replace(spec.architecture, **architecture)
    engine = build_engine(replace(spec, device="cpu", dtype=dtype, architecture=own))
    found = engine.load(lambda _phase: None)
    assert isinstance(engine, TransformerEngine)
    assert (found.device, found.dtype) == ("cpu", dtype)
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("dtype", QUANTISED)
def test_of_joycaption_the_language_model_is_quantised_and_nothing_else(
    checkpoint_path: PathOf, dtype: str
) -> None:
    engine = loaded(checkpoint_path(named("joycaption-beta-one")), dtype)

    quantised = quantised_modules(engine.model)
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert len(quantised) == 2 * len(layers)
    assert all(name.startswith("model.language_model.layers.") for name in quantised)
    assert {name.rpartition(".")[2] for name in quantised} == set(layers)
    kinds = {type(engine.model.get_submodule(name)).__name__ for name in quantised}
    assert kinds == {"Linear8bitLt" if dtype == "8bit" else "Linear4bit"}


def test_4_bit_is_nf4_quantised_twice(checkpoint_path: PathOf) -> None:
    engine = loaded(checkpoint_path(named("joycaption-beta-one")), "4bit")

    config = engine.model.config.quantization_config
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
    weight = engine.model.get_submodule(quantised_modules(engine.model)[0]).weight
    assert weight.quant_state.quant_type == "nf4"


@pytest.mark.parametrize("dtype", QUANTISED)
def test_the_vision_tower_sees_what_it_saw(checkpoint_path: PathOf, dtype: str) -> None:
    path = checkpoint_path(named("joycaption-beta-one"))
    plain, small = loaded(path, "float32"), loaded(path, dtype)
    images = [item.image for item in asked(["What?"])]

    def features(engine: TransformerEngine) -> Any:
        inputs = engine.moved(engine.ask(images, ["What?"] * len(images)).inputs)
        return engine.model.get_image_features(pixel_values=inputs["pixel_values"]).pooler_output

    for seen, wanted in zip(features(small), features(plain), strict=True):
        assert (seen - wanted).abs().max().item() == 0


@pytest.mark.parametrize("dtype", QUANTISED)
@pytest.mark.parametrize("variant", SOME)
def test_captions_come(
    checkpoint_path: PathOf,
    variant: str,
    dtype: str,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("checkpoint", variant)
    engine = loaded(checkpoint_path(named(variant)), dtype)

    outcomes = engine.caption(asked(["Describe it."]))

    assert all(isinstance(outcome, Answer) and outcome.text for outcome in outcomes)
    assert len({str(outcome) for outcome in outcomes}) > 1
    record_property("dtype", dtype)


@pytest.mark.parametrize("variant", ["blip2-opt-2.7b", "blip2-flan-t5-xl"])
def test_of_blip_2_the_language_model_is_quantised_and_nothing_else(
    checkpoint_path: PathOf, variant: str
) -> None:
    engine = loaded(checkpoint_path(named(variant)), "8bit")

    quantised = quantised_modules(engine.model)
    assert len(quantised) == (12 if "opt" in variant else 32)
    assert all(name.startswith("language_model.") for name in quantised)
    assert "language_model.lm_head" not in quantised


def test_the_log_is_not_filled_with_a_line_for_each_layer_at_each_token(
    checkpoint_path: PathOf, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(checkpoint_path(named("joycaption-beta-one")), "8bit")

    engine.caption(asked(["Describe it."]))

    assert "MatMul8bitLt" not in caplog.text


def test_what_is_to_be_left_alone_and_was_not_is_named(checkpoint_path: PathOf) -> None:
    path = checkpoint_path(named("joycaption-beta-one"))

    with pytest.raises(ModelError, match="no module vision_tower, which was to be left alone"):
        loaded(path, "8bit", left_alone=("vision_tower", "lm_head"))

    engine = loaded(path, "8bit", left_alone=("lm_head",))
    assert any(name.startswith("model.vision_tower") for name in quantised_modules(engine.model))
    with pytest.raises(ModelError, match=r"model\.vision_tower\..* was quantised"):
        check_quantised(engine.model, ("model.vision_tower", "lm_head"))


def test_a_family_that_nobody_has_tried_is_refused_in_words(checkpoint_path: PathOf) -> None:
    with pytest.raises(ModelError, match="does not run in 8bit"):
        loaded(checkpoint_path(named("git-large")), "8bit")


def test_through_the_workers_own_door(checkpoint_path: PathOf, serve: Serve) -> None:
    path = checkpoint_path(named("joycaption-beta-one"))
    served = serve(engine="auto", model=str(path), device="cpu", dtype="4bit")

    generation = GREEDY.model_dump(exclude_none=True)
    answer = served.caption(picture("red"), generation=generation)

    assert answer.status_code == 200, answer.text
    assert served.client.get("/health").json()["dtype"] == "4bit"


def test_the_catalog_names_memory_for_each_precision_that_can_be_had() -> None:
    for family in FAMILIES:
        for variant in family.variants:
            quantised = set(variant.vram_gb) & set(QUANTISED)
            can_be = set(QUANTISED) if family.of(variant).architecture.left_alone else set()
            assert quantised == can_be, variant.name
