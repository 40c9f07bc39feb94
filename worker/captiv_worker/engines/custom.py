"""Drives an engine of one's own, named `module:attribute` on the command line.

The attribute is called with the engine options as keyword arguments. What it returns needs
`caption(images, prompt, generation)`, which returns one `str` or one `CaptivError` an image, in
their order, and may have `load()`, `image_tokens(image)` (a batch shares one number of them) and
`largest_batch` (what batches may grow to). It raises MemoryError where a smaller batch may fit. It
needs to import nothing of the worker.
"""

import importlib
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from PIL import Image

from captiv.errors import CaptivError, ModelError
from captiv.wire import Generation
from captiv_worker.engines.spec import (
    Answer,
    EngineItem,
    EngineSpec,
    Failure,
    Kin,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)

_MAX_BATCH = 8


class _Own(Protocol):
    def caption(
        self, images: Sequence[Image.Image], prompt: str | None, generation: Generation
    ) -> Sequence[str | CaptivError]: ...


class CustomEngine:
    """An engine of one's own behind the worker's Engine."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._own: _Own | None = None

    def load(self, progress: Progress) -> Loaded:
        """Import, build and load the engine."""
        progress("loading")
        own: Any = _attribute(self._spec.kind)(**self._spec.options)
        if hasattr(own, "load"):
            own.load()
        self._own = own
        return Loaded(
            device="cpu",
            dtype="none",
            max_batch=self._spec.max_batch or _MAX_BATCH,
            largest_batch=None if self._spec.max_batch else getattr(own, "largest_batch", None),
        )

    def kin(self, item: EngineItem) -> Hashable:
        """Return the prompt, with which a batch is captioned, and the tokens of the image."""
        count = getattr(self._own, "image_tokens", None)
        return Kin(item.prompt, count(item.image) if count else 0)

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Caption with the engine's own words, one outcome an item."""
        assert self._own is not None, "load() comes first"
        first = items[0]
        try:
            answers = self._own.caption([i.image for i in items], first.prompt, first.generation)
        except MemoryError as error:
            raise OutOfMemory(str(error)) from error
        return [_outcome(answer, first.generation) for answer in answers]


def _attribute(kind: str) -> Any:
    module, _, name = kind.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"The engine {kind!r} cannot be imported: {error}.",
            hint="Name it as module:attribute, and install or add to PYTHONPATH what it needs.",
        ) from error


def _outcome(answer: str | CaptivError, generation: Generation) -> Outcome:
    if isinstance(answer, CaptivError):
        return Failure(answer.code, answer.message)
    tokens = len(answer.split())
    cut = generation.max_new_tokens is not None and tokens >= generation.max_new_tokens
    return Answer(answer, tokens=tokens, finish="length" if cut else "stop")
