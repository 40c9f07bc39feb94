"""A checkpoint that is taken at its word: read without its other halves, and tried as it loads."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from captiv_worker.engines.declared import DeclaredEngine
from captiv_worker.engines.dialects import pillow_only
from captiv_worker.loader import spec_of
from PIL import Image

from captiv.errors import ModelError

from .checkpoints import PathOf, named
from .checkpoints.checkpoint import change
from .test_conformance import choice_of


def refused(cls: type[DeclaredEngine], path: Path) -> str:
    spec = replace(spec_of(choice_of(path), path), device="cpu", dtype="float32")
    with pytest.raises(ModelError) as error:
        cls(spec).load(lambda _phase: None)
    return f"{error.value.message} {error.value.hint}"


@pytest.fixture(scope="module")
def onevision(checkpoint_path: PathOf) -> Path:
    return checkpoint_path(named("llava-onevision-7b"))


def test_what_an_image_gets_otherwise_in_a_batch_is_refused_with_what_else_can_caption(
    checkpoint_path: PathOf,
) -> None:
    class Confused(DeclaredEngine):
        def _first_scores(self, images: list[Image.Image]) -> Any:
            return super()._first_scores(images[::-1])

    path = checkpoint_path(named("llava-next-7b"))

    said = refused(Confused, path)

    assert "gets other scores in a batch than alone" in said
    assert f"`vllm serve {path} --limit-mm-per-prompt" in said


def test_a_model_that_makes_other_features_than_its_prompt_has_places(
    onevision: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(onevision, tmp_path / "copy"))
    change(path / "processor_config.json", num_image_tokens=4)

    assert "image tokens into a prompt where the model expects" in refused(DeclaredEngine, path)


def test_a_processor_that_transformers_does_not_have(onevision: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(onevision, tmp_path / "copy"))
    change(path / "processor_config.json", processor_class="OddProcessor")

    assert "has no OddProcessor" in refused(DeclaredEngine, path)


def test_a_processor_that_names_its_video_half_is_read_without_it(
    onevision: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(onevision, tmp_path / "copy"))
    change(path / "processor_config.json", video_processor={"video_processor_type": "Odd"})
    spec = replace(spec_of(choice_of(path), path), device="cpu", dtype="float32")
    engine = DeclaredEngine(spec)

    engine.load(lambda _phase: None)

    assert engine.processor.video_processor is None
    assert engine.processor.num_image_tokens == 16


def test_images_are_resized_by_pillow_whatever_reads_the_processor(onevision: Path) -> None:
    import transformers

    other = SimpleNamespace(image_processor=object())

    read = pillow_only(other, transformers, onevision)

    assert type(read.image_processor).__name__ == "LlavaOnevisionImageProcessorPil"
