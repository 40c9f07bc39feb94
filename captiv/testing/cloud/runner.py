"""One life of a pod's container: the child process that holds it, its output and its end."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process

_PROGRAM = str(Path(__file__).with_name("container.py"))
_END_S = 10.0
_LONGEST_LINE = 64 * 1024

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, ProcessLookupError, OSError)


class Container:
    """A running container; `end` leaves nothing of it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> "Container":
        """Start a command in a session of its own."""
        process = await anyio.open_process(
            [sys.executable, "-I", "-S", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            start_new_session=True,
        )
        spec = {"argv": list(argv), "env": dict(env), "cwd": str(cwd)}
        assert process.stdin is not None
        with suppress(*_GONE):
            await process.stdin.send(json.dumps(spec).encode() + b"\n")
        return cls(process)

    @property
    def pid(self) -> int:
        """The process above all of the container's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def lines(self) -> AsyncIterator[str]:
        """Yield what it writes, until nothing of it is left that could write."""
        assert self._process.stdout is not None
        kept = b""
        with suppress(*_GONE, anyio.EndOfStream):
            while True:
                *whole, kept = (kept + await self._process.stdout.receive()).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace").rstrip("\r")
                if len(kept) > _LONGEST_LINE:
                    kept = kept[-_LONGEST_LINE:]
        if kept:
            yield kept.decode(errors="replace")

    async def wait(self) -> int:
        """Return the code with which process 1 exited, when all else is gone too."""
        return await self._process.wait()

    async def kill(self, what: str) -> None:
        """Kill the `worker`, which is everything but process 1, or the whole `pod`."""
        await self._order("others" if what == "worker" else "kill")

    async def end(self, grace_s: float = 0.0) -> None:
        """Kill everything, after SIGTERM and so many seconds if there are any."""
        with anyio.CancelScope(shield=True):
            if grace_s:
                await self._order("term")
                with anyio.move_on_after(grace_s):
                    await self._process.wait()
            assert self._process.stdin is not None
            with suppress(*_GONE):
                await self._process.stdin.aclose()
            with anyio.move_on_after(_END_S):
                await self._process.wait()
            await self._process.aclose()

    async def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        with suppress(*_GONE):
            await self._process.stdin.send(f"{word}\n".encode())
