"""What an engine is: values in, values out; it knows no queue, file or event loop.

A batch shares one prompt text and one set of generation settings, which makes every family
batch-invariant: the caption of an image does not depend on its neighbours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from PIL import Image

from captiv.wire import Generation

Progress = Callable[[str], None]
"""Told the phase that a load has reached, as one word."""


class OutOfMemory(Exception):
    """The device has no memory for a batch of this size; a smaller one may fit."""


class DeviceLost(Exception):
    """The device cannot be used again by this process, which has to be started anew."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Everything an engine is built from; picklable, so that it can be built elsewhere."""

    kind: str
    """`prefix`, or `module:attribute` of an engine of one's own."""
    model: str
    variant: str
    path: str = ""
    """Local directory of the weights."""
    device: str = "auto"
    dtype: str = "auto"
    max_batch: int | None = None
    """None leaves it to the engine."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments for an engine of one's own."""


@dataclass(frozen=True, slots=True)
class EngineItem:
    """One image and how to ask about it; `generation` has the family's defaults filled in."""

    image: Image.Image
    """RGB."""
    prompt: str | None
    generation: Generation


@dataclass(frozen=True, slots=True)
class Answer:
    """A caption, and how it ended: `length` means it hit max_new_tokens."""

    text: str
    tokens: int = 0
    finish: Literal["stop", "length"] = "stop"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one item got no caption, as a code of captiv.errors and a sentence."""

    code: str
    message: str
    suspect: bool = False
    """The engine breaks on this item alone, while it captions its neighbours."""


Outcome = Answer | Failure


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a loaded engine runs on, and how many images it takes at once."""

    device: str
    dtype: str
    max_batch: int


class Engine(Protocol):
    """Drives one model. Built without I/O; every call comes from the same thread."""

    def load(self, progress: Progress) -> Loaded:
        """Read the weights onto the device; raise ModelError if that cannot be."""

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return one outcome an item, in their order.

        Raises:
            OutOfMemory: a smaller batch may fit.
            DeviceLost: no further batch can run in this process.
            Exception: the batch broke; the caller looks for the culprit.
        """
