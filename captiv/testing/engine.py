"""A torch-free engine for tests and trials: tells colours, and misbehaves on request.

It runs inside the real worker:
`captiv-worker --engine captiv.testing.engine:ScriptedEngine --engine-options '{"batch_s": 0.1}'`.
The caption is a function of the picture (and the prompt) alone, so a test can tell which picture
was captioned, and a batch gives what single images give.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image, ImageChops

from captiv.errors import CaptivError, EngineFailed, ImageUnreadable, ModelError
from captiv.wire import Generation

WEIGHTS = "scripted-weights.bin"
"""What a model that is downloaded is called, in HF_HOME or else in the home folder."""

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


def bounds(image: Image.Image) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what isn't white in this picture; all of it if nothing."""
    red, green, blue = image.convert("RGB").split()
    darkest = ImageChops.darker(red, ImageChops.darker(green, blue))
    found = darkest.point([255] * 128 + [0] * 128).getbbox()
    return found or (0, 0, image.width, image.height)


def scripted_object(image: Image.Image, schema: str) -> dict[str, Any] | None:
    """Return what ScriptedEngine answers where it is asked for an object of the named schemas.

    `objects` has one box, in thousandths of the picture, around what isn't white in it.
    """
    asked = json.loads(schema)["properties"]
    caption, colour = scripted_caption(image), mean_colour(image)
    if "tags" in asked:
        return {"caption": caption, "tags": [colour, picture_id(image)]}
    if "objects" not in asked:
        return None
    left, top, right, bottom = bounds(image)
    wide, high = 1000 / image.width, 1000 / image.height
    box = [round(left * wide), round(top * high), round(right * wide), round(bottom * high)]
    return {"caption": caption, "objects": [{"label": mean_colour(image), "box": box}]}


def scripted_caption(image: Image.Image, prompt: str | None = None) -> str:
    """Return what ScriptedEngine says of this picture, decoded, upright and RGB.

    The prompt stands before it. An answer that repeats a prompt is no caption; so one that is no
    mere beginning is quoted.
    """
    text = f"picture {picture_id(image)}, mostly {mean_colour(image)}"
    if prompt is None:
        return text
    return f"{prompt} {text}" if len(prompt.split()) < 4 else f'"{prompt}" {text}'


_SCHEMA = re.compile(r"JSON Schema:\n(.+)")
_TOLD = "An earlier answer was refused: "

Degenerate = Literal["loop", "empty", "refusal", "cut"]

_DEGENERATE: dict[Degenerate, str] = {
    "loop": "a dog and " * 40,
    "empty": "",
    "refusal": "I'm sorry, but I can't help with this image.",
    "cut": " ".join(f"thing{n} on thing{n * n + 5000}," for n in range(2000)),
}
"""Answers that are no captions; `cut` is cut wherever the limit of new tokens is."""


@dataclass(slots=True)
class ScriptedEngine:
    """Captions by looking at colours. Every option may be given as JSON on the command line.

    `*_on` lists hold colour names (as `mean_colour` gives) or picture ids (as `picture_id` gives):
    such pictures make the engine misbehave in that way.
    """

    load_s: float = 0.0
    hold_load: str | None = None
    """While this file exists, loading does not end."""
    batch_s: float = 0.0
    """Seconds a batch takes, whatever its size."""
    per_image_s: float = 0.0
    """Seconds each image of a batch adds."""
    download: bool = False
    """Loading writes a small file of weights, as a download would, unless it is there."""
    download_s: float = 0.0
    """How long that takes."""
    fail_load: str | None = None
    """Loading fails with this sentence."""
    fail_while: str | None = None
    """Loading fails while this file exists."""
    exit_on: Sequence[str] = ()
    """The process ends at once, as a crash of the driver would end it."""
    hang_on: Sequence[str] = ()
    """The batch never ends; the server goes on answering."""
    raise_on: Sequence[str] = ()
    """The whole batch fails with an exception."""
    refuse_on: Sequence[str] = ()
    """The image alone comes back as unreadable."""
    fail_on: Sequence[str] = ()
    """The image alone comes back as engine_failed."""
    degenerate_on: Sequence[str] = ()
    """The answer is no caption: see `degenerate`."""
    degenerate: Degenerate = "loop"
    glitches: float = 0.0
    """Share of answers that are no captions, by picture and seed: the same ask, the same answer."""
    glitches_greedy: bool = False
    """Every answer that is not sampled is no caption."""
    unfit: Literal["never", "at first", "always"] = "never"
    """When an object lacks its caption: until the prompt says what was wrong, or always."""
    several_lines: bool = False
    """Every answer has two paragraphs."""
    broken: bool = False
    """Every batch after the warming fails with an exception."""
    die_on: Sequence[str] = ()
    """The engine's thread ends with an exception that no batch survives."""
    oom_above: int | None = None
    """A batch of more images than this runs out of memory."""
    simulated_memory_tokens: int | None = None
    """Simulates a device that holds so many image tokens: a batch of more runs out of memory. An
    image takes one for each 16 by 16 pixels."""
    largest_batch: int | None = None
    """Batches may grow to so many images; they stay as they are if this is not given."""
    touch: str | None = None
    """File to create when a batch of real images begins, for tests that wait for one."""
    hold: str | None = None
    """While this file exists, a batch of real images does not end."""
    hold_after: int = 0
    """But the first so many of them do."""
    batches: int = 0
    _real: int = 0

    _poll_s: ClassVar[float] = 0.005

    def image_tokens(self, image: Image.Image) -> int:
        """Return how much of the simulated memory this picture takes; 0 if there is none."""
        if self.simulated_memory_tokens is None:
            return 0
        return max(1, (image.width // 16) * (image.height // 16))

    def load(self) -> None:
        """Take as long, or fail, as the script says."""
        time.sleep(self.load_s)
        while self.hold_load is not None and Path(self.hold_load).exists():
            time.sleep(self._poll_s)
        if self.download:
            self._download()
        if self.fail_load is not None:
            raise ModelError(self.fail_load)
        if self.fail_while is not None and Path(self.fail_while).exists():
            raise ModelError("The model does not load (scripted).")

    def _download(self) -> None:
        weights = Path(os.environ.get("HF_HOME") or Path.home()) / WEIGHTS
        if weights.is_file():
            return
        time.sleep(self.download_s)
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(bytes(4096))

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
        while any(_is_among(image, self.hang_on) for image in images):
            time.sleep(self._poll_s)
        if any(_is_among(image, self.die_on) for image in images):
            raise SystemExit("scripted death of the engine's thread")
        if self.broken or any(_is_among(image, self.raise_on) for image in images):
            raise RuntimeError("scripted failure of the batch")
        if self.oom_above is not None and len(images) > self.oom_above:
            raise MemoryError(f"scripted: {len(images)} images do not fit")
        held = self.simulated_memory_tokens
        if held is not None and sum(map(self.image_tokens, images)) > held:
            raise MemoryError(f"simulated: {len(images)} images do not fit into {held} tokens")

    def _take_time(self, count: int) -> None:
        time.sleep(self.batch_s + count * self.per_image_s)
        self._real += 1
        if self._real <= self.hold_after:
            return
        while self.hold is not None and Path(self.hold).exists():
            time.sleep(self._poll_s)

    def _answer(
        self, image: Image.Image, prompt: str | None, generation: Generation
    ) -> str | CaptivError:
        if _is_among(image, self.refuse_on):
            return ImageUnreadable("The engine cannot make anything of this image (scripted).")
        if _is_among(image, self.fail_on):
            return EngineFailed("The engine failed on this image (scripted).")
        if _is_among(image, self.degenerate_on) or self._glitches(image, generation):
            words = _DEGENERATE[self.degenerate].split()
            return " ".join(words[: generation.max_new_tokens])
        object_ = self._object(image, prompt or "")
        if object_ is not None:
            return " ".join(object_.split()[: generation.max_new_tokens])
        words = scripted_caption(image, prompt).split()
        text = " ".join(words[: generation.max_new_tokens])
        return text.replace(", ", ",\n\n") if self.several_lines else text

    def _object(self, image: Image.Image, prompt: str) -> str | None:
        """Return the object that the prompt asks for; None if it asks for none that is known."""
        asked = _SCHEMA.search(prompt)
        found = scripted_object(image, asked[1]) if asked else None
        if found is None:
            return None
        if self.unfit == "always" or (self.unfit == "at first" and _TOLD not in prompt):
            del found["caption"]
        return json.dumps(found)

    def _glitches(self, image: Image.Image, generation: Generation) -> bool:
        if self.glitches_greedy and not generation.temperature:
            return True
        drawn = hashlib.sha256(f"{picture_id(image)} {generation.seed}".encode()).digest()[0]
        return drawn < 256 * self.glitches


def _is_among(image: Image.Image, names: Sequence[str]) -> bool:
    return bool(names) and (mean_colour(image) in names or picture_id(image) in names)


def _is_grey(images: Sequence[Image.Image]) -> bool:
    return len(images) == 1 and images[0].getextrema() == ((128, 128),) * 3
