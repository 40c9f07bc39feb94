"""Which engine drives a model: what is asked, what is installed, and what each can do."""

import pytest
from captiv_worker.engines.choice import (
    AUTO,
    ONNXRUNTIME,
    TRANSFORMERS,
    VLLM,
    available,
    check_generation,
    choose_engine,
)
from captiv_worker.settings import parse

from captiv.catalog import Family, choose, choose_source
from captiv.errors import ModelError, UsageError
from captiv.wire import Generation

from .vllm import Standin, standin

__all__ = ["standin"]


def family(name: str) -> Family:
    choice = choose(name)
    assert choice is not None
    return choice.family


def chosen(asked: str, model: str = "joycaption", dtype: str = "auto", device: str = "auto") -> str:
    return choose_engine(asked, family(model), dtype=dtype, device=device)


def test_auto_takes_vllm_only_where_it_is_installed(standin: Standin) -> None:
    assert chosen(AUTO) == TRANSFORMERS
    assert available() == [TRANSFORMERS, ONNXRUNTIME]

    standin()

    assert chosen(AUTO) == VLLM
    assert available() == [TRANSFORMERS, ONNXRUNTIME, VLLM]


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "blip"},
        {"model": "smolvlm"},
        {"dtype": "8bit"},
        {"dtype": "4bit"},
        {"device": "mps"},
        {"device": "cpu"},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_auto_takes_the_other_engine_for_what_vllm_cannot_honour(
    standin: Standin, asked: dict[str, str]
) -> None:
    standin()

    assert chosen(AUTO, **asked) == TRANSFORMERS


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"model": "blip"}, "does not drive BLIP"),
        ({"dtype": "8bit"}, "vLLM has no 8bit"),
        ({"dtype": "4bit"}, "vLLM has no 4bit"),
        ({"device": "mps"}, "on mps"),
    ],
    ids=str,
)
def test_vllm_is_refused_by_name_what_it_cannot_honour(asked: dict[str, str], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        chosen(VLLM, **asked)


def test_what_is_asked_for_is_taken(standin: Standin) -> None:
    standin()

    assert chosen(TRANSFORMERS) == TRANSFORMERS
    assert chosen(VLLM, dtype="float32", device="cpu") == VLLM


def test_beams_are_refused_under_vllm_alone() -> None:
    check_generation(TRANSFORMERS, Generation(num_beams=3))
    check_generation(VLLM, Generation(num_beams=1, temperature=0.5, seed=3))

    with pytest.raises(UsageError, match="3 beams"):
        check_generation(VLLM, Generation(num_beams=3))


def test_vllm_honours_a_presence_penalty_and_forbids_no_repeats() -> None:
    check_generation(VLLM, Generation(presence_penalty=1.5, early_stopping=1))
    check_generation(VLLM, Generation(no_repeat_ngram_size=0))
    check_generation(TRANSFORMERS, Generation(no_repeat_ngram_size=3))

    with pytest.raises(UsageError, match="no_repeat_ngram_size 3"):
        check_generation(VLLM, Generation(no_repeat_ngram_size=3))


def test_auto_leaves_a_checkpoint_that_forbids_repeats_to_transformers(standin: Standin) -> None:
    standin()
    own = choose_source("mine", {"model_type": "qwen3_vl"}, {"no_repeat_ngram_size": 3}).family

    assert choose_engine(AUTO, own, dtype="auto", device="auto") == TRANSFORMERS


@pytest.mark.parametrize("engine", ["auto", "transformers", "vllm", "my.module:Engine"])
def test_an_engine_is_one_of_captivs_or_one_of_ones_own(engine: str) -> None:
    settings = parse(["--no-token", "--engine", engine], {})

    assert settings.engine == engine
    assert settings.own_engine == (engine if ":" in engine else None)


def test_another_word_is_no_engine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--no-token", "--engine", "vlm"], {})

    assert "auto, transformers, vllm or MODULE:ATTRIBUTE" in capsys.readouterr().err


def test_a_tagger_is_driven_by_onnxruntime_whatever_drives_others(standin: Standin) -> None:
    standin()

    assert chosen(AUTO, "wd-tagger") == chosen(TRANSFORMERS, "wd-tagger") == ONNXRUNTIME
    with pytest.raises(ModelError, match="does not drive WD tagger"):
        chosen(VLLM, "wd-tagger")
