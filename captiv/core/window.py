"""How many images are in flight to one worker.

The window opens at what keeps the worker's next batch full, grows by one for each full round of
answers without a refusal, and halves when the worker says 429: additive increase, multiplicative
decrease, so that several users of one worker come to share it.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Window:
    """An immutable window; each event returns the next one."""

    limit: int
    ceiling: int
    answers: int = 0

    @classmethod
    def opening(cls, max_batch: int, permits: int) -> "Window":
        """Return the window for a worker that batches `max_batch` and holds `permits` images."""
        ceiling = max(1, permits)
        return cls(limit=min(ceiling, max(1, 2 * max_batch)), ceiling=ceiling)

    def answered(self) -> "Window":
        """One image was answered without a refusal."""
        if self.limit >= self.ceiling:
            return self if self.answers == 0 else replace(self, answers=0)
        if self.answers + 1 < self.limit:
            return replace(self, answers=self.answers + 1)
        return replace(self, limit=self.limit + 1, answers=0)

    def refused(self) -> "Window":
        """The worker had no permit free."""
        return replace(self, limit=max(1, self.limit // 2), answers=0)
