"""How many images are in flight to one worker.

The window opens at what keeps the worker's next batch full: two batches, or two thirds of what the
worker holds if that is more, as it is where images are mixed and wait for their like. It grows by
one for each full round of answers without a refusal, and halves when the worker says 429: additive
increase, multiplicative decrease, so that several users of one worker come to share it. A worker
finds out how large its batches may be and how mixed the images are, and reports its limits with
every answer: the window grows or shrinks in proportion, and what a refusal halved stays halved.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Window:
    """An immutable window; each event returns the next one."""

    limit: int
    ceiling: int
    max_batch: int = 1
    answers: int = 0

    @classmethod
    def opening(cls, max_batch: int, permits: int) -> "Window":
        """Return the window for a worker that batches `max_batch` and holds `permits` images."""
        ceiling = max(1, permits)
        limit = min(ceiling, max(1, 2 * max_batch, 2 * permits // 3))
        return cls(limit=limit, ceiling=ceiling, max_batch=max_batch)

    def rounds(self, images: int) -> int:
        """Return in how many batches so many images have their answers, one that runs included."""
        return 1 + math.ceil(images / max(1, self.max_batch))

    def answered(self) -> "Window":
        """One image was answered without a refusal."""
        if self.limit >= self.ceiling:
            return self if self.answers == 0 else replace(self, answers=0)
        if self.answers + 1 < self.limit:
            return replace(self, answers=self.answers + 1)
        return replace(self, limit=self.limit + 1, answers=0)

    def told(self, max_batch: int, permits: int) -> "Window":
        """The worker says how much it takes now."""
        if (max_batch, permits) == (self.max_batch, self.ceiling):
            return self
        opened = Window.opening(max_batch, permits)
        before = Window.opening(self.max_batch, self.ceiling)
        limit = max(1, round(self.limit * opened.limit / before.limit))
        return replace(opened, limit=min(limit, opened.ceiling), answers=self.answers)

    def refused(self) -> "Window":
        """The worker had no permit free."""
        return replace(self, limit=max(1, self.limit // 2), answers=0)
