"""Mean batch of folders of mixed sizes, over what a simulated memory allows. No model, no clock.

The worker's own batcher, sizes and search for what fits, and the window of the dispatcher, which
sends an image for each that is answered; it arrives once the next batch has begun. The device
refuses batches above so many tokens: rows as long as the longest, image, prompt and answer, where a
token of text takes less than one of an image. Both figures are drawn by the seed, and the worker is
told neither.

For each folder: the images in a batch, and that mean over the mean of what the memory allows for
the longest row of each batch (at most 128). With `--exact` the rule of before runs on the same
device: a batch shares the exact number of image tokens, the oldest image goes first, and a size of
each number's own doubles after a full batch.
"""

import argparse
import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from captiv_worker.batcher import Batcher
from captiv_worker.device import need_of
from captiv_worker.engines.sights import Packed
from captiv_worker.engines.spec import (
    Answer,
    EngineItem,
    Kin,
    Loaded,
    Outcome,
    OutOfMemory,
    Progress,
)
from captiv_worker.isolation import Watch, caption_batch
from captiv_worker.sizes import Sizes
from PIL import Image

from captiv.core.window import Window
from captiv.wire import Generation

Size = tuple[int, int]

FIRST, LARGEST = 8, 128
CONNECTIONS = 512
"""At most so many images are on their way to a worker and back."""
PROMPT = "Describe this picture in detail."
GENERATION = Generation(max_new_tokens=512, num_beams=1)
QWEN3_VL = Packed(32, 65_536, 1280 * 32 * 32, Image.Resampling.BICUBIC)
QWEN25_VL = Packed(28, 3_136, 1280 * 28 * 28, Image.Resampling.BICUBIC)


# The folders


def phone(dice: random.Random) -> Size:
    """Draw a picture of one phone."""
    sizes = [(4032, 3024), (3024, 4032), (4000, 3000), (1920, 1080), (1080, 1920)]
    return dice.choices(sizes, [40, 30, 10, 10, 10])[0]


def coco(dice: random.Random) -> Size:
    """Draw a picture as of COCO: most are 640 pixels long, in a few shapes."""
    if dice.random() < 0.32:
        short = dice.randrange(300, 640, 2)
        return (640, short) if dice.random() < 0.5 else (short, 640)
    return dice.choices(list(_COCO), list(_COCO.values()))[0]


_COCO = {
    (640, 480): 22,
    (480, 640): 8,
    (640, 427): 9,
    (427, 640): 3,
    (640, 426): 4,
    (500, 375): 5,
    (375, 500): 2,
    (640, 425): 4,
    (640, 428): 2,
    (640, 424): 2,
    (426, 640): 2,
    (640, 360): 1,
    (640, 640): 1,
    (500, 333): 1,
    (333, 500): 1,
    (612, 612): 1,
}
"""In percent; the rest of 32 is drawn."""


def web(
    dice: random.Random, middle: float = 13.8, spread: float = 0.7, ratio: float = 0.35
) -> Size:
    """Draw a picture as the web has them: areas and ratios log-normal."""
    area, aspect = dice.lognormvariate(middle, spread), dice.lognormvariate(0, ratio)
    return max(64, round(math.sqrt(area * aspect))), max(64, round(math.sqrt(area / aspect)))


def folders(seed: int, images: int = 3000) -> dict[str, list[Size]]:
    """Return the three folders, always the same, and one that the seed draws."""
    made = {}
    for name, draw in (("phone", phone), ("COCO-like", coco), ("web-like", web)):
        dice = random.Random(1)
        made[name] = [draw(dice) for _ in range(images)]
    return made | {"drawn": _drawn(random.Random(seed), images)}


def _drawn(dice: random.Random, images: int) -> list[Size]:
    """Draw a folder: a few usual sizes, and for the rest areas about a middle."""
    usual = [(dice.randint(200, 4000), dice.randint(200, 4000)) for _ in range(dice.randint(1, 6))]
    share, middle, spread = dice.random(), dice.uniform(11.5, 14.5), dice.uniform(0.3, 1.2)
    return [
        dice.choice(usual) if dice.random() < share else web(dice, middle, spread)
        for _ in range(images)
    ]


def tokens_of(sizes: Sequence[Size], sight: Packed = QWEN3_VL) -> list[int]:
    """Return how many tokens the model sees of each picture."""
    return [sight.tokens(sight.size(size)) for size in sizes]


# The device


class Ran(NamedTuple):
    """A batch that went well."""

    rows: int
    allowed: int
    """Of such rows, by the memory and at most."""
    tokens: int
    """Of the images, one by one."""
    padded: int
    """The same with what is filled up."""


class Device:
    """Refuses batches above so many tokens. An image of so many pixels width has as many tokens."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        longest = dice.randint(16, 128)
        self.of_text = dice.uniform(0.5, 1.0)
        """What a token of text takes, where one of an image takes 1."""
        self.memory = longest * self._row(1280)
        self.ran: list[Ran] = []
        self.refused = 0

    def _row(self, image_tokens: int) -> float:
        text = len(PROMPT) // 4 + (GENERATION.max_new_tokens or 0)
        return image_tokens + self.of_text * text

    def allows(self, image_tokens: int) -> int:
        """Return how many rows of so many image tokens a batch may have."""
        return max(1, min(LARGEST, int(self.memory / self._row(image_tokens))))

    def load(self, progress: Progress) -> Loaded:
        """Take part in nothing."""
        raise NotImplementedError

    def kin(self, item: EngineItem) -> Kin:
        """Return what the batcher goes by."""
        return Kin(item.prompt, item.image.width, fills_up=True)

    def caption(self, items: Sequence[EngineItem]) -> list[Outcome]:
        """Remember the batch, or refuse it."""
        tokens = [item.image.width for item in items]
        rows, longest = len(tokens), max(tokens)
        if rows * self._row(longest) > self.memory and rows > 1:
            self.refused += 1
            raise OutOfMemory
        self.ran.append(Ran(rows, self.allows(longest), sum(tokens), rows * longest))
        return [Answer("")] * rows


# How batches are formed


class Rule(Protocol):
    """A way to form batches."""

    def add(self, item: EngineItem) -> None:
        """Let an image wait."""

    def waiting(self) -> int:
        """Return how many wait."""

    def close(self) -> int:
        """Take the next batch; return how many it has."""

    def run(self, device: Device) -> None:
        """Run the batch that was closed last."""

    def takes(self) -> tuple[int, int]:
        """Return the largest batch now, and how many images the worker holds."""


class Buckets:
    """The worker's."""

    def __init__(self) -> None:
        self._batcher: Batcher[str | None, EngineItem] = Batcher(Sizes(FIRST, LARGEST))

    def add(self, item: EngineItem) -> None:
        """Let an image wait, as the worker's device does."""
        kin = Kin(item.prompt, item.image.width, fills_up=True)
        self._batcher.add(item.prompt, item, need_of(kin, item.generation))

    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._batcher)

    def close(self) -> int:
        """Take the next batch."""
        batch = self._batcher.close()
        assert batch is not None
        self._batch = batch
        return len(batch.items)

    def run(self, device: Device) -> None:
        """Run it, in parts where it is too large."""
        batch, sizes = self._batch, self._batcher.sizes
        watch = Watch(
            started=lambda _: None,
            went_well=lambda span: sizes.went_well(batch.need(span), len(span)),
            ran_out=lambda span: sizes.ran_out(batch.need(span), len(span)),
        )
        caption_batch(device, batch.items, watch)

    def takes(self) -> tuple[int, int]:
        """Return the largest batch now, and the permits."""
        return self._batcher.max_batch, self._batcher.crowd


@dataclass(slots=True)
class _Found:
    """What the rule of before knew of one number of tokens."""

    now: int = FIRST
    fits: int = 0
    too_many: int | None = None

    def went_well(self, rows: int) -> None:
        if self.too_many is not None and rows >= self.too_many:
            return
        self.fits = max(self.fits, rows)
        if rows < self.now:
            return
        if self.too_many is None:
            self.now = min(LARGEST, 2 * self.now)
            return
        middle = (self.fits + self.too_many) // 2
        self.now = middle if middle - self.fits >= max(1, self.fits // 8) else self.fits

    def ran_out(self, rows: int) -> None:
        self.too_many = max(2, min(rows, self.too_many or rows))
        self.fits = self.fits if self.fits < self.too_many else self.too_many // 2
        self.now = max(1, min(self.now, self.fits or self.too_many // 2))


@dataclass(slots=True)
class Exact:
    """The baseline: one number of image tokens a batch, the oldest image first."""

    _groups: dict[int, deque[tuple[int, EngineItem]]] = field(default_factory=dict)
    _found: dict[int, _Found] = field(default_factory=dict)
    _arrived: int = 0
    _batch: list[EngineItem] = field(default_factory=list)

    def add(self, item: EngineItem) -> None:
        """Let an image wait among its like."""
        self._groups.setdefault(item.image.width, deque()).append((self._arrived, item))
        self._arrived += 1

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._groups.values()))

    def close(self) -> int:
        """Take from the group with the oldest head."""
        tokens = min(self._groups, key=lambda key: self._groups[key][0][0])
        group = self._groups[tokens]
        count = min(len(group), self._found.setdefault(tokens, _Found()).now)
        self._batch = [group.popleft()[1] for _ in range(count)]
        if not group:
            del self._groups[tokens]
        return count

    def run(self, device: Device) -> None:
        """Run it, in parts where it is too large."""
        found = self._found[self._batch[0].image.width]
        watch = Watch(
            started=lambda _: None,
            went_well=lambda span: found.went_well(len(span)),
            ran_out=lambda span: found.ran_out(len(span)),
        )
        caption_batch(device, self._batch, watch)

    def takes(self) -> tuple[int, int]:
        """Return the largest size of all, and three times that."""
        now = max((found.now for found in self._found.values()), default=FIRST)
        return now, 3 * now


class Figures(NamedTuple):
    """What came of one folder."""

    batch: float
    allowed: float
    alone: float
    """Share of the batches that are one image."""
    filled: float
    """Share of the places of image tokens that are filled up."""
    refused: int

    @property
    def share(self) -> float:
        """The mean batch over the mean of what the memory allows."""
        return self.batch / self.allowed


def captioned(tokens: Sequence[int], rule: Rule, seed: int) -> Figures:
    """Caption a folder on the device that this seed draws."""
    device, todo = Device(seed), _items(tokens)
    window = Window.opening(*rule.takes())
    running = 0
    while True:
        for item in _next(todo, min(window.limit, CONNECTIONS) - running - rule.waiting()):
            rule.add(item)
        if running:
            rule.run(device)
            window = _told(window, rule, running)
        if not rule.waiting():
            break
        running = rule.close()
    return _figures(device, len(tokens))


def _next(todo: Iterator[EngineItem], count: int) -> list[EngineItem]:
    return [item for _, item in zip(range(count), todo, strict=False)]


def _told(window: Window, rule: Rule, answers: int) -> Window:
    window = window.told(*rule.takes())
    for _ in range(answers):
        window = window.answered()
    return window


def _items(tokens: Sequence[int]) -> Iterator[EngineItem]:
    for count in tokens:
        yield EngineItem(Image.new("1", (count, 1)), PROMPT, GENERATION)


def _figures(device: Device, images: int) -> Figures:
    ran = device.ran
    assert sum(batch.rows for batch in ran) == images
    tokens, padded = sum(batch.tokens for batch in ran), sum(batch.padded for batch in ran)
    return Figures(
        batch=images / len(ran),
        allowed=sum(batch.allowed for batch in ran) / len(ran),
        alone=sum(batch.rows == 1 for batch in ran) / len(ran),
        filled=1 - tokens / padded,
        refused=device.refused,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--sight", choices=["qwen3-vl", "qwen2.5-vl"], default="qwen3-vl")
    parser.add_argument("--exact", action="store_true", help="the rule of before beside it")
    given = parser.parse_args()
    sight = QWEN3_VL if given.sight == "qwen3-vl" else QWEN25_VL
    print("seed  folder     counts  rule     batch  allowed  share  alone  filled up  refused")
    for seed in given.seed:
        for name, sizes in folders(seed, given.images).items():
            tokens = tokens_of(sizes, sight)
            rules: dict[str, Rule] = {"buckets": Buckets()}
            if given.exact:
                rules = {"exact": Exact(), **rules}
            for said, rule in rules.items():
                found = captioned(tokens, rule, seed)
                print(
                    f"{seed:4}  {name:9} {len(set(tokens)):7}  {said:7} {found.batch:6.1f} "
                    f"{found.allowed:8.1f} {found.share:6.0%} {found.alone:6.0%} "
                    f"{found.filled:10.0%} {found.refused:8}"
                )


if __name__ == "__main__":
    main()
