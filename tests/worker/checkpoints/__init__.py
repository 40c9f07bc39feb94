"""Tiny checkpoints of random weights, one for every architecture that captiv drives.

Each is built with its family's own classes, processor and tokenizer, and saved as a hub directory
is. What it says is nonsense, but depends on the picture: that is what the tests compare.
"""

from tests.worker.checkpoints import (
    blip,
    blip2,
    declared,
    florence2,
    git,
    kosmos,
    llava,
    qwen_vl,
    smolvlm,
    vit_gpt2,
)
from tests.worker.checkpoints.checkpoint import Checkpoint, PathOf

CHECKPOINTS: tuple[Checkpoint, ...] = (
    *blip.CHECKPOINTS,
    *blip2.CHECKPOINTS,
    *declared.CHECKPOINTS,
    *florence2.CHECKPOINTS,
    *git.CHECKPOINTS,
    *kosmos.CHECKPOINTS,
    *llava.CHECKPOINTS,
    *qwen_vl.CHECKPOINTS,
    *smolvlm.CHECKPOINTS,
    *vit_gpt2.CHECKPOINTS,
)

__all__ = ["CHECKPOINTS", "Checkpoint", "PathOf", "named"]


def named(variant: str) -> Checkpoint:
    """Return the checkpoint that is like this variant."""
    return next(checkpoint for checkpoint in CHECKPOINTS if checkpoint.variant == variant)
