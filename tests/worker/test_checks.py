"""What would give worse captions in silence is refused by name when the model loads."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.engines import checks
from captiv_worker.engines.chat import ChatEngine
from captiv_worker.engines.kosmos import Kosmos2Engine
from captiv_worker.engines.prefix import Blip2Engine, VitGpt2Engine
from captiv_worker.engines.transformer import Asked, TransformerEngine
from captiv_worker.loader import spec_of
from PIL import Image

from captiv.errors import ModelError

from .checkpoints import PathOf, named
from .test_conformance import choice_of


@pytest.fixture(scope="module")
def blip2(checkpoint_path: PathOf) -> Path:
    return checkpoint_path(named("blip2-opt-2.7b"))


def refused(cls: type[TransformerEngine], path: Path, says: str, dtype: str = "float32") -> None:
    spec = replace(spec_of(choice_of(path), path), device="cpu", dtype=dtype)
    with pytest.raises(ModelError, match=says):
        cls(spec).load(lambda _phase: None)


def test_the_right_one_is_not_refused(blip2: Path) -> None:
    Blip2Engine(replace(spec_of(choice_of(blip2), blip2), device="cpu")).load(lambda _phase: None)


def test_fewer_places_than_the_model_fills(blip2: Path) -> None:
    class Forgetful(Blip2Engine):
        def prepare(self) -> None:
            super().prepare()
            self.processor.num_query_tokens -= 1

    refused(Forgetful, blip2, "puts 3 image tokens into a prompt where the model expects 4")


def test_a_text_that_begins_twice(blip2: Path) -> None:
    class Twice(Blip2Engine):
        def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
            begin = self.tokenizer.bos_token
            return super().ask(images, [begin + (prompt or "") for prompt in prompts])

    refused(Twice, blip2, "a prompt begins 2 times")


def test_a_tokenizer_that_fills_up_on_the_other_side(blip2: Path) -> None:
    class Unprepared(Blip2Engine):
        def prepare(self) -> None:
            super().prepare()
            self.tokenizer.padding_side = "right"

    refused(Unprepared, blip2, "the tokenizer fills up prompts right, the model left")


def test_prompts_that_are_filled_up_on_the_other_side(blip2: Path) -> None:
    class Turned(Blip2Engine):
        def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
            self.tokenizer.padding_side = "right"
            return super().ask(images, prompts)

    class Mixed(Turned):
        def _probes(self) -> list[list[str | None]]:
            return [["a photo of", "a photo of a dog in the street"]]

    refused(Mixed, blip2, "filled up on another side than the left one")


def test_pixels_in_another_precision_than_the_weights(blip2: Path) -> None:
    class Uncast(Blip2Engine):
        def moved(self, inputs: Any) -> Any:
            return inputs.to(self.model.device)

    refused(
        Uncast, blip2, "pixel_values is torch.float32 where the weights are torch.bf", "bfloat16"
    )


@pytest.mark.parametrize("off", [-1, 1])
def test_a_prompt_that_would_be_trimmed_by_guess(blip2: Path, off: int) -> None:
    class Guessing(Blip2Engine):
        def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
            asked = super().ask(images, prompts)
            return replace(asked, echoed=asked.echoed + off)

    refused(Guessing, blip2, "asked for one token the model returns")


def test_a_model_that_does_not_repeat_its_prompt(blip2: Path) -> None:
    class Changed(Blip2Engine):
        def generate(self, *arguments: Any) -> list[list[int]]:
            return [[0, *row[1:]] for row in super().generate(*arguments)]

    refused(Changed, blip2, "does not repeat its prompt")


def test_kosmos_with_fewer_places_than_queries(checkpoint_path: PathOf) -> None:
    class Default(Kosmos2Engine):
        def ask(self, images: list[Image.Image], prompts: Sequence[str | None]) -> Asked:
            inputs = self.processor(
                images=images, text=list(prompts), num_image_tokens=3, return_tensors="pt"
            )
            return Asked(inputs, inputs["input_ids"].shape[1])

    path = checkpoint_path(named("kosmos-2"))
    refused(Default, path, "puts 3 image tokens into a prompt where the model expects 4")


def test_a_tokenizer_with_more_tokens_than_the_model(blip2: Path) -> None:
    class Grown(Blip2Engine):
        def prepare(self) -> None:
            super().prepare()
            self.tokenizer.add_tokens([f"<new_{n}>" for n in range(600)])

    refused(Grown, blip2, "The tokenizer has .* tokens, the model")


def mixed(checkpoint_path: PathOf, tmp_path: Path, of: str, files: str, other: str) -> Path:
    """Return a checkpoint with these files of another model."""
    path = tmp_path / f"{of}-mixed"
    shutil.copytree(checkpoint_path(named(of)), path)
    for file in checkpoint_path(named(other)).glob(files):
        shutil.copy(file, path)
    return path


def test_a_tokenizer_to_which_the_end_ends_nothing(checkpoint_path: PathOf, tmp_path: Path) -> None:
    path = mixed(checkpoint_path, tmp_path, "vit-gpt2", "tokenizer*", "git-large")

    refused(VitGpt2Engine, path, "to the tokenizer that ends nothing")


def test_a_processor_of_another_model_is_refused_in_a_sentence(
    checkpoint_path: PathOf, tmp_path: Path
) -> None:
    """The library knows no such mistake, and stumbles over what the processor does not have."""
    path = mixed(
        checkpoint_path, tmp_path, "joycaption-beta-one", "processor_config.json", "smolvlm-256m"
    )

    refused(ChatEngine, path, "do not go together: AttributeError")


def test_files_that_cannot_be_moved_to_the_device(blip2: Path) -> None:
    class Quantised(Blip2Engine):
        def _place(self) -> None:
            raise ValueError("`.to` is not supported for `8-bit` models. Use the model as it is.")

    refused(Quantised, blip2, "`.to` is not supported for `8-bit` models")


@pytest.mark.parametrize("masked", [float("-inf"), -3.4e38])
def test_tokens_that_a_model_never_writes_are_no_scores(masked: float) -> None:
    import torch

    alone = torch.tensor([0.0, 10.0, masked, masked])

    checks.check_alike(alone.clone(), alone, exact=True)
    for other in ([0.0, 10.1, masked, masked], [0.0, 10.0, masked, 3.0], [0.0, 10.0, masked, nan]):
        with pytest.raises(ModelError, match="other scores in a batch than alone"):
            checks.check_alike(torch.tensor(other), alone, exact=True)
