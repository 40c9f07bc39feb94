"""A job table, pictures and real workers, without a command line around them."""

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from PIL import Image

from captiv.catalog import ImagePolicy
from captiv.clock import now_ms
from captiv.core.jobs import Counts, JobId, JobRow, Run, RunId, SessionId
from captiv.core.phase import OnPhase, Phase
from captiv.core.spec import Captioning, Output, Placement, RunSpec, Selection
from captiv.dispatch.claims import Claims
from captiv.dispatch.completer import Completer
from captiv.dispatch.dispatcher import Dispatcher, Providers
from captiv.dispatch.events import Silence
from captiv.dispatch.preparation import Preparation
from captiv.dispatch.queue import QueueContext
from captiv.errors import UnknownKey
from captiv.store import Store, ingest, jobs, lease, migrate, runs
from captiv.wire import CaptionReply, CaptionRequest
from captiv.workers import Address, LocalWorker, WorkerClient, WorkerSource
from captiv.workers.local import LocalSettings
from tests.support import DEADLINE_S, SCRIPTED


class Told(Silence):
    """A reporter that remembers everything."""

    def __init__(self) -> None:
        self.captions: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.kept_paths: list[str] = []
        self.unwritable: dict[str, str] = {}
        self.cut_short_paths: list[str] = []
        self.warnings: list[str] = []
        self.phases: list[Phase | None] = []
        self.workers: list[str | None] = []
        """Of which worker each phase was told."""
        self.counts: list[Run] = []

    def phase(self, phase: Phase | None, *, worker: str | None = None) -> None:
        self.phases.append(phase)
        self.workers.append(worker)

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def counted(self, run: Run) -> None:
        self.counts.append(run)

    def captioned(self, path: str, text: str) -> None:
        assert path not in self.captions, "told twice"
        self.captions[path] = text

    def failed(self, path: str, code: str, reason: str) -> None:
        assert path not in self.failures, "told twice"
        self.failures[path] = code

    def kept(self, path: str) -> None:
        self.kept_paths.append(path)

    def unwritten(self, path: str, reason: str) -> None:
        self.unwritable[path] = reason

    def cut_short(self, path: str) -> None:
        self.cut_short_paths.append(path)


async def until(holds: Callable[[], Awaitable[bool] | bool]) -> None:
    """Return as soon as a condition holds; fail if it never does."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await anyio.sleep(0.01)


async def read(path: Path | str) -> str | None:
    """Return the text of a file, or None if there is none."""
    file = anyio.Path(path)
    return await file.read_text() if await file.exists() else None


class Watched(WorkerClient):
    """Knows which images are at the worker."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.there: set[str] = set()
        self._arrived: set[str] = set()
        self.max_batch = 8

    async def caption(
        self, image: bytes, media_type: str, request: CaptionRequest, key: str, *, wait_s: float
    ) -> CaptionReply | None:
        self.there.add(key)
        reply = await super().caption(image, media_type, request, key, wait_s=wait_s)
        self.there.discard(key)
        if reply is not None and reply.max_batch is not None:
            self.max_batch = reply.max_batch
        return reply

    async def has(self, count: int) -> bool:
        """Whether so many images have arrived at the worker and are not captioned yet."""
        if len(self.there) < count:
            return False
        try:
            for key in self.there - self._arrived:
                await self.result(key, wait_s=0)
                self._arrived.add(key)
        except UnknownKey:
            return False
        return True


class WatchedWorker(LocalWorker):
    """A worker that is spoken to under the eyes of a test."""

    client: Watched | None = None

    async def start(self, on_phase: OnPhase) -> Address:
        address = await super().start(on_phase)
        return _WatchedAddress(address.url, address.token, self)

    async def has(self, count: int) -> bool:
        """Whether so many images have arrived at the worker and are not captioned yet."""
        return self.client is not None and await self.client.has(count)

    @property
    def max_batch(self) -> int:
        """How large its batches may be, as it last said."""
        return self.client.max_batch if self.client is not None else 8


@dataclass(frozen=True)
class _WatchedAddress(Address):
    worker: WatchedWorker

    def connect(self) -> Watched:
        self.worker.client = Watched(self.url, self.token)
        return self.worker.client


@dataclass
class World:
    """One installation."""

    folder: Path
    store: Store
    session: SessionId
    told: Told = field(default_factory=Told)
    specs: dict[RunId, RunSpec] = field(default_factory=dict)
    sources: list[WorkerSource] = field(default_factory=list)
    short_s: float = 60.0
    """How long this machine may be short of something."""

    async def picture(self, name: str, colour: str | tuple[int, int, int] = "red") -> str:
        """Draw a picture of one colour; return its path."""
        path = self.folder / name
        await to_thread.run_sync(lambda: Image.new("RGB", (48, 48), colour).save(path, "PNG"))
        return str(path)

    async def pictures(self, n: int, colour: str = "red", prefix: str = "p") -> list[str]:
        return [await self.picture(f"{prefix}{i:03d}.png", colour) for i in range(n)]

    def spec(
        self,
        *,
        model: str = "shapes",
        output: Output | None = None,
        placement: Placement | None = None,
        **selection: Any,
    ) -> RunSpec:
        return RunSpec(
            selection=Selection.model_validate({"roots": (str(self.folder),), **selection}),
            captioning=Captioning(model=model, variant=model, source=f"builtin:{model}"),
            output=output or Output(),
            placement=placement or Placement(batch_size=4),
        )

    async def open(self, spec: RunSpec | None = None) -> Run:
        run, _ = await self.store.awrite(runs.open_run, spec or self.spec(), now_ms())
        self.specs[run.id] = run.spec
        await self.want(run)
        return run

    async def want(self, run: Run) -> None:
        """Have a command wait for the run that is still heard of when a test takes its time."""
        await self.store.awrite(runs.want, run.id, self.session, now_ms() + 3_600_000)

    async def enqueue(self, *paths: str, spec: RunSpec | None = None) -> Run:
        run = await self.open(spec)
        places = [run.spec.output.place_of(path) for path in paths]
        await self.store.awrite(ingest.add_jobs, run.id, places, now_ms())
        await self.store.awrite(ingest.mark_scanned, run.id)
        return run

    async def counts(self, run: Run) -> Counts:
        assert await self.store.aread(runs.check_counts) == []
        return (await self.store.aread(runs.get, run.id)).counts

    async def rows(self, run: Run) -> dict[str, JobRow]:
        found = await self.store.aread(jobs.page, run.id, None, JobId(0), 10_000)
        return {Path(row.path).name: row for row in found}

    def local(
        self, name: str = "worker", batch_size: int | None = 4, *, number: int = 1, **script: Any
    ) -> WatchedWorker:
        """Make a local worker with the torch-free engine."""
        settings = LocalSettings(
            model="shapes",
            variant="shapes",
            source="builtin:shapes",
            batch_size=batch_size,
            engine=SCRIPTED,
            engine_options=json.dumps(script),
        )
        log = self.folder / f"{name}.log"
        return WatchedWorker(settings, folder=self.folder, log=log, number=number)

    async def held(self) -> anyio.Path:
        """Make a file that holds the batches of a worker that is given it."""
        file = anyio.Path(self.folder / "held")
        await file.touch()
        return file

    def claims(self) -> Claims:
        return Claims(
            self.store,
            self.session,
            installation="here",
            policy=ImagePolicy(32),
            specs=self.specs,
        )

    def completer(self) -> Completer:
        return Completer(self.store, self.told, spec_of=self.specs.__getitem__, now_ms=now_ms)

    @asynccontextmanager
    async def dispatching(self, source: WorkerSource) -> AsyncIterator[Dispatcher]:
        """Have a dispatcher whose runs are served by this worker."""
        async with self.dispatching_with(lambda _run: (source, self.claims())) as dispatcher:
            yield dispatcher

    @asynccontextmanager
    async def dispatching_with(self, provide: Providers) -> AsyncIterator[Dispatcher]:
        """Have a dispatcher, and the workers that `provide` makes."""
        trace = self.folder / "preparing"
        async with (
            Preparation(trace, patience_s=self.short_s) as preparation,
            anyio.create_task_group() as tg,
        ):
            completer = self.completer()
            tg.start_soon(completer.run)
            context = QueueContext(
                self.store, preparation, completer, self.told, self.specs, now_ms
            )
            yield Dispatcher(context, provide=provide, incapable=_able)
            tg.cancel_scope.cancel()

    async def serve(self, source: WorkerSource, run: Run) -> Counts:
        """Serve a run to its end."""
        async with self.dispatching(source) as dispatcher:
            await dispatcher.serve(run.id)
        return await self.counts(run)


async def _able(_spec: RunSpec) -> None:
    """Say that this machine can do any run."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "captiv.db"
    migrate.ensure(path)
    return path


@pytest.fixture
async def world(template: Path, tmp_path: Path) -> AsyncIterator[World]:
    database = tmp_path / "home" / "captiv.db"
    folder = tmp_path / "pictures"

    def made() -> Store:
        database.parent.mkdir()
        folder.mkdir()
        shutil.copy(template, database)
        return Store.open(database, holder=True)

    store = await to_thread.run_sync(made)
    session = await store.awrite(lease.begin_session, 1, "here", "dispatcher", now_ms())
    yield World(folder, store, session)
    await to_thread.run_sync(store.close)
