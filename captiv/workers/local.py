"""A worker on this machine: the same server as in a pod, started as a child process on loopback.

The child reads its token from standard input and ends when that closes, which the kernel does when
captiv dies of whatever cause: a local worker never outlives captiv. It runs in a session of its
own, so that Ctrl-C reaches captiv alone and what is in flight can be drained.
"""

import json
import math
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import aiofiles
import anyio
from anyio.abc import Process

from captiv.catalog import family_named
from captiv.catalog.model import IMAGE_MEMORY_MB
from captiv.core import quiet
from captiv.core.findings import Finding
from captiv.core.machine import Machine, incapable, no_device, no_engine
from captiv.core.phase import OnPhase, Phase, Step
from captiv.core.quiet import Patience
from captiv.core.retry import Death
from captiv.errors import ModelError, NoWorker
from captiv.offload import offload
from captiv.shortage import shortage
from captiv.wire import ModelChange
from captiv.workers.arguments import worker_arguments
from captiv.workers.hub import unavailable
from captiv.workers.machine import has_onnxruntime, has_torch, has_vllm, machine
from captiv.workers.source import Address, Check, Ended, Traits

_SIGKILL = 9  # which Windows' module does not name
_START_S = 60.0
"""How long the server may take to listen: it does so before it loads the model."""
_STOP_S = 5.0
_KILLED_S = 5.0
"""How long a killed child may take to end: one that waits for a driver or a disk may never."""
_LOG_BYTES = 20_000_000
_NO_TORCH = "Or rent a GPU, or use --worker URL."
_NO_ONNX = "Or use --worker URL: a rented GPU would stay idle."
_NO_DEVICE = "--device auto takes the best that there is; captiv doctor lists it."
_TOO_MUCH = "Choose a smaller model or --torch-dtype, rent a GPU, or use --worker URL."


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How the child is started."""

    model: str
    variant: str
    source: str
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    shares: int = 1
    image_memory_mb: int = IMAGE_MEMORY_MB
    """How many workers share the cores of this machine, this one among them."""
    engine: str = "auto"
    """As `captiv-worker --engine` takes it: `module:attribute` is one of one's own."""
    engine_options: str | None = None

    @property
    def own_engine(self) -> bool:
        """Whether the engine is one of one's own, of which nothing is known."""
        return ":" in self.engine


class LocalWorker:
    """Starts the child, knows how it died, starts another, ends it."""

    def __init__(
        self,
        settings: LocalSettings,
        *,
        folder: Path,
        log: Path,
        number: int = 1,
        patience: Patience = quiet.DEFAULT,
    ) -> None:
        """Prepare to start it.

        Args:
            settings: what it captions with.
            folder: holds the batch file.
            log: collects its own log, and that of other workers.
            number: tells it from other workers of this process.
            patience: how long it may give no caption.
        """
        self.traits = Traits(patience=patience)
        self._settings = settings
        self._batch_file = folder / f"worker-batch{'' if number == 1 else f'-{number}'}.json"
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._process: Process | None = None

    def affordable(self) -> bool:
        """Return True: it costs captiv nothing."""
        return True

    def describe(self) -> str:
        """Name the worker for a person."""
        return "this machine"

    def checks(self) -> Sequence[Check]:
        """Return what is looked at before the child is started; of one's own engine, nothing."""
        if self._settings.own_engine:
            return ()
        return Check("this machine", self._look_here), Check("model hub", self._look_at_hub)

    async def _look_here(self) -> Sequence[Finding]:
        s = self._settings
        here = await offload(machine, s.source, abandon_on_cancel=True)
        reason = reason_against(
            here, s.model, s.variant, dtype=s.dtype, device=s.device, engine=s.engine
        )
        if reason is not None:
            raise ModelError(reason, hint=_instead(here, s.device, tags=_is_tagger(s.model)))
        return [Finding("this machine", "ok", f"nothing found that rules out {s.variant}")]

    async def _look_at_hub(self) -> Sequence[Finding]:
        error = await unavailable(self._settings.source)
        return [] if error is None else [Finding.failed("model hub", error)]

    async def start(self, on_phase: OnPhase) -> Address:
        """Start the child and return its address once it listens.

        Raises:
            ModelError: torch is not installed, and the engine needs it.
            NoWorker: the child does not start, or the one before does not end.
            MachineShort: this machine can start no other process.
        """
        await offload(self._require_engine)
        on_phase(Phase(Step.STARTING_HERE))
        await self.stop()
        token = secrets.token_urlsafe(32)
        try:
            self._process = await self._spawn()
        except OSError as error:
            raise shortage(error) or NoWorker(
                f"The worker on this machine cannot be started: {error.strerror}."
            ) from error
        try:
            with anyio.fail_after(_START_S):
                await self._send_token(token)
                url = await self._listening()
        except (
            TimeoutError,
            OSError,
            anyio.BrokenResourceError,
            anyio.EndOfStream,
            ValueError,
        ) as error:
            await self.stop()
            raise NoWorker(
                "The worker on this machine does not start.", hint=f"Its log: {self._log_path}"
            ) from error
        return Address(url, token)

    def _require_engine(self) -> None:
        """Refuse to start a worker that nothing here could drive.

        Raises:
            ModelError: says what is missing.
        """
        s = self._settings
        if s.own_engine:
            return
        here = Machine(torch=has_torch(), vllm=has_vllm(), onnxruntime=has_onnxruntime())
        tags = _is_tagger(s.model)
        if why := no_engine(here, s.engine, by_vllm=_by_vllm(s.model), tags=tags):
            raise ModelError(why, hint=_NO_TORCH)

    async def ended(self) -> Ended | None:
        """Return how the child died, or None while it lives."""
        process = self._process
        if process is None or process.returncode is None:
            return None
        return await self._death(process.returncode)

    @property
    def ends_in_s(self) -> float:
        """It is there for as long as it is wanted."""
        return math.inf

    async def tend(self) -> None:
        """Nothing has to be done for that."""
        await anyio.sleep_forever()

    async def hand_over(self) -> None:
        """It has no planned end."""

    @property
    def cut_off(self) -> bool:
        """Nobody else is asked where it is."""
        return False

    async def lost(self) -> Ended | None:
        """Kill a child that hangs. What hung may have nothing to do with the image: see `Death`.

        Where that does not end it either, `start` says so: no other is started beside it.
        """
        process = self._process
        if process is None:
            return None
        with anyio.CancelScope(shield=True):
            await _killed(process)
        return Ended(Death.KILLED, await self._batch_keys(), "it hung")

    async def _death(self, code: int) -> Ended:
        death = Death.KILLED if code == -_SIGKILL else Death.CRASHED
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Ended(death, await self._batch_keys(), reason)

    async def stop(self) -> None:
        """Close its standard input, wait, and kill it if it does not end by itself.

        Raises:
            NoWorker: it does not end. It is not waited for again.
        """
        process, self._process = self._process, None
        ended = True
        if process is not None:
            with anyio.CancelScope(shield=True):
                ended = await _end(process)
        if self._log is not None:
            self._log.close()
            self._log = None
        await offload(lambda: self._batch_file.unlink(missing_ok=True))
        if process is not None and not ended:
            raise _endless(process.pid)

    async def _spawn(self) -> Process:
        self._log = await offload(_open_log, self._log_path)
        return await anyio.open_process(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for captiv, which lets the worker finish
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )

    def _command(self) -> Sequence[str]:
        s = self._settings
        model = ModelChange(
            model=s.model,
            variant=s.variant,
            source=s.source,
            dtype=s.dtype,
            max_batch=s.batch_size,
        )
        command = [sys.executable, "-P", "-m", "captiv_worker", "--stdin-token"]
        command += worker_arguments(
            host="127.0.0.1",
            port=0,
            name="local",
            model=model,
            device=s.device,
            engine=None if s.engine == "auto" else s.engine,
        )
        command += ["--batch-file", str(self._batch_file)]
        if s.image_memory_mb != IMAGE_MEMORY_MB:
            command += ["--image-memory-mb", str(s.image_memory_mb)]
        if s.shares > 1:
            command += ["--shares", str(s.shares)]
        if s.engine_options is not None:
            command += ["--engine-options", s.engine_options]
        return command

    async def _send_token(self, token: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        await self._process.stdin.send(f"{token}\n".encode())

    async def _listening(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        line = b""
        while b"\n" not in line:
            line += await self._process.stdout.receive()
        return str(json.loads(line.split(b"\n", 1)[0])["url"])

    async def _batch_keys(self) -> frozenset[str]:
        """Return what the child was captioning, as its file says."""
        try:
            with anyio.CancelScope(shield=True):  # a cancelled open would leave the file open
                async with aiofiles.open(self._batch_file, "rb") as file:
                    data = await file.read()
            return frozenset(json.loads(data or b"[]"))
        except (OSError, ValueError):
            return frozenset()


def reason_against(
    here: Machine, model: str, variant: str, *, dtype: str, device: str, engine: str = "auto"
) -> str | None:
    """Return why this machine plainly cannot run a variant of a model; None if it may."""
    family = family_named(model)
    known = family.variant(variant) if family is not None else None
    return incapable(
        here,
        known,
        model=variant,
        dtype=dtype,
        device=device,
        engine=engine,
        by_vllm=_by_vllm(model),
        tags=_is_tagger(model),
    )


def _by_vllm(model: str) -> bool:
    """Whether vLLM drives this family; of one that the catalog does not know, it may."""
    family = family_named(model)
    return family is None or family.architecture.vllm


def _is_tagger(model: str) -> bool:
    family = family_named(model)
    return family is not None and family.tagging is not None


def _instead(here: Machine, device: str, *, tags: bool) -> str:
    """Return what to do where this machine cannot run a model."""
    if tags and not here.onnxruntime:
        return _NO_ONNX
    if not tags and not here.torch:
        return _NO_TORCH
    return _NO_DEVICE if no_device(here, device) else _TOO_MUCH


def _open_log(path: Path) -> IO[bytes]:
    """Open the worker's log to append, or nothing where that cannot be: a log ends no run."""
    try:
        return _opened(path)
    except OSError:
        return open(os.devnull, "ab")


def _opened(path: Path) -> IO[bytes]:
    """Open the log; one that has grown large becomes the previous one.

    It names pictures, which are nobody else's business on this machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


async def _end(process: Process) -> bool:
    """End the child, by force if need be; return False if nothing ends it."""
    if process.returncode is None and process.stdin is not None:
        with suppress(OSError, anyio.BrokenResourceError):
            await process.stdin.aclose()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
    ended = process.returncode is not None or await _killed(process)
    if ended:
        await process.aclose()
    elif process.stdout is not None:  # all of it would wait for the child
        await process.stdout.aclose()
    return ended


async def _killed(process: Process) -> bool:
    """Kill the child; return whether it has ended."""
    with suppress(ProcessLookupError):
        process.kill()
    with anyio.move_on_after(_KILLED_S):
        await process.wait()
    return process.returncode is not None


def _endless(pid: int) -> NoWorker:
    return NoWorker(
        f"The worker on this machine (process {pid}) does not end, not even when it is killed.",
        hint="A driver or a disk keeps it, and it may still hold its GPU. If `ps` shows it for "
        "minutes, restart this machine. Nothing is lost: the same command resumes.",
    )
