"""Which images are inside a continuous engine, in memory and in the batch file.

Images come and go one by one, many a second, and the file is written on a thread. One task writes
it, and each time takes up all that has changed meanwhile. An image is named before it enters, so
that the file always names all that are inside; one that has left may be named a moment longer.
"""

from collections.abc import Callable, Sequence

import anyio

from captiv.offload import offload
from captiv_worker.batch_file import BatchFile


class Inside:
    """The keys of the images inside."""

    def __init__(self, batch_file: BatchFile, captioned: Callable[[], None]) -> None:
        """Args: `captioned` is called on a thread, once for all captions since the last call."""
        self._batch_file = batch_file
        self._captioned = captioned
        self._keys: dict[str, None] = {}
        self._any_captioned = False
        self._changed = anyio.Event()
        self._next = anyio.Event()
        """Set when what is inside now is written."""

    def __len__(self) -> int:
        return len(self._keys)

    async def enter(self, key: str) -> None:
        """Name this key, and return when the file does."""
        self._keys[key] = None
        self._changed.set()
        await self._next.wait()

    def leave(self, key: str, *, captioned: bool) -> None:
        """Name it no longer."""
        del self._keys[key]
        self._any_captioned |= captioned
        self._changed.set()

    async def keep(self) -> None:
        """Write what is inside whenever that has changed, until cancelled."""
        while True:
            await self._changed.wait()
            await self.save()

    async def save(self) -> None:
        """Write what is inside now."""
        self._changed = anyio.Event()
        written, self._next = self._next, anyio.Event()
        captioned, self._any_captioned = self._any_captioned, False
        await offload(self._write, list(self._keys), captioned)
        written.set()

    def _write(self, keys: Sequence[str], captioned: bool) -> None:
        if keys:
            self._batch_file.write(keys)
        else:
            self._batch_file.clear()
        if captioned:
            self._captioned()
