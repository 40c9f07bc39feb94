"""Bounds the memory of the decoded pictures that a worker holds."""

import anyio


class Pictures:
    """How many bytes they have; a few decoders may go past the bound by a picture each."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes: dict[str, int] = {}
        self._freed = anyio.Event()

    async def room(self) -> None:
        """Wait until another picture may be decoded."""
        while sum(self._bytes.values()) >= self._most_bytes:
            await self._freed.wait()

    def hold(self, key: str, size_bytes: int) -> None:
        """Count a picture that was decoded."""
        self._bytes[key] = size_bytes

    def free(self, key: str) -> None:
        """Count it no more, if it was counted."""
        if self._bytes.pop(key, None) is not None:
            self._freed.set()
            self._freed = anyio.Event()
