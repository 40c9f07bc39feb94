"""What an engine is: values in, values out; it knows no queue and no file.

It has one of two forms. A static `Engine` captions one batch at a time, on one thread. A
`ContinuousEngine` batches by itself, behind a server of its own: each image is given to it as soon
as there is room, and answered by itself.

A static engine's batch shares one set of generation settings and what `kin` says: its prompt text
where the family cannot mix them, the number of image tokens where that differs and the engine fills
no row up. So the caption of an image does not depend on its neighbours.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from PIL import Image

from captiv.catalog import Architecture
from captiv.wire import Generation, Tagging

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
    """The engine that the architecture names, or `module:attribute` of one of one's own."""
    model: str
    variant: str
    path: str = ""
    """Local directory of the weights."""
    device: str = "auto"
    dtype: str = "auto"
    max_batch: int | None = None
    """None leaves it to the engine."""
    shares: int = 1
    """How many engines share the cores of this machine."""
    architecture: Architecture | None = None
    """How the model is driven; None with an engine of one's own."""
    prompts: tuple[str | None, ...] = (None,)
    """Prompts of the family's modes, with which the engine checks itself when it loads."""
    system: str = ""
    """What a chat model is told before each prompt; empty for nothing."""
    new_tokens: int = 512
    """How many tokens an answer has at most where nobody says otherwise."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments for an engine of one's own."""


@dataclass(frozen=True, slots=True)
class EngineItem:
    """One image and how to ask about it; `generation` has the family's defaults filled in."""

    image: Image.Image
    """RGB."""
    prompt: str | None
    generation: Generation
    tagging: Tagging | None = None
    """Which tags a tagger writes, and how; None for an engine that writes sentences."""
    answer_schema: str | None = None
    """A JSON Schema to which an engine that can holds the answer; the prompt says it, too."""


class Kin(NamedTuple):
    """What the images of a batch share: their prompt, and how many tokens each of them takes.

    An engine that fills up shorter rows shares the prompt alone; the batcher sees to it that not
    much is filled up.
    """

    prompt: str | None
    image_tokens: int = 0
    fills_up: bool = False


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
    """How many images a batch has at first; of a continuous engine, how many it takes at once."""
    largest_batch: int | None = None
    """What batches may grow to while they go well; None if they stay as they are."""
    version: str | None = None
    """Of the engine, if it has one that is not captiv's."""


class Engine(Protocol):
    """Drives one model. Built without I/O; every call comes from the same thread."""

    def load(self, progress: Progress) -> Loaded:
        """Read the weights onto the device; raise ModelError if that cannot be."""

    def kin(self, item: EngineItem) -> Hashable:
        """Return what the items of a batch must have in common with this one, besides settings."""

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Return one outcome an item, in their order.

        Raises:
            OutOfMemory: a smaller batch may fit.
            DeviceLost: no further batch can run in this process.
            Exception: the batch broke; the caller looks for the culprit.
        """


@runtime_checkable
class ContinuousEngine(Protocol):
    """Drives one model that batches by itself. Built without I/O.

    `load` and `close` block, and are called on the device's thread; the rest runs on the event
    loop.
    """

    def load(self, progress: Progress) -> Loaded:
        """Have the model ready; `max_batch` is how many images may be inside at once.

        Raises:
            ModelError: that cannot be.
        """

    async def caption(self, item: EngineItem) -> Outcome:
        """Return the outcome of one image.

        Raises:
            DeviceLost: nothing more can be captioned in this process.
            Exception: this image alone failed.
        """

    async def watch(self) -> None:
        """Never return, and end with the engine.

        Raises:
            DeviceLost: nothing more can be captioned in this process.
        """

    def close(self) -> None:
        """Give back whatever the engine holds; nothing of it is left."""


AnyEngine = Engine | ContinuousEngine
