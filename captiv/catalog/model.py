"""The values that describe a model family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from captiv.wire import Generation

BUILTIN = "builtin:"
"""Prefix of a source whose weights are shipped inside the worker package."""


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What of an image the model can see, so that no more is sent.

    `short`: the model squashes or crops to a square, so the short edge must keep `size_px`;
    `long`: it fits the picture into a square, so the long edge is enough (measured in
    docs/benchmarks.md; a panorama limited by its long edge loses 17 dB under a squashing model).
    """

    size_px: int
    rule: Literal["short", "long"] = "short"


@dataclass(frozen=True, slots=True)
class Variant:
    """One checkpoint of a family."""

    name: str
    source: str
    """Hub id, local directory, or `builtin:NAME`."""
    download_bytes: int | None = None
    vram_gb: Mapping[str, float] = field(default_factory=dict)
    """Memory in GB to caption at batch 1, by precision."""
    images_per_s: float | None = None
    """What a pod captions at least, as measured in docs/benchmarks.md; None until that was done."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Mode:
    """A named way of asking."""

    name: str
    prompt: str | None
    """None asks without a text."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """A sentence that may be added to the prompt; `{name}` in it is a variable."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are driven the same way."""

    name: str
    title: str
    engine: str
    """Which engine of the worker drives it."""
    model_types: tuple[str, ...]
    """`model_type` of a checkpoint's config.json, by which a local directory is recognised."""
    variants: tuple[Variant, ...]
    default_variant: str
    modes: tuple[Mode, ...]
    image: ImagePolicy
    generation: Generation
    options: tuple[Option, ...] = ()
    takes_prompt: bool = False
    """Whether a text of the user's own may be given."""
    licence: str = ""
    note: str = ""

    def variant(self, name: str) -> Variant | None:
        """Return the variant of that name, or None."""
        return next((v for v in self.variants if v.name == name), None)

    def mode(self, name: str) -> Mode | None:
        """Return the mode of that name, or None."""
        return next((m for m in self.modes if m.name == name), None)
