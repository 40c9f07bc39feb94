"""A child that nothing ends: a stand-in for one that waits for a driver or a disk (state D)."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.abc
from anyio import to_thread

from captiv.workers import LocalWorker
from tests.support import kill
from tests.world import until


@dataclass
class Endless(anyio.abc.Process):
    """A real process that is stopped, so that it notices nothing, and that no signal reaches."""

    real: anyio.abc.Process

    async def aclose(self) -> None:
        await self.real.aclose()

    async def wait(self) -> int:
        return await self.real.wait()

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def send_signal(self, signal: int) -> None: ...

    @property
    def pid(self) -> int:
        return self.real.pid

    @property
    def returncode(self) -> int | None:
        return self.real.returncode

    @property
    def stdin(self) -> anyio.abc.ByteSendStream | None:
        return self.real.stdin

    @property
    def stdout(self) -> anyio.abc.ByteReceiveStream | None:
        return self.real.stdout

    @property
    def stderr(self) -> anyio.abc.ByteReceiveStream | None:
        return self.real.stderr


@asynccontextmanager
async def endless(worker: LocalWorker) -> AsyncIterator[int]:
    """Have nothing end the worker's child any more, as long as the context lasts; yield its pid."""
    real = worker._process
    assert real is not None
    worker._process = Endless(real)
    os.kill(real.pid, signal.SIGSTOP)
    await until(
        lambda: to_thread.run_sync(_stopped, real.pid)
    )  # a thread of it may still be on its way out
    try:
        yield real.pid
    finally:
        kill([real.pid])
        await real.aclose()


def _stopped(pid: int) -> bool:
    """Whether each of its threads has stopped."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rsplit(")", 1)[1].split()[0] == "T" for stat in stats)
