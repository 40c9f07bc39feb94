"""What captiv does with a checkpoint that its catalog doesn't name, before anything is fetched."""

import json
from pathlib import Path
from typing import Any

import pytest

from captiv.catalog import build_prompt, choose, choose_like, choose_source, family_named
from captiv.catalog.declared import TRIED, WITHOUT_PILLOW
from captiv.errors import ModelError, UsageError
from captiv.workers.hub import read_config, require_weights

SIGLIP = {"model_type": "siglip_vision_model"}
CLIP = {"model_type": "clip_vision_model"}
LLAMA = {"model_type": "llama"}
CODE = {"auto_map": {"AutoModel": "modeling_mine.Mine"}}


def chosen(source: str, **config: Any) -> tuple[str, str]:
    choice = choose_source(source, config)
    return choice.family.name, choice.family.architecture.engine


def refused(source: str, **config: Any) -> str:
    with pytest.raises(UsageError) as error:
        choose_source(source, config)
    return f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize(
    ("source", "config", "family"),
    [
        ("x/tuned", {"image_token_index": 128077, "vision_config": SIGLIP}, "joycaption"),
        ("x/JoyCaption-v3", {"image_token_index": 7, "vision_config": SIGLIP}, "joycaption"),
        ("x/tuned", {"image_token_index": 7, "vision_config": SIGLIP}, "llava"),
        ("llava-hf/llava-1.5-13b-hf", {"image_token_index": 32000, "vision_config": CLIP}, "llava"),
        ("x/JoyCaption", {"image_token_index": 32000, "vision_config": CLIP}, "llava"),
        ("x/odd", {"vision_config": {"model_type": "pixtral"}}, "chat-model"),
    ],
)
def test_a_llava_is_told_by_its_image_token_its_tower_and_its_name(
    source: str, config: dict[str, Any], family: str
) -> None:
    assert chosen(source, model_type="llava", text_config=LLAMA, **config)[0] == family


def test_a_source_that_is_given_as_joycaption_needs_no_mark() -> None:
    joycaption = family_named("joycaption")
    assert joycaption is not None
    config = {"model_type": "llava", "text_config": LLAMA, "vision_config": SIGLIP}

    assert choose_like(joycaption, "x/y", config) is not None
    assert choose_like(joycaption, "x/y", {**config, "vision_config": CLIP}) is None


def test_newer_llavas_are_of_the_family_and_drive_themselves() -> None:
    assert chosen("x/y", model_type="llava_next") == ("llava", "declared")
    assert chosen("x/y", model_type="llava_onevision") == ("llava", "declared")


def test_a_chat_model_without_an_entry_is_asked_by_what_it_declares() -> None:
    choice = choose_source("x/y", {"model_type": "aya_vision"})

    assert (choice.family.name, choice.variant.name) == ("chat-model", "x/y")
    assert choice.family.architecture.model_type == "aya_vision"
    assert choice.family.takes_prompt
    assert family_named("chat-model") is not None
    with pytest.raises(UsageError, match="stands for chat models"):
        choose("chat-model")


def test_the_types_are_those_of_transformers_and_no_others() -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    known = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    pillow = {t for t, names in IMAGE_PROCESSOR_MAPPING_NAMES.items() if names.get("pil")}

    assert known >= TRIED | WITHOUT_PILLOW
    assert not TRIED & WITHOUT_PILLOW
    assert pillow | {"qwen3_vl_moe"} >= TRIED  # its files name Qwen2-VL's
    assert WITHOUT_PILLOW - pillow == WITHOUT_PILLOW - {"mistral3", "mistral_large4"}


def test_a_family_without_a_processor_for_pillow_is_for_a_server() -> None:
    said = refused("CohereLabs/aya", model_type="cohere2_vision")

    assert "torchvision" in said
    assert "`vllm serve CohereLabs/aya --limit-mm-per-prompt" in said
    assert "--protocol openai" in said


def test_code_of_its_own_is_refused_unless_transformers_has_the_layout() -> None:
    said = refused("x/y", model_type="internvl_chat", **CODE)

    assert "trust_remote_code=False" in said
    assert "vllm serve x/y --trust-remote-code" in said
    assert chosen("x/y-HF", model_type="internvl", **CODE)[0] == "internvl"


def test_a_fine_tune_of_the_first_florence_is_refused_before_anything_is_fetched() -> None:
    said = refused("x/PromptGen", model_type="florence2", **CODE)

    assert "Florence-2's first release" in said
    assert "florence-community" in said
    assert chosen("x/converted", model_type="florence2")[0] == "florence2"


@pytest.mark.parametrize("source", ["x/y-GGUF", "model-Q4_K_M.gguf", "x/y/model.gguf"])
def test_a_gguf_is_for_llama_cpp(source: str) -> None:
    with pytest.raises(UsageError, match="GGUF") as error:
        read_config(source)

    assert "llama-server -m MODEL.gguf --mmproj MMPROJ.gguf" in str(error.value.hint)


def test_a_folder_of_gguf_files_is_for_llama_cpp(tmp_path: Path) -> None:
    (tmp_path / "model-Q8_0.gguf").touch()

    with pytest.raises(UsageError, match="GGUF"):
        read_config(str(tmp_path))


@pytest.mark.parametrize("with_config", [False, True])
def test_an_adapter_is_refused_with_how_to_merge_it(tmp_path: Path, with_config: bool) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct"})
    )
    (tmp_path / "adapter_model.safetensors").touch()
    if with_config:
        (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')

    with pytest.raises(UsageError, match="adapter for Qwen/Qwen2-VL-7B-Instruct") as error:
        read_config(str(tmp_path))

    assert "merge_and_unload" in str(error.value.hint)
    assert "vllm serve Qwen/Qwen2-VL-7B-Instruct --enable-lora" in str(error.value.hint)


def test_a_model_with_an_adapter_merged_beside_it_is_a_model(tmp_path: Path) -> None:
    for name in ("adapter_config.json", "config.json"):
        (tmp_path / name).write_text('{"model_type": "qwen2_vl"}')
    (tmp_path / "model.safetensors").touch()

    assert read_config(str(tmp_path)) == {"model_type": "qwen2_vl"}
    require_weights(str(tmp_path))


def test_a_worker_says_the_same_of_a_directory(tmp_path: Path) -> None:
    from captiv_worker.models import resolve

    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    with pytest.raises((ModelError, UsageError), match="adapter for a/b"):
        resolve(str(tmp_path), None, None, lambda *_: None)


def test_a_fine_tune_of_florence_is_asked_with_a_task_of_its_own() -> None:
    tuned = choose_source("x/tuned", {"model_type": "florence2"})
    named = choose("florence2")
    assert named is not None

    assert build_prompt(tuned.family, prompt="<MIXED_CAPTION>") == "<MIXED_CAPTION>"
    with pytest.raises(UsageError):
        build_prompt(named.family, prompt="<MIXED_CAPTION>")
