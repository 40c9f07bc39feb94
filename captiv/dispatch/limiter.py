"""The window of `core.window`, as something that tasks wait at."""

from collections import deque
from types import TracebackType

import anyio

from captiv.core.window import Window


class Limiter:
    """Lets as many in as the window allows, first come first served."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._inside = 0
        self._waiting: deque[anyio.Event] = deque()

    @property
    def limit(self) -> int:
        """How many may be inside."""
        return self._window.limit

    def rounds(self, images: int) -> int:
        """Return in how many batches so many images have their answers, one that runs included."""
        return self._window.rounds(images)

    def answered(self) -> None:
        """One image was answered without a refusal."""
        self._window = self._window.answered()
        self._admit()

    def told(self, max_batch: int, permits: int) -> None:
        """The worker said how much it takes now."""
        self._window = self._window.told(max_batch, permits)
        self._admit()

    def refused(self) -> None:
        """The worker had no permit free."""
        self._window = self._window.refused()

    async def __aenter__(self) -> None:
        if self._inside < self._window.limit and not self._waiting:
            self._inside += 1
            return
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._leave()
            else:
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._inside < self._window.limit:
            self._inside += 1
            self._waiting.popleft().set()
