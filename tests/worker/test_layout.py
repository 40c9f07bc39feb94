"""Checkpoints as the hub still has them: saved by older releases, in more files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from captiv_worker.hub import is_whole

from .checkpoints import CHECKPOINTS, Checkpoint, PathOf, named
from .checkpoints.checkpoint import change
from .test_conformance import answers, asked, choice_of, loaded

EVERY = pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda c: c.variant)


def older(path: Path, copy: Path, suffix: str) -> Path:
    """Copy a checkpoint as releases before 5 saved it; `Fast` image processors need torchvision."""
    shutil.copytree(path, copy)
    file = copy / "processor_config.json"
    whole: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    pixels = whole.pop("image_processor", None)
    if pixels is not None:
        pixels["image_processor_type"] = pixels["image_processor_type"] + suffix
        pixels["processor_class"] = whole["processor_class"]
        (copy / "preprocessor_config.json").write_text(json.dumps(pixels))
        file.write_text(json.dumps(whole))
    return copy


@EVERY
def test_it_loads_and_says_the_same(
    checkpoint: Checkpoint, checkpoint_path: PathOf, tmp_path: Path
) -> None:
    path = checkpoint_path(checkpoint)
    copy = older(path, tmp_path / f"{checkpoint.variant}-older", "Fast")
    items = asked([loaded(path).spec.prompts[0]])[:2]

    assert is_whole(copy)
    assert answers(loaded(copy), items) == answers(loaded(path), items)


@pytest.mark.slow
@pytest.mark.parametrize(
    "checkpoint", [named("vit-gpt2"), named("blip-large")], ids=lambda c: c.variant
)
def test_weights_in_the_old_format_load(
    checkpoint: Checkpoint, checkpoint_path: PathOf, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    path = checkpoint_path(checkpoint)
    copy = older(path, tmp_path / "older", "")
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    items = asked([None])[:2]

    assert is_whole(copy)
    assert choice_of(copy).family == choice_of(path).family
    assert answers(loaded(copy), items) == answers(loaded(path), items)


@pytest.mark.parametrize("variant", ["florence2-large", "vit-gpt2", "git-large", "kosmos-2"])
def test_what_the_checkpoint_says_of_beams_and_lengths_yields_to_what_is_asked(
    variant: str, checkpoint_path: PathOf, tmp_path: Path
) -> None:
    path = checkpoint_path(named(variant))
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    change(
        copy / "generation_config.json",
        num_beams=3,
        early_stopping=True,
        max_length=4,
        do_sample=True,
        temperature=0.6,
        top_p=0.9,
    )
    items = asked([loaded(path).spec.prompts[0]])[:2]

    assert answers(loaded(copy), items) == answers(loaded(path), items)
