"""A torch-free engine for tests and trials: tells colours, and misbehaves on request.

It runs inside the real worker:
`captiv-worker --engine captiv.testing.engine:ScriptedEngine --engine-options '{"batch_s": 0.1}'`.
The caption is a function of the picture (and the prompt) alone, so a test can tell which picture
was captioned, and a batch gives what single images give.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from PIL import Image

from captiv.errors import CaptivError, EngineFailed, ImageUnreadable, ModelError
from captiv.wire import Generation

Colour = tuple[int, int, int]

_NAMES: dict[str, Colour] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "orange": (255, 140, 0),
    "purple": (128, 0, 128),
    "cyan": (0, 255, 255),
    "pink": (255, 150, 190),
    "brown": (120, 70, 20),
}


def mean_colour(image: Image.Image) -> str:
    """Return the name of the colour nearest to the picture's mean, as the captions use it."""
    pixel = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return min(
        _NAMES,
        key=lambda name: sum((a - b) ** 2 for a, b in zip(_NAMES[name], pixel, strict=True)),
    )


def picture_id(image: Image.Image) -> str:
    """Return eight hex digits that tell this picture from others: the hash of a 16 px thumbnail."""
    small = image.convert("RGB").resize((16, 16), Image.Resampling.BOX)
    return hashlib.sha256(small.tobytes()).hexdigest()[:8]


def scripted_caption(image: Image.Image, prompt: str | None = None) -> str:
    """Return what ScriptedEngine says of this picture, decoded, upright and RGB."""
    text = f"picture {picture_id(image)}, mostly {mean_colour(image)}"
    return text if prompt is None else f"{prompt} {text}"


@dataclass(slots=True)
class ScriptedEngine:
    """Captions by looking at colours. Every option may be given as JSON on the command line.

    `*_on` lists hold colour names (as `mean_colour` gives) or picture ids (as `picture_id` gives):
    such pictures make the engine misbehave in that way.
    """

    load_s: float = 0.0
    batch_s: float = 0.0
    """Seconds a batch takes, whatever its size."""
    per_image_s: float = 0.0
    """Seconds each image of a batch adds."""
    fail_load: str | None = None
    """Loading fails with this sentence."""
    exit_on: Sequence[str] = ()
    """The process ends at once, as a crash of the driver would end it."""
    raise_on: Sequence[str] = ()
    """The whole batch fails with an exception."""
    refuse_on: Sequence[str] = ()
    """The image alone comes back as unreadable."""
    fail_on: Sequence[str] = ()
    """The image alone comes back as engine_failed."""
    degenerate_on: Sequence[str] = ()
    """The answer is no caption: see `degenerate`."""
    degenerate: Literal["loop", "empty"] = "loop"
    broken: bool = False
    """Every batch after the warming fails with an exception."""
    die_on: Sequence[str] = ()
    """The engine's thread ends with an exception that no batch survives."""
    oom_above: int | None = None
    """A batch of more images than this runs out of memory."""
    touch: str | None = None
    """File to create when a batch of real images begins, for tests that wait for one."""
    hold: str | None = None
    """While this file exists, a batch of real images does not end."""
    batches: int = 0

    _poll_s: ClassVar[float] = 0.005

    def load(self) -> None:
        """Take as long, or fail, as the script says."""
        time.sleep(self.load_s)
        if self.fail_load is not None:
            raise ModelError(self.fail_load)

    def caption(
        self, images: Sequence[Image.Image], prompt: str | None, generation: Generation
    ) -> list[str | CaptivError]:
        """Return a caption, or what the script says, for each image."""
        self.batches += 1
        if self.batches == 1 and _is_grey(images):
            return [scripted_caption(image, prompt) for image in images]
        self._misbehave(images)
        self._take_time(len(images))
        return [self._answer(image, prompt, generation) for image in images]

    def _misbehave(self, images: Sequence[Image.Image]) -> None:
        if self.touch is not None:
            Path(self.touch).touch()
        if any(_is_among(image, self.exit_on) for image in images):
            os._exit(139)
        if any(_is_among(image, self.die_on) for image in images):
            raise SystemExit("scripted death of the engine's thread")
        if self.broken or any(_is_among(image, self.raise_on) for image in images):
            raise RuntimeError("scripted failure of the batch")
        if self.oom_above is not None and len(images) > self.oom_above:
            raise MemoryError(f"scripted: {len(images)} images do not fit")

    def _take_time(self, count: int) -> None:
        time.sleep(self.batch_s + count * self.per_image_s)
        while self.hold is not None and Path(self.hold).exists():
            time.sleep(self._poll_s)

    def _answer(
        self, image: Image.Image, prompt: str | None, generation: Generation
    ) -> str | CaptivError:
        if _is_among(image, self.refuse_on):
            return ImageUnreadable("The engine cannot make anything of this image (scripted).")
        if _is_among(image, self.fail_on):
            return EngineFailed("The engine failed on this image (scripted).")
        if _is_among(image, self.degenerate_on):
            return "" if self.degenerate == "empty" else "a dog and " * 40
        words = scripted_caption(image, prompt).split()
        return " ".join(words[: generation.max_new_tokens])


def _is_among(image: Image.Image, names: Sequence[str]) -> bool:
    return bool(names) and (mean_colour(image) in names or picture_id(image) in names)


def _is_grey(images: Sequence[Image.Image]) -> bool:
    return len(images) == 1 and images[0].getextrema() == ((128, 128),) * 3
