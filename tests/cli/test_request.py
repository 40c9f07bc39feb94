"""From options and settings to what a run is asked to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.settings import parse

from captiv.core.spec import RunSpec
from captiv.errors import UsageError
from captiv.request.options import Options
from captiv.request.run import contradicted, request
from captiv.settings import Settings
from captiv.wire import Generation

SIXTEEN = Settings.model_validate({"worker": {"batch_size": 16}})


@pytest.mark.parametrize(
    ("given", "settings", "size"),
    [
        (None, Settings(), None),
        (None, SIXTEEN, 16),
        ("4", SIXTEEN, 4),
        ("auto", SIXTEEN, None),
    ],
)
def test_a_batch_size_is_a_number_or_found_by_the_worker(
    tmp_path: Path, given: str | None, settings: Settings, size: int | None
) -> None:
    spec, _ = request(Options(paths=[tmp_path], batch_size=given), settings)

    assert spec.placement.batch_size == size


def test_a_model_that_is_not_quantised_says_so_and_ignores_a_default(tmp_path: Path) -> None:
    eight = Settings.model_validate({"system": {"default_torch_dtype": "8bit"}})

    with pytest.raises(UsageError, match="blip does not run in 4bit"):
        request(Options(paths=[tmp_path], model="blip", dtype="4bit"), Settings())
    half = Settings.model_validate({"system": {"default_torch_dtype": "float16"}})
    assert request(Options(paths=[tmp_path], model="gemma3"), half)[0].captioning.dtype == "auto"
    with pytest.raises(UsageError, match="gemma3 does not run in float16") as refused:
        request(Options(paths=[tmp_path], model="gemma3", dtype="float16"), Settings())
    assert refused.value.hint == "It has: auto, float32, bfloat16."

    plain, _ = request(Options(paths=[tmp_path], model="blip"), eight)
    joy, _ = request(Options(paths=[tmp_path], model="joycaption"), eight)
    assert (plain.captioning.dtype, joy.captioning.dtype) == ("auto", "8bit")


def test_a_precision_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bfloat16, 8bit, 4bit, not 'fp16'"):
        request(Options(paths=[tmp_path], dtype="fp16"), Settings())


@pytest.mark.parametrize("given", ["0", "1025", "-1", "many", "1.5", ""])
def test_any_other_batch_size_is_refused_in_words(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="from 1 to 1024, or auto"):
        request(Options(paths=[tmp_path], batch_size=given), Settings())


def joy(tmp_path: Path, settings: Settings | None = None, **asked: Any) -> RunSpec:
    return request(Options(paths=[tmp_path], model="joycaption", **asked), settings or Settings())[
        0
    ]


def settled(**model: str) -> Settings:
    return Settings.model_validate({"model": model})


def test_joycaption_is_asked_in_the_words_that_it_was_trained_on(tmp_path: Path) -> None:
    asked = joy(
        tmp_path,
        mode="booru",
        length="very long",
        prompt_options=("character_name", "keep_pg"),
        prompt_variables={"character_name": "Ada {x}"},
    ).captioning

    assert asked.prompt == (
        "Write a very long list of Booru-like tags for this image. If there is a person/character "
        "in the image you must refer to them as Ada {x}. Do NOT include anything sexual; keep it "
        "PG."
    )
    assert (asked.mode, asked.length) == ("booru", "very long")
    assert asked.generation == Generation(
        max_new_tokens=512,
        min_new_tokens=0,
        num_beams=1,
        temperature=0.6,
        top_p=0.9,
        top_k=0,
        repetition_penalty=1,
    )


def test_a_length_is_part_of_the_run_and_of_the_key_of_its_answers(tmp_path: Path) -> None:
    specs = [joy(tmp_path, length=length) for length in (None, "any", "short", "20", "30")]

    assert len({spec.fingerprint() for spec in specs}) == len(specs)
    assert len({spec.generation_digest() for spec in specs}) == len(specs)
    same = joy(tmp_path, length="030")
    assert same.fingerprint() == specs[-1].fingerprint()


def test_the_settings_give_mode_and_length_where_nobody_says(tmp_path: Path) -> None:
    settings = settled(joycaption_mode="midjourney", joycaption_length="short")

    assert joy(tmp_path, settings).captioning.prompt == (
        "Write a short MidJourney prompt for this image."
    )
    assert joy(tmp_path, settings, length="any").captioning.prompt == (
        "Write a MidJourney prompt for this image."
    )


@pytest.mark.parametrize("asked", [{"mode": "poetic"}, {"prompt": "A haiku, please."}])
def test_a_length_of_the_settings_is_left_out_where_there_is_no_room_for_it(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    spec = joy(tmp_path, settled(joycaption_length="short"), **asked)

    assert spec.captioning.length is None
    with pytest.raises(UsageError):
        joy(tmp_path, length="short", **asked)


def test_a_default_length_is_the_default_models(tmp_path: Path) -> None:
    settings = settled(default_model="joycaption", default_length="40")

    spec, _ = request(Options(paths=[tmp_path]), settings)

    assert (
        spec.captioning.prompt == "Write a detailed description for this image in 40 words or less."
    )


def test_options_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    for mode, prompt, count in (("straightforward", None, 2), (None, "My own.", 1)):
        options = Options(
            paths=[tmp_path],
            model="joycaption",
            mode=mode,
            prompt=prompt,
            prompt_options=("exclude_text", "keep_pg", "use_vulgar_language"),
        )
        spec, choice = request(options, Settings())
        assert len(contradicted(options, spec, choice)) == count


def test_what_has_no_effect_on_the_prompt_is_named(tmp_path: Path) -> None:
    options = Options(
        paths=[tmp_path],
        model="joycaption",
        mode="booru",
        prompt="Of {name}.",
        prompt_variables={"name": "Ada", "nome": "Bob"},
    )
    spec, choice = request(options, Settings())

    assert spec.captioning.prompt == "Of Ada."
    assert contradicted(options, spec, choice) == [
        "The prompt takes the place of the mode booru.",
        "The variable nome fills nothing: there is no {nome} in the prompt.",
    ]


def test_a_mode_that_there_is_not_is_refused_beside_a_prompt_too(tmp_path: Path) -> None:
    options = Options(paths=[tmp_path], model="joycaption", mode="nonsense", prompt="A haiku.")

    with pytest.raises(UsageError, match="no mode 'nonsense'"):
        request(options, Settings())


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model-00001-of-2.bin"])
def test_a_folder_without_weights_is_refused_before_a_worker_starts(
    tmp_path: Path, weights: str
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "git"}')
    asked = Options(paths=[tmp_path], model=str(tmp_path))

    with pytest.raises(UsageError, match=r"holds no weights"):
        request(asked, Settings())

    (tmp_path / weights).touch()
    spec, _ = request(asked, Settings())
    assert spec.captioning.model == "git"


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:one", "cpu:1", "mps:0", "cuda:1\n"])
def test_a_device_that_there_is_not_is_refused_with_those_that_there_are(
    tmp_path: Path, device: str
) -> None:
    with pytest.raises(UsageError, match="--device is auto, cpu, mps, cuda"):
        request(Options(paths=[tmp_path], device=device), Settings())


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "xpu:0", "mps"])
def test_every_device_that_captiv_names_is_one_that_a_worker_takes(
    tmp_path: Path, device: str
) -> None:
    spec, _ = request(Options(paths=[tmp_path], device=device), Settings())

    started = parse(["--device", spec.placement.device], {"CAPTIV_WORKER_TOKEN": "t"})
    assert started.device == device


@pytest.mark.parametrize(
    ("asked", "beams"),
    [
        ({}, 3),
        ({"temperature": 0.7}, 1),
        ({"temperature": 0.0}, 3),
        ({"temperature": 0.7, "num_beams": 4}, 4),
    ],
)
def test_who_asks_for_sampling_gets_no_beams_of_the_family(
    tmp_path: Path, asked: dict[str, float], beams: int
) -> None:
    spec, _ = request(Options(paths=[tmp_path], model="blip", generation=asked), Settings())

    assert spec.captioning.generation.num_beams == beams


def test_a_checkpoint_says_that_nothing_repeats_unless_it_is_told_otherwise(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (tmp_path / "generation_config.json").write_text('{"no_repeat_ngram_size": 3}')
    (tmp_path / "model.safetensors").touch()
    asked = Options(paths=[tmp_path], model=str(tmp_path), engine="vllm")

    with pytest.raises(UsageError, match="no_repeat_ngram_size 3, and vLLM can't"):
        request(asked, Settings())

    allowed = replace(asked, generation={"no_repeat_ngram_size": 0})
    spec, _ = request(allowed, Settings())
    assert spec.captioning.generation.no_repeat_ngram_size == 0
    assert spec.captioning.generation.presence_penalty == 1.5


def test_another_penalty_is_another_run(tmp_path: Path) -> None:
    def fingerprint(**generation: float) -> str:
        options = Options(paths=[tmp_path], model="qwen-vl", generation=generation)
        spec, _ = request(options, Settings())
        return spec.fingerprint()

    assert fingerprint() == fingerprint(presence_penalty=1.5) != fingerprint(presence_penalty=1.0)
