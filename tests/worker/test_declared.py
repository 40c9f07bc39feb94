"""A checkpoint that is taken at its word: read without its other halves, and tried as it loads."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from captiv_worker.engines.declared import Declared, DeclaredEngine
from captiv_worker.engines.dialects import QwenVl, Unfit, pillow_only
from captiv_worker.engines.spec import OutOfMemory
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


def test_an_image_token_that_the_model_never_writes_is_in_its_vocabulary(onevision: Path) -> None:
    class Wide(DeclaredEngine):
        def read_model(self) -> Any:
            model = super().read_model()
            model.config.get_text_config(decoder=True).vocab_size -= 1  # as Mllama's says
            return model

    spec = replace(spec_of(choice_of(onevision), onevision), device="cpu", dtype="float32")

    assert Wide(spec).load(lambda _phase: None).dtype == "float32"


def test_a_processor_of_torchvision_alone_is_refused(onevision: Path) -> None:
    class Auto:
        @staticmethod
        def from_pretrained(*_: Any, **__: Any) -> Any:
            return Odd()

    class Odd: ...

    other = SimpleNamespace(image_processor=Odd())

    with pytest.raises(ModelError, match="Odd is of torchvision"):
        pillow_only(other, SimpleNamespace(AutoImageProcessor=Auto), onevision)


def test_no_code_of_a_checkpoint_is_run_for_its_processor(onevision: Path) -> None:
    class Own:
        @classmethod
        def from_pretrained(cls, _path: Path, **arguments: Any) -> Any:
            return arguments

    asked = QwenVl("Own").read_processor(SimpleNamespace(Own=Own), onevision)

    assert asked == {"local_files_only": True, "trust_remote_code": False}


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (MemoryError(), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (ValueError("too narrow"), Unfit),
    ],
    ids=["memory", "torch's", "shape"],
)
def test_an_image_is_not_to_blame_where_memory_is_short(
    raised: Exception, becomes: type[Exception]
) -> None:
    class Short:
        image_token = "<image>"

        def __call__(self, **_: Any) -> Any:
            raise raised

    with pytest.raises(becomes):
        Declared().image_tokens(Short(), None, (64, 48))
